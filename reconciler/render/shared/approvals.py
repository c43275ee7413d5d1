"""Who has to act: the gates of a plan, each with the changes it holds. Plain text."""

from collections.abc import Iterable
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import REPLACES, Address, Change, Gate, RequestPlan, Verdict
from reconciler.render.shared import phrases
from reconciler.render.shared.phrases import Tone

_SAID: Final = {
    Verdict.APPROVAL: ("⏸", Tone.WAIT, "waits for approval", "wait for approval"),
    Verdict.PENDING: ("⏸", Tone.WAIT, "waits already", "wait already"),
    Verdict.BYPASS: (
        "‼",
        Tone.LOUD,
        "BYPASSES its policy and is written at once",
        "BYPASS their policy and are written at once",
    ),
    Verdict.BLOCKED: (
        "✗",
        Tone.STOP,
        "is BLOCKED by another change request",
        "are BLOCKED by other change requests",
    ),
    Verdict.REJECTED: ("✗", Tone.STOP, "was REJECTED before", "were REJECTED before"),
}
_URGENT: Final = tuple(_SAID)[::-1]  # what people most need to know comes first


@dataclass(frozen=True, slots=True)
class ApprovalGroup:
    """One policy, its people, and the changes that they decide on."""

    policy: str  # its action
    where: str  # organization and project
    gate: Gate  # of the first change
    changes: tuple[Change, ...]

    @property
    def verdict(self) -> Verdict:
        """Return what the gate does; several calls of which some wait are like any other wait."""
        return classify(self.gate)

    @property
    def mark(self) -> str:
        """Return what the line of this gate begins with."""
        return _SAID[self.verdict][0]

    @property
    def tone(self) -> Tone:
        """Return how urgent it is."""
        return _SAID[self.verdict][1]

    @property
    def what(self) -> str:
        """Return `5 changes wait for approval`."""
        _, _, singular, plural = _SAID[self.verdict]
        number = len(self.changes)
        return f"{phrases.count(number, 'change')} {phrases.choose(number, singular, plural)}"

    @property
    def of_whom(self) -> str:
        """Return `feature_flag.update of acme/Web: 2 of alice@acme.test; expires after 14d`."""
        where = f" of {self.where}" if self.where else ""
        return f"{self.policy}{where}: {phrases.describe_quorum(self.gate)}"


def group_by_gate(changes: Iterable[Change]) -> tuple[ApprovalGroup, ...]:
    """Return the gates that hold or are bypassed, the most urgent first, then in apply order."""
    by_gate: dict[tuple[object, ...], list[Change]] = {}
    for change in changes:
        if classify(change.gate) is not Verdict.NONE:
            by_gate.setdefault(_make_key(change), []).append(change)
    groups = (
        ApprovalGroup(
            *split_policy(group[0].gate.policy, group[0].address), group[0].gate, tuple(group)
        )
        for group in by_gate.values()
    )
    return tuple(sorted(groups, key=lambda group: _URGENT.index(group.verdict)))


def _make_key(change: Change) -> tuple[object, ...]:
    gate = change.gate
    roles = tuple((name, tuple(held)) for name, held in gate.approvers.roles.items())
    voted = tuple(gate.cannot_approve.items())
    people = (tuple(gate.approvers.users), roles, gate.quorum, gate.expires_after, voted)
    return (classify(gate), gate.policy or change.address.parts[:-1], *people)


def classify(gate: Gate) -> Verdict:
    """Return the verdict, where several calls wait, bypass their policy, or pass as one."""
    if gate.request_plan in REPLACES:
        waits = gate.request_plan is RequestPlan.REPLACE_AND_WAIT
        return Verdict.APPROVAL if waits else Verdict.NONE
    if gate.verdict is not Verdict.SPLIT:
        return gate.verdict
    if gate.waits:
        return Verdict.APPROVAL
    return Verdict.BYPASS if gate.bypassed else Verdict.NONE


def split_policy(text: str | None, address: Address) -> tuple[str, str]:
    """Return the action of a policy, and where it applies: its address has both.

    Without a policy, where the resource at `address` is.
    """
    if text is None:
        return "an approval policy", "/".join(address.parts[:-1])
    try:
        policy = Address.parse(text)
    except ValueError:
        return text, ""
    return policy.name, "/".join(policy.parts[:-1])


def count_people(gate: Gate) -> tuple[int, int]:
    """Return how many of the people whom a gate names can approve, and how many it names."""
    named = {email.lower() for email in gate.approvers.list_emails()}
    return len(named - {email.lower() for email in gate.cannot_approve}), len(named)
