"""People by initials, for reports that everybody can read."""

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later
from reconciler.model import (
    Approvers,
    Awaited,
    Change,
    ChangeRequest,
    Finding,
    Gate,
    Outcome,
    Plan,
    mask_person,
)

INITIALS: Final = "initials"
# An address in a sentence; not one in the address of a resource, which commands repeat.
_EMAIL: Final = compile_later(r"(?<![\w.+/-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


@dataclass
class Initials:
    """Names people by initials: `A.`, and `A.2` for the second one with the same."""

    _names: dict[str, str] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    def mask_plan(self, plan: Plan) -> Plan:
        """Return a plan in which approvers, requesters and voters are named by initials.

        Values of resources stay as they are, and so do their addresses.
        """
        return replace(
            plan,
            changes=tuple(map(self._mask_change, plan.changes)),
            findings=tuple(map(self._mask_finding, plan.findings)),
            change_requests=tuple(map(self._mask_request, plan.change_requests)),
        )

    def mask_outcome(self, outcome: Outcome) -> Outcome:
        """Return an outcome that names people by initials."""
        problem = outcome.problem
        if problem is not None:
            problem = replace(
                problem, what=self.mask_text(problem.what), why=self.mask_text(problem.why)
            )
        awaits = outcome.awaits and self._mask_awaited(outcome.awaits)
        return replace(outcome, problem=problem, awaits=awaits, note=self.mask_text(outcome.note))

    def name(self, person: str) -> str:
        """Return the initials of a person, which nobody else has in this report."""
        key = person.lower()
        if "@" not in key:
            return person
        if key not in self._names:
            initials = mask_person(person, INITIALS) or "?"
            number = self._numbers[initials] = self._numbers.get(initials, 0) + 1
            self._names[key] = initials if number == 1 else f"{initials}{number}"
        return self._names[key]

    def _name_each(self, people: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(self.name, people))

    def mask_text(self, text: str) -> str:
        """Return a sentence in which people go by initials."""
        return _EMAIL.sub(lambda found: self.name(found[0]), text)

    def _mask_change(self, change: Change) -> Change:
        scheduled = tuple(
            replace(each, awaits=self._mask_awaited(each.awaits)) if each.awaits else each
            for each in change.scheduled
        )
        return replace(
            change,
            gate=self._mask_gate(change.gate),
            warnings=tuple(map(self._mask_finding, change.warnings)),
            scheduled=scheduled,
        )

    def _mask_gate(self, gate: Gate) -> Gate:
        reasons: Mapping[str, str] = {
            self.name(email): self.mask_text(why) for email, why in gate.cannot_approve.items()
        }
        return replace(
            gate,
            approvers=self.mask_approvers(gate.approvers),
            note=self.mask_text(gate.note),
            cannot_approve=reasons,
            steps=tuple(
                replace(step, approvers=self.mask_approvers(step.approvers)) for step in gate.steps
            ),
        )

    def mask_approvers(self, approvers: Approvers) -> Approvers:
        """Return the same people by initials."""
        roles = {role: self._name_each(members) for role, members in approvers.roles.items()}
        return Approvers(self._name_each(approvers.users), roles)

    def _mask_awaited(self, awaited: Awaited) -> Awaited:
        trouble = awaited.unappliable
        if trouble is not None:
            trouble = replace(
                trouble, why=self.mask_text(trouble.why), fix=self.mask_text(trouble.fix)
            )
        return replace(
            awaited,
            approvers=self.mask_approvers(awaited.approvers),
            approved_by=self._name_each(awaited.approved_by),
            unappliable=trouble,
        )

    def _mask_request(self, request: ChangeRequest) -> ChangeRequest:
        requester = self.name(request.requester) if request.requester is not None else None
        votes = tuple(replace(vote, person=self.name(vote.person)) for vote in request.votes)
        return replace(request, requester=requester, votes=votes)

    def _mask_finding(self, finding: Finding) -> Finding:
        if finding.source is not None:  # it quotes a file
            return finding
        return replace(
            finding,
            message=self.mask_text(finding.message),
            why=self.mask_text(finding.why),
            fix=self.mask_text(finding.fix),
        )
