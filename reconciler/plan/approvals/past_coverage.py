"""Whether a policy covered a write that has happened, as far as today's policies can tell.

The log says what was written, never what the gate said. Policies carry the time at which they
were made and changed last, so that it is known when today's rules are no witness; what git says
of them is the second one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import (
    Action,
    Address,
    Change,
    Cover,
    Declared,
    FieldChange,
    Live,
    LiveResource,
    Resource,
    Spec,
    instant,
)
from reconciler.plan.approvals import actions, policies, server_generation
from reconciler.plan.approvals.actions import ActionMatch
from reconciler.plan.approvals.conditions import RELEASE, evaluate, selects
from reconciler.plan.approvals.policies import Policy, Scope
from reconciler.plan.approvals.server_generation import Generation

_FLAG: Final = KINDS["FeatureFlag"]


@dataclass(frozen=True, slots=True)
class Past:
    """A write of the past: the managed fields that it touched, before and after."""

    address: Address
    before: Spec | None  # None: it made the object
    after: Spec
    at: datetime


class PastCoverage:
    """Today's policies, asked about writes of the past."""

    def __init__(self, live: Live, desired: Declared) -> None:
        self._live = live
        self._declared = desired.resources
        self._generation = server_generation.learn(live) or Generation.G2
        self._policies = policies.existing(live)
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
            self._answer(scope, meeting, past.at) for meeting in _meetings(past, self._generation)
        ]
        for wanted in (True, None):
            for answer in answers:
                if answer.covered is wanted:
                    return answer
        return next((answer for answer in answers if answer.note), Cover(covered=False))

    def _has_gate(self, organization: str) -> bool:
        """Without the feature PostHog skips every policy (contract 1.4)."""
        there = self._live.resources.get(Address("Organization", (organization,)))
        if there is None or there.payload.get("available_product_features") is None:
            return True
        features = there.payload["available_product_features"]
        return any(feature.get("key") == "approvals" for feature in features)

    def _answer(self, scope: Scope, meeting: ActionMatch, at: datetime) -> Cover:
        """What one action met."""
        address = Address(policies.KIND, (*scope, meeting.action))
        live = self._policies.get(scope, {}).get(meeting.action)
        declared = self._in_git(address)
        before = _asks(declared, meeting) if declared is not None else None
        if live is None:
            said = f"{address} is in git and not live; since when is in no log"
            return Cover(None, str(address), said) if before else Cover(covered=False)
        made, changed = self._times(live)
        if made is not None and made > at:
            return Cover(covered=False)
        now = _asks(live, meeting)
        if changed is not None and changed > at:
            return _changed_later(address, now, before)
        if before and now is False:
            return Cover(covered=False, note=f"as git has {address} it would have been covered")
        return _cover(now, address, f"servers differ on whether {address} is about it")

    def _in_git(self, address: Address) -> Policy | None:
        resource = self._declared.get(address)
        if resource is None or resource.lifecycle.absent:
            return None
        return Policy(address, {**KINDS[policies.KIND].defaults, **resource.spec})

    def _times(self, policy: Policy) -> tuple[datetime | None, datetime | None]:
        there = self._live.resources.get(policy.address)
        payload: Mapping[str, Any] = there.payload if there is not None else {}
        return instant(payload.get("created_at")), instant(payload.get("updated_at"))


def _asks(policy: Policy, meeting: ActionMatch) -> bool | None:
    """Whether a policy holds such a write back; None where servers differ."""
    if not policy.enabled or (meeting.release_only and not selects(policy.conditions, RELEASE)):
        return False
    answer = evaluate(policy.conditions, meeting.fields)
    return answer.gates if answer.sure else None


def _changed_later(address: Address, now: bool | None, before: bool | None) -> Cover:
    """The policy says `now`, and `before` in git; what it said at the time is in no log."""
    if now or before:
        said = "changed later: taken as git has it, or as it is now"
        return Cover(covered=True, policy=str(address), note=said)
    said = f"{address} was changed later, and what it said then is in no log"
    return _cover(False if before is False else None, address, said)


def _cover(covered: bool | None, address: Address, doubt: str) -> Cover:
    """`doubt` is said where it cannot be told."""
    if covered is None:
        return Cover(None, str(address), doubt)
    return Cover(covered, str(address) if covered else None)


def _meetings(past: Past, spoken: Generation) -> Iterator[ActionMatch]:
    """The actions that the write matched, as if it were to be made now."""
    action = Action.CREATE if past.before is None else Action.UPDATE
    payload = _FLAG.to_payload(past.before or {})
    before = LiveResource(past.address, "", past.before or {}, payload) if past.before else None
    fields = tuple(FieldChange(name, None, value) for name, value in past.after.items())
    change = Change(past.address, action, fields, desired=Resource(past.address, past.after))
    yield from actions.meetings(change, before, spoken, split=False)
