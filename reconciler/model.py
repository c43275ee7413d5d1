"""The nouns. Values only, all frozen; nothing here reads, sends or prints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from reconciler.basis import Basis
from reconciler.consent import NOBODY, Awaited, Refusal, RequestPlan
from reconciler.consent import Approvers as Approvers  # noqa: PLC0414  found here, too
from reconciler.consent import ChangeRequest as ChangeRequest  # noqa: PLC0414  as above
from reconciler.evidence import Attribution, Hold
from reconciler.list_changes import ListChange
from reconciler.paths import Path, Spec
from reconciler.source import Source, value_place

Payload = Mapping[str, Any]  # in the language of the API: ids, numbers


class Absent(Enum):
    """What is not written, which differs from `null`."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT


class Action(StrEnum):
    """What a change does to its resource."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    NONE = "none"


class Cause(StrEnum):
    """Which side moved (docs/concepts.md, Causes)."""

    INTENT = "intent"
    DRIFT = "drift"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What the gate will say to a write (docs/plan.md)."""

    NONE = "none"
    APPROVAL = "approval"
    BYPASS = "bypass"
    PENDING = "pending"
    BLOCKED = "blocked"
    REJECTED = "rejected"
    SPLIT = "split"


class Confidence(StrEnum):
    """How sure the forecast is."""

    CERTAIN = "certain"
    LIKELY = "likely"
    UNKNOWN = "unknown"


class Result(StrEnum):
    """What became of a change (docs/apply.md)."""

    DONE = "done"
    UNCHANGED = "unchanged"
    WAITING = "waiting"
    FAILED = "failed"
    SKIPPED = "skipped"
    REFUSED = "refused"


class Detail(StrEnum):
    """What a result does not say by itself."""

    UNKNOWN = "unknown"  # failed: whether PostHog carried it out could not be found out
    NOT_STARTED = "not_started"  # skipped: the run ended before its turn
    GATE_MISSED = "gate_missed"  # done, although approval was forecast: an incident
    GATE_UNFORESEEN = "gate_unforeseen"  # waiting, although no approval was forecast
    MISNAMED = "misnamed"  # failed: it was created, under another name than was asked for
    TURN = "turn"  # waiting: another flag's request has to be decided first


class Severity(StrEnum):
    """How bad a finding is; only `error` changes the exit code."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


class Address(NamedTuple):
    """The stable name of a resource: `Kind/organization[/project]/name`."""

    kind: str
    parts: tuple[str, ...]  # plain names, outermost first; percent-encoded only in text

    def __str__(self) -> str:
        parts = (part.replace("%", "%25").replace("/", "%2F") for part in self.parts)
        return "/".join((self.kind, *parts))

    @property
    def organization(self) -> str:
        """Slug of the organization."""
        return self.parts[0]

    @property
    def project(self) -> str | None:
        """Name of the project, for what lives in one."""
        return self.parts[1] if len(self.parts) == 3 else None  # noqa: PLR2004  kind/org/project/name

    @property
    def name(self) -> str:
        """The natural key inside its scope."""
        return self.parts[-1]

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address back from its text; raises ValueError if it has no two parts."""
        kind, *parts = text.split("/")
        if not kind or not parts or not all(parts) or len(parts) > 3:  # noqa: PLR2004  organization, project, name
            raise ValueError(f"not an address: {text!r}")
        return cls(kind, tuple(unquote(part) for part in parts))


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """`metadata.lifecycle`: how a resource may be treated."""

    prevent_destroy: bool | None = None  # None: the kind's default
    ignore: tuple[str, ...] = ()  # field paths that are never compared
    absent: bool = False  # `state: absent`
    renamed_from: str | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """One declared resource, in the language of the files."""

    address: Address
    spec: Spec  # the fields that are written, in the kind's normal form
    source: Source | None = field(default=None, compare=False)
    lifecycle: Lifecycle = Lifecycle()
    id: str | None = None  # metadata.id: tells two live objects of one name apart
    written: Spec = field(default_factory=dict, compare=False, repr=False)  # as in the file

    def locate(self, path: Path) -> Source | None:
        """The place of the deepest part of `path` that is written; else of the document."""
        return value_place(self.written, path, self.source)


