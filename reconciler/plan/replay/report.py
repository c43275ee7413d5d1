"""Count what a replay found: the changes that waited or would have waited, and for whom."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address
from reconciler.plan.approvals.approvers import People
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.replay.judgement import Judgement


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """One change in the log: whether it waited, and whether it would have waited.

    Attributes:
        address: of the flag, by its key after the change.
        at: when it was written, as the server says.
        person: who wrote it; None if the log does not say.
        action_key: the approval action that decides; None if the change needs no approval.
        waited: whether an approved change request made it.
        would_wait: None if it is not known.
        policy: the policy that decides.
        why: why it would have waited or not, or why that is not known.

    """

    address: Address
    at: str
    person: str | None
    action_key: str | None
    waited: bool
    would_wait: bool | None
    policy: Address | None
    why: str


@dataclass(frozen=True, slots=True)
class LogLimits:
    """What the log does not show, in numbers.

    Attributes:
        entries: entries about flags that were read.
        first_entry: the time of the oldest one, as the server says.
        without_before: changed fields without the value before.
        without_after: the same, without the value after.
        undated: entries without a time; they are not counted as changes.
        gaps: places where the log does not continue: a write in between is missing.
        creations_missing: flags that were created in the window and whose creation is not logged.
        policies_changed: policies that were created or changed in the window: `waited` is by the
            policies at that time, which the log does not show.
        elsewhere: entries of projects that the key cannot see; they are not counted as changes.

    """

    entries: int = 0
    first_entry: str | None = None
    without_before: int = 0
    without_after: int = 0
    undated: int = 0
    gaps: int = 0
    creations_missing: int = 0
    policies_changed: int = 0
    elsewhere: int = 0


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """The answer: which changes of a window would have waited.

    Attributes:
        since: the start of the window.
        until: its end.
        rows: the changes, newest first.
        people: how many requests each person would have had to decide, most first.
        nobody: how many changes would have waited with too few people who could approve them.
        limits: what the log does not show.

    """

    since: datetime
    until: datetime
    rows: tuple[ReplayRow, ...]
    people: Mapping[str, int]
    nobody: int
    limits: LogLimits

    @property
    def waited(self) -> int:
        """Return how many changes waited."""
        return sum(row.waited for row in self.rows)

    @property
    def would_wait(self) -> int:
        """Return how many changes would certainly have waited."""
        return sum(row.would_wait is True for row in self.rows)

    @property
    def unknown(self) -> int:
        """Return for how many changes the answer is not known."""
        return sum(row.would_wait is None for row in self.rows)


class Deciders:
    """Count the requests that each person would have had to decide, by the people of now."""

    def __init__(self) -> None:
        self._requests: Counter[str] = Counter()
        self._names: dict[str, str] = {}  # lower-case email -> as it is written
        self.nobody = 0

    def count(self, judgement: Judgement, person: str | None, people: People) -> None:
        """Add a change that would have waited for one or more policies."""
        can_pass = True
        for policy in judgement.waiting:
            can_pass &= self._count_policy(policy, person, people)
        self.nobody += not can_pass

    def _count_policy(self, policy: Policy, person: str | None, people: People) -> bool:
        """Add one request; return whether enough people can approve it."""
        approvers = people.list_approvers(policy)
        excluded = people.list_excluded(policy, approvers, person)
        for email in {each.lower(): each for each in approvers.list_emails()}.values():
            if email.lower() not in excluded:
                self._requests[self._names.setdefault(email.lower(), email)] += 1
        return not people.find_obstacles(policy, policy.quorum, approvers, person).are_too_few

    def rank(self) -> Mapping[str, int]:
        """Return the people, those with the most requests first."""
        return dict(sorted(self._requests.items(), key=lambda pair: (-pair[1], pair[0])))


def sort_rows(rows: Iterable[tuple[datetime, int, ReplayRow]]) -> tuple[ReplayRow, ...]:
    """Return rows, newest first; of one moment in the order of the log."""
    return tuple(row for *_, row in sorted(rows, key=lambda item: (-item[0].timestamp(), item[1])))
