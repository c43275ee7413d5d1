"""Who has to act: the gates of a plan, each with the changes it holds. Plain text: sinks escape."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from reconciler.model import REPLACES, Address, Approvers, Change, Gate, RequestPlan, Verdict
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
        """What the gate does; what is sent in several calls waits like any other."""
        return _classify(self.gate)

    @property
    def mark(self) -> str:
        """What the line of this gate begins with."""
        return _SAID[self.verdict][0]

    @property
    def tone(self) -> Tone:
        """How loudly it is said."""
        return _SAID[self.verdict][1]

    @property
    def what(self) -> str:
        """`5 changes wait for approval`."""
        _, _, one, many = _SAID[self.verdict]
        number = len(self.changes)
        return f"{phrases.count(number, 'change')} {one if number == 1 else many}"

    @property
    def of_whom(self) -> str:
        """`feature_flag.update of acme/Web: 2 of alice@acme.test; expires after 14d`."""
        where = f" of {self.where}" if self.where else ""
        return f"{self.policy}{where}: {phrases.describe_quorum(self.gate)}"


def group_by_gate(changes: Iterable[Change]) -> tuple[ApprovalGroup, ...]:
    """The gates that hold or are passed by, the most urgent first, then in the order of apply."""
    found: dict[tuple[object, ...], list[Change]] = {}
    for one in changes:
        if _classify(one.gate) is not Verdict.NONE:
            found.setdefault(_make_key(one), []).append(one)
    made = (
        ApprovalGroup(*_split_policy(group[0]), group[0].gate, tuple(group))
        for group in found.values()
    )
    return tuple(sorted(made, key=lambda one: _URGENT.index(one.verdict)))


def _make_key(one: Change) -> tuple[object, ...]:
    gate = one.gate
    roles = tuple((name, tuple(held)) for name, held in gate.approvers.roles.items())
    voted = tuple(gate.cannot_approve.items())
    people = (tuple(gate.approvers.users), roles, gate.quorum, gate.expires_after, voted)
    return (_classify(gate), gate.policy or one.address.parts[:-1], *people)


def _classify(gate: Gate) -> Verdict:
    """What is sent in several calls waits like any other, or is let through, or is free."""
    if gate.request_plan in REPLACES:
        waits = gate.request_plan is RequestPlan.REPLACE_AND_WAIT
        return Verdict.APPROVAL if waits else Verdict.NONE
    if gate.verdict is not Verdict.SPLIT:
        return gate.verdict
    if gate.waits:
        return Verdict.APPROVAL
    return Verdict.BYPASS if gate.bypassed else Verdict.NONE


def _split_policy(one: Change) -> tuple[str, str]:
    """The action, and where: the address of a policy says both."""
    text = one.gate.policy
    if text is None:
        return "an approval policy", "/".join(one.address.parts[:-1])
    try:
        found = Address.parse(text)
    except ValueError:
        return text, ""
    return found.name, "/".join(found.parts[:-1])


@dataclass(frozen=True, slots=True)
class NamedApprover:
    """Somebody whom a policy names, and why they cannot approve, if they cannot."""

    email: str
    cannot: str = ""


def list_people(gate: Gate) -> Iterator[tuple[str, tuple[NamedApprover, ...]]]:
    """Those who are named themselves (under no name), then each role with its members."""
    why = {email.lower(): reason for email, reason in gate.cannot_approve.items()}

    def known(emails: Iterable[str]) -> tuple[NamedApprover, ...]:
        return tuple(NamedApprover(email, why.get(email.lower(), "")) for email in emails)

    if gate.approvers.users:
        yield "", known(gate.approvers.users)
    for role, members in gate.approvers.roles.items():
        yield role, known(members)


def is_unapprovable(gate: Gate) -> bool:
    """Whether no one is left who could approve."""
    return gate.approvers != Approvers() and all(
        person.cannot for _, group in list_people(gate) for person in group
    )