@dataclass(frozen=True, slots=True)
class Declared:
    """What the files say at one moment. `desired` and `base` are both of this type."""

    resources: Mapping[Address, Resource]
    origin: str  # "working tree", or the commit
    findings: tuple["Finding", ...] = ()  # warnings and notices; errors are raised as ConfigError


@dataclass(frozen=True, slots=True)
class Person:
    """A user as the API knows one; `level` is that of the organization it was read from."""

    id: int
    uuid: str
    email: str
    level: int | None = None


@dataclass(frozen=True, slots=True)
class LiveResource:
    """One live object: its spec in the language of the files, and the payload it came from."""

    address: Address
    id: str
    spec: Spec  # every field that can be managed, in the kind's normal form
    payload: Payload = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A collection that could not be read: nothing may be created or deleted in it."""

    kind: str
    scope: tuple[str, ...]  # (organization,) or (organization, project)
    reason: str
    status: int | None = None
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """What the API answered, in the language of the files. Read once, never changed."""

    resources: Mapping[Address, LiveResource]
    ids: Mapping[Address, tuple[str, ...]]  # every live id that has this address; two: ambiguous
    twins: Mapping[Address, tuple[LiveResource, ...]]  # where one address is live more than once
    people: Mapping[str, Mapping[str, Person]]  # organization -> lower-case email -> person
    change_requests: tuple[ChangeRequest, ...] = ()  # open ones of the projects that were asked
    rejections: tuple[ChangeRequest, ...] = ()  # of the same projects: rejected, expired, failed
    unreadable: tuple[Unreadable, ...] = ()
    listed: frozenset[tuple[str, tuple[str, ...]]] = frozenset()  # (kind, scope) read completely
    counts: Mapping[tuple[str, tuple[str, ...]], int] = field(default_factory=dict)  # of the others
    me: Person | None = None
    partial: frozenset[str] = frozenset()  # organizations of which only some members are shown


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: what the base, the live side and the files say, and which side moved."""

    path: str
    live: Any
    desired: Any
    base: Any = ABSENT
    cause: Cause = Cause.UNKNOWN
    attribution: Attribution | None = None  # who moved the live side; only drift asks


@dataclass(frozen=True, slots=True)
class Gate:
    """The forecast for one write: whether it will wait, and for whom."""

    verdict: Verdict = Verdict.NONE
    confidence: Confidence = Confidence.CERTAIN
    policy: str | None = None  # address of the policy
    condition: str | None = None
    quorum: int | None = None
    approvers: Approvers = NOBODY
    expires_after: str | None = None
    change_request: str | None = None  # id, where one is open
    note: str = ""
    cannot_approve: Mapping[str, str] = field(default_factory=dict)  # named, but: email -> why
    request_plan: RequestPlan | None = None  # None: earlier requests make no difference
    bypassed_policies: tuple[str, ...] = ()  # addresses; they let calls of this key's user pass

    @property
    def bypassed(self) -> bool:
        """Return whether a call passes without approval because of who sends it."""
        return self.verdict is Verdict.BYPASS or bool(self.bypassed_policies)

    @property
    def waits(self) -> bool:
        """Whether a call is held back, or is already; a split may as well pass, call by call."""
        if self.verdict is Verdict.SPLIT:
            return self.quorum is not None or self.expires_after is not None
        return self.verdict in {Verdict.APPROVAL, Verdict.PENDING}


