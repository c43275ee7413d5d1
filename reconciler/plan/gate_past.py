"""Whether a policy covered a write that has happened, as far as today's policies can tell.

The log says what was written, never what the gate said. Policies carry the time at which they
were made and changed last, so that it is known when today's rules are no witness.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.evidence import Cover
from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Change, FieldChange, Live, LiveResource, Resource
from reconciler.paths import Spec
from reconciler.plan import gate_actions, gate_policies
from reconciler.plan.gate_actions import Meeting
from reconciler.plan.gate_conditions import RELEASE, evaluate, selects
from reconciler.plan.gate_policies import Policy

_FLAG: Final = KINDS["FeatureFlag"]


@dataclass(frozen=True, slots=True)
class Past:
    """A write of the past: the managed fields that it touched, before and after."""

    address: Address
    before: Spec | None  # None: it made the object
    after: Spec
    at: datetime


class Witness:
    """Today's policies, asked about writes of the past."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._policies = gate_policies.existing(live)
        self._closed = {
            gap.scope: gap.reason
            for gap in live.unreadable
            if gap.kind in {"ApprovalPolicy", "ChangeRequest"}
        }

    def cover(self, address: Address, before: Spec | None, after: Spec, at: datetime) -> Cover:
        """Whether a gate stood before this write."""
        past = Past(address, before, after, at)
        if not KINDS[past.address.kind].gated or not self._has_gate(past.address.organization):
            return Cover(covered=False)
        scope = past.address.parts[:-1]
        if (reason := self._closed.get(scope)) is not None:
            where = "/".join(scope)
            return Cover(None, note=f"policies or requests of {where} cannot be read: {reason}")
        answers = [
            self._answer(policy, meeting, past.at)
            for meeting in _meetings(past)
            if (policy := self._policies.get(scope, {}).get(meeting.action)) is not None
        ]
        for wanted in (True, None):
            for answer in answers:
                if answer.covered is wanted:
                    return answer
        return Cover(covered=False)

    def _has_gate(self, organization: str) -> bool:
        """Without the feature PostHog skips every policy (contract 1.4)."""
        there = self._live.resources.get(Address("Organization", (organization,)))
        if there is None or there.payload.get("available_product_features") is None:
            return True
        features = there.payload["available_product_features"]
        return any(feature.get("key") == "approvals" for feature in features)

    def _answer(self, policy: Policy, meeting: Meeting, at: datetime) -> Cover:
        made, changed = self._times(policy)
        if made is not None and made > at:
            return Cover(covered=False)
        if changed is not None and changed > at:
            note = f"{policy.address} was changed after it, and what it said before is in no log"
            return Cover(None, str(policy.address), note)
        asked = not meeting.release_only or selects(policy.conditions, RELEASE)
        if not policy.enabled or not asked:
            return Cover(covered=False)
        answer = evaluate(policy.conditions, meeting.fields)
        if not answer.sure:
            note = f"servers differ on whether {policy.address} is about it"
            return Cover(None, str(policy.address), note)
        return Cover(answer.gates, str(policy.address) if answer.gates else None)

    def _times(self, policy: Policy) -> tuple[datetime | None, datetime | None]:
        there = self._live.resources.get(policy.address)
        payload: Mapping[str, Any] = there.payload if there is not None else {}
        return _moment(payload.get("created_at")), _moment(payload.get("updated_at"))


def _meetings(past: Past) -> Iterator[Meeting]:
    """The actions that the write matched, as if it were to be made now."""
    action = Action.CREATE if past.before is None else Action.UPDATE
    payload = _FLAG.to_payload(past.before or {})
    before = LiveResource(past.address, "", past.before or {}, payload) if past.before else None
    fields = tuple(FieldChange(name, None, value) for name, value in past.after.items())
    change = Change(past.address, action, fields, desired=Resource(past.address, past.after))
    yield from gate_actions.meetings(change, before, split=False)


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
