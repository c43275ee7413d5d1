"""Check that the gate held: a write that passes where approval was forecast is an incident.

As little as possible may be live by then. The first write under each policy is sent before the
others, which follow when it was held back.
"""

from collections.abc import Hashable
from typing import Final

from reconciler.apply.progress import ChangeEnded, Progress
from reconciler.model import (
    Action,
    Address,
    Change,
    Confidence,
    Detail,
    Kind,
    Outcome,
    Payload,
    Problem,
    Result,
    Verdict,
    Write,
)

_HELD: Final = frozenset({Verdict.APPROVAL, Verdict.SPLIT})
_Scope = tuple[str, ...]


def was_missed(kind: Kind, before: Progress, write: Write, answered: Payload | None) -> bool:
    """Return whether the stage just carried out is the one that should have waited."""
    is_certain = before.change.gate.confidence is Confidence.CERTAIN
    return is_certain and _has_passed(kind, before, write, answered)


def describe_passed(kind: Kind, before: Progress, write: Write, answered: Payload | None) -> str:
    """Return a note if the stage was written although it would probably wait; else nothing."""
    gate = before.change.gate
    is_certain = gate.confidence is Confidence.CERTAIN
    if is_certain or not _has_passed(kind, before, write, answered):
        return ""
    return f"written at once: {gate.policy}, which was likely to hold it back, does not cover it"


def _has_passed(kind: Kind, before: Progress, write: Write, answered: Payload | None) -> bool:
    """Return whether the stage just carried out is the one that was forecast to wait.

    `answered` is the object afterwards; None after a delete.
    """
    gate = before.change.gate
    if gate.verdict not in _HELD or not gate.waits:
        return False
    action = (gate.policy or "").rpartition("/")[2]
    creates = write.action is Action.CREATE
    if not _touches_gate(kind, action, write, creates=creates):
        return False
    if creates or before.payload is None or answered is None:
        return True
    sides = (before.payload.get("version"), answered.get("version"))
    if not (isinstance(sides[0], int) and isinstance(sides[1], int)):
        return True
    return sides[1] == sides[0] + 1  # else somebody wrote in between, and it may be theirs


def _touches_gate(kind: Kind, action: str, write: Write, *, creates: bool) -> bool:
    """Return whether a stage changes what a policy for an action covers."""
    if kind.write_gates:
        return kind.find_write_gate(write.action, write.spec) is not None
    fields = kind.gates.get(action, ())
    if fields == ("active",):
        sent = write.spec.get("active", kind.defaults.get("active") if creates else None)
        return sent is action.endswith((".enable", ".launch"))
    return bool(fields) and (creates or any(name in write.spec for name in fields))


def end_incident(progress: Progress) -> ChangeEnded:
    """Return the end of a change that was written without the approval it needed."""
    change = progress.change
    rest = len(progress.stages) - progress.done
    state = "applied without approval; no further gated write is sent in this run"
    return ChangeEnded(
        Result.FAILED if rest else Result.DONE,
        Problem(
            f"{change.address} was written at once, although {change.gate.policy} should have "
            "held it back",
            "the key's user bypasses the policy, the plan lacks approvals, or the policy was "
            "changed in between",
            f"{state}; {rest} calls of this run are left" if rest else state,
            "look at the object, then at the policy, and at whose key this is",
        ),
        detail=Detail.GATE_MISSED,
        payload=progress.payload,
    )


class PolicyTurns:
    """Which gated writes may go out now. Used only by the executor's own thread."""

    def __init__(self) -> None:
        self.incident: Address | None = None
        self._busy: dict[Hashable, Address] = {}  # what one write holds exclusively, until it ends
        self._proven: set[str] = set()  # policies that have held a write back in this run
        self._taken: dict[_Scope, Outcome] = {}  # projects whose one create is another flag's

    def may_start(self, change: Change) -> bool:
        """Return whether a change may start beside what is in flight."""
        return not any(need in self._busy for need in self._list_needs(change))

    def start(self, change: Change) -> None:
        """Record that a change has started."""
        for need in self._list_needs(change):
            self._busy[need] = change.address

    def end(self, change: Change, outcome: Outcome | None) -> None:
        """Record that a change has ended, waits, or was put off."""
        for need in [need for need, holder in self._busy.items() if holder == change.address]:
            del self._busy[need]
        if outcome is None:
            return
        if outcome.detail is Detail.GATE_MISSED:
            self.incident = change.address
        elif outcome.detail is Detail.TURN:
            self._taken[change.address.parts[:-1]] = outcome
        elif outcome.result is Result.WAITING and outcome.attempts and change.gate.policy:
            self._proven.add(change.gate.policy)

    def release(self, scope: _Scope) -> None:
        """Record that the request that occupied a project's one create is decided."""
        self._taken.pop(scope, None)

    def refuse(self, change: Change) -> Outcome | None:
        """Return the outcome of a gated change that is not sent any more, or None."""
        if not _expects_request(change):
            return None
        if self.incident is not None:
            what = f"not sent, because the gate did not hold for {self.incident}"
            why = "a write that should have waited for approval was live at once"
            fix = f"find out why, see {self.incident}; then run apply again"
            problem = Problem(what, why, "not sent", fix)
            return Outcome(change.address, change.action, Result.REFUSED, problem=problem)
        taken = self._taken.get(change.address.parts[:-1])
        if taken is not None and change.action is Action.CREATE:
            return _end_in_line(change, taken)
        return None

    def _list_needs(self, change: Change) -> tuple[Hashable, ...]:
        """List what a change must hold exclusively: an unproven policy, or its project's create."""
        if not _expects_request(change):
            return ()
        needs: list[Hashable] = []
        if change.gate.policy is not None and change.gate.policy not in self._proven:
            needs.append(change.gate.policy)
        if change.action is Action.CREATE:
            needs.append(change.address.parts[:-1])
        return tuple(needs)


def _expects_request(change: Change) -> bool:
    """Return whether this run is expected to file a change request for the change."""
    gate = change.gate
    return gate.verdict is Verdict.BLOCKED or (gate.verdict in _HELD and gate.waits)


def _end_in_line(change: Change, taken: Outcome) -> Outcome:
    return Outcome(
        change.address,
        change.action,
        Result.WAITING,
        change_request=taken.change_request,
        url=taken.url,
        problem=Problem(
            f"{change.address} waits for its turn",
            taken.problem.why if taken.problem is not None else "",
            "not sent",
            f"have {taken.change_request} decided, then apply again",
        ),
        detail=Detail.TURN,
        awaits=taken.awaits,
    )