NO_GATE: Final = Gate()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth telling a person. A value, not an exception."""

    code: str
    severity: Severity
    message: str
    why: str = ""
    fix: str = ""
    source: Source | None = None
    address: Address | None = None
    excerpt: str = ""  # the offending line, filled in where the file is at hand
    width: int = 1  # how many columns the caret line marks

    @property
    def sort_key(self) -> tuple[str, int, int, str, str]:
        """By place, then code: the order in which findings are shown."""
        place = self.source or Source("", 0, 0)
        return (place.file, place.line, place.column, self.code, self.message)


@dataclass(frozen=True, slots=True)
class Change:
    """One resource's step from live to desired, its gate, and what it waits for."""

    address: Address
    action: Action
    fields: tuple[FieldChange, ...] = ()
    gate: Gate = NO_GATE
    live_id: str | None = None
    live_fingerprint: str | None = None  # what apply compares before it writes
    source: Source | None = None
    depends_on: tuple[Address, ...] = ()
    late: tuple[Address, ...] = ()  # what only its last call waits for
    warnings: tuple[Finding, ...] = ()
    desired: Resource | None = None  # None for a delete of what is in no file
    before: LiveResource | None = field(default=None, compare=False)  # what it was compared with
    removed: bool = False  # a delete because it left the files; `desired` is what the base said
    pruned: bool = False  # a delete because it is in no file and was asked for with --prune
    url: str | None = None  # its page in PostHog, for people; nothing is ever sent there
    attribution: Attribution | None = None  # of what has gone, or come back, as a whole
    hold: Hold | None = None  # drift that does not fail, until then
    lists: tuple[ListChange, ...] = ()  # which items of lists moved, by content: for people


@dataclass(frozen=True, slots=True)
class Ignored:
    """What the files or the settings say to leave alone; without a path the whole resource."""

    address: Address
    path: str = ""
    desired: Any = ABSENT
    live: Any = ABSENT


@dataclass(frozen=True, slots=True)
class Released:
    """A field that left the files: reported, not written."""

    address: Address
    path: str
    base: Any
    live: Any


@dataclass(frozen=True, slots=True)
class Requests:
    """What a plan cost, and what its apply will cost."""

    reads: int = 0  # GETs that were sent
    expected_writes: int = 0
    minimum_seconds: int = 0  # what the rate limit alone makes the writes take


@dataclass(frozen=True, slots=True)
class Plan:
    """What apply would do, in order. Nothing outside it may change what apply does."""

    changes: tuple[Change, ...]  # in the order of apply; `none` rows at their place
    target: str = "default"
    host: str = ""
    created_at: str = ""
    base_ref: str | None = None
    base_commit: str | None = None
    desired_digest: str = ""
    unmanaged: tuple[Address, ...] = ()
    released: tuple[Released, ...] = ()
    findings: tuple[Finding, ...] = ()
    requests: Requests = Requests()
    change_requests: tuple[ChangeRequest, ...] = ()  # those that a gate speaks of, oldest first
    ignored: tuple[Ignored, ...] = ()  # only drift lists them
    not_applied: tuple[Change, ...] = ()  # as above: merged, and not live yet, which is not drift
    basis: Basis | None = None  # what it was made from, if it is to be applied later
    unrelated_drift: tuple[Address, ...] = ()  # a pull request has nothing to do with it
    refusal: Refusal | None = None  # what `apply` refuses of it, known before anything is sent

    @property
    def writes(self) -> tuple[Change, ...]:
        """The changes that are not `none`."""
        return tuple(change for change in self.changes if change.action is not Action.NONE)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make the plan end with an error."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an outcome is not `done`, in the four sentences of every error."""

    what: str
    why: str = ""
    state: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change."""

    address: Address
    action: Action
    result: Result
    id: str | None = None
    change_request: str | None = None
    url: str | None = None
    attempts: int = 0  # writes that were sent, however they were answered
    problem: Problem | None = None
    detail: Detail | None = None
    note: str = ""  # what is worth knowing and is no problem
    awaits: Awaited | None = None  # of what waits: whom it waits for
    written: tuple[str, ...] = ()  # fields that are live although the change is not at its end


def joined(*sentences: str) -> str:
    """A note of several sentences, each once."""
    return "; ".join(dict.fromkeys(sentence for sentence in sentences if sentence))
