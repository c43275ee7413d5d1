"""Find whether a policy covered a past write, as far as today's policies show.

The activity log has what was written, but not what the gate decided. Policies have the times at
which they were created and last changed, so it is known when today's rules do not apply to the
past; the policies in git are the second source.
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
    parse_time,
)
from reconciler.plan.approvals import actions, policies, server_generation
from reconciler.plan.approvals.actions import ActionMatch
from reconciler.plan.approvals.conditions import RELEASE, are_about, evaluate_conditions
from reconciler.plan.approvals.policies import Policy, Scope
from reconciler.plan.approvals.server_generation import Generation

_FLAG: Final = KINDS["FeatureFlag"]


@dataclass(frozen=True, slots=True)
class PastWrite:
    """A past write: the managed fields that it changed, before and after."""

    address: Address
    before: Spec | None  # None: the write created the object
    after: Spec
    at: datetime


class PastCoverage:
    """Today's policies, applied to past writes."""

    def __init__(self, live: Live, desired: Declared) -> None:
        self._live = live
        self._declared = desired.resources
        self._generation = server_generation.detect_generation(live) or Generation.G2
        self._policies = policies.list_live_policies(live)
        self._closed = {
            gap.scope: gap.reason
            for gap in live.unreadable
            if gap.kind in {"ApprovalPolicy", "ChangeRequest"}
        }

    def find_cover(self, address: Address, before: Spec | None, after: Spec, at: datetime) -> Cover:
        """Return whether a policy covered this write."""
        write = PastWrite(address, before, after, at)
        if not KINDS[write.address.kind].gated or not self._has_gate(write.address.organization):
            return Cover(covered=False)
        scope = write.address.parts[:-1]
        if (reason := self._closed.get(scope)) is not None:
            project = "/".join(scope)
            return Cover(None, note=f"policies or requests of {project} cannot be read: {reason}")
        covers = [
            self._cover_action(scope, action_match, write.at)
            for action_match in _match_past_actions(write, self._generation)
        ]
        for covered in (True, None):
            for cover in covers:
                if cover.covered is covered:
                    return cover
        return next((cover for cover in covers if cover.note), Cover(covered=False))

    def _has_gate(self, organization: str) -> bool:
        """Return whether policies have effect: they need a feature (contract 1.4)."""
        organization_object = self._live.resources.get(Address("Organization", (organization,)))
        if (
            organization_object is None
            or organization_object.payload.get("available_product_features") is None
        ):
            return True
        features = organization_object.payload["available_product_features"]
        return any(feature.get("key") == "approvals" for feature in features)

    def _cover_action(self, scope: Scope, action_match: ActionMatch, at: datetime) -> Cover:
        """Return whether a policy covered one action."""
        address = Address(policies.KIND, (*scope, action_match.action))
        live_policy = self._policies.get(scope, {}).get(action_match.action)
        declared = self._find_declared(address)
        covered_in_git = (
            _requires_approval(declared, action_match) if declared is not None else None
        )
        if live_policy is None:
            note = f"{address} is in git but not live; no log says since when"
            return Cover(None, str(address), note) if covered_in_git else Cover(covered=False)
        created, changed = self._read_times(live_policy)
        if created is not None and created > at:
            return Cover(covered=False)
        covered_now = _requires_approval(live_policy, action_match)
        if changed is not None and changed > at:
            return _cover_changed_policy(address, covered_now, covered_in_git)
        if covered_in_git and covered_now is False:
            return Cover(covered=False, note=f"under {address} as in git it would be covered")
        return _build_cover(covered_now, address, f"servers differ on whether {address} covers it")

    def _find_declared(self, address: Address) -> Policy | None:
        resource = self._declared.get(address)
        if resource is None or resource.lifecycle.absent:
            return None
        return Policy(address, {**KINDS[policies.KIND].defaults, **resource.spec})

    def _read_times(self, policy: Policy) -> tuple[datetime | None, datetime | None]:
        live_policy = self._live.resources.get(policy.address)
        payload: Mapping[str, Any] = live_policy.payload if live_policy is not None else {}
        return parse_time(payload.get("created_at")), parse_time(payload.get("updated_at"))


def _requires_approval(policy: Policy, action_match: ActionMatch) -> bool | None:
    """Return whether a policy requires approval of such a write; None where servers differ."""
    if not policy.enabled or (
        action_match.only_if_selected and not are_about(policy.conditions, RELEASE)
    ):
        return False
    result = evaluate_conditions(policy.conditions, action_match.fields)
    return result.gates if result.is_certain else None


def _cover_changed_policy(
    address: Address, covered_now: bool | None, covered_in_git: bool | None
) -> Cover:
    """Return the cover under a policy that was changed since: its state at the time is unknown."""
    if covered_now or covered_in_git:
        note = "changed later: its state in git, or its present one, is assumed"
        return Cover(covered=True, policy=str(address), note=note)
    note = f"{address} was changed later; no log has its state at that time"
    return _build_cover(False if covered_in_git is False else None, address, note)


def _build_cover(covered: bool | None, address: Address, doubt: str) -> Cover:
    """Return a cover; `doubt` is its note where it is unknown whether the write was covered."""
    if covered is None:
        return Cover(None, str(address), doubt)
    return Cover(covered, str(address) if covered else None)


def _match_past_actions(write: PastWrite, generation: Generation) -> Iterator[ActionMatch]:
    """Yield the actions that the write matched, as if it were made now."""
    action = Action.CREATE if write.before is None else Action.UPDATE
    payload = _FLAG.to_payload(write.before or {})
    before = LiveResource(write.address, "", write.before or {}, payload) if write.before else None
    fields = tuple(FieldChange(name, None, value) for name, value in write.after.items())
    change = Change(write.address, action, fields, desired=Resource(write.address, write.after))
    yield from actions.match_actions(change, before, generation, split=False)
