"""Find whether a policy covered a past write, as far as today's policies show.

The activity log has what was written, but not what the gate decided. Policies have the times at
which they were created and last changed, so it is known when today's rules do not apply to the
past; the policies in git are the second source.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
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
    join_sentences,
    parse_time,
)
from reconciler.plan.approvals import (
    actions,
    owners,
    policies,
    server_generation,
    write_gates,
)
from reconciler.plan.approvals.actions import ActionMatch
from reconciler.plan.approvals.conditions import RELEASE, are_about, evaluate_conditions
from reconciler.plan.approvals.evaluation import describe_owner_doubt
from reconciler.plan.approvals.policies import Policy, Scope
from reconciler.plan.approvals.server_generation import Generation

_FLAG: Final = KINDS["FeatureFlag"]


@dataclass(frozen=True, slots=True)
class PastWrite:
    """A past write: the managed fields that it changed, before and after."""

    address: Address
    before: Spec | None  # None: the write created the object
    after: Spec | None  # None: the write deleted it
    at: datetime


class PastCoverage:
    """Today's policies, applied to past writes."""

    def __init__(self, live: Live, desired: Declared) -> None:
        self._live = live
        self._declared = desired.resources
        self._generations = server_generation.list_possible_generations(live)
        self._scoped = owners.list_scoped_organizations(live)
        self._policies = policies.list_live_policies(live)
        self._closed = {
            gap.scope: gap.reason
            for gap in live.unreadable
            if gap.kind in {"ApprovalPolicy", "ChangeRequest"}
        }

    def find_cover(
        self, address: Address, before: Spec | None, after: Spec | None, at: datetime
    ) -> Cover:
        """Return whether a policy covered this write."""
        write = PastWrite(address, before, after, at)
        if not KINDS[write.address.kind].gated or not self._has_gate(write.address.organization):
            return Cover(covered=False)
        scope = write.address.parts[:-1]
        if (reason := self._closed.get(scope)) is not None:
            project = "/".join(scope)
            return Cover(None, note=f"policies or requests of {project} cannot be read: {reason}")
        return _merge_covers(
            [self._cover_write(write, generation) for generation in self._generations]
        )

    def _cover_write(self, write: PastWrite, generation: Generation) -> Cover:
        """Return whether a policy covered this write on a server of this generation."""
        if KINDS[write.address.kind].write_gates:
            return self._cover_whole_write(write, generation)
        covers = [
            self._cover_action(write.address.parts[:-1], action_match, write.at)
            for action_match in self._match_actions(write, generation)
        ]
        for covered in (True, None):
            for cover in covers:
                if cover.covered is covered:
                    return cover
        return next((cover for cover in covers if cover.note), Cover(covered=False))

    def _match_actions(self, write: PastWrite, generation: Generation) -> tuple[ActionMatch, ...]:
        """Return the actions that the write matches, as if it were made now."""
        action = Action.CREATE if write.before is None else Action.UPDATE
        before = self._build_former_flag(write) if write.before else None
        after = write.after or {}
        fields = tuple(FieldChange(name, None, value) for name, value in after.items())
        change = Change(write.address, action, fields, desired=Resource(write.address, after))
        scoped = write.address.organization in self._scoped
        return actions.match_actions(change, before, generation, split=False, scoped=scoped)

    def _build_former_flag(self, write: PastWrite) -> LiveResource:
        """Return the flag before the write, with its present owner."""
        spec = write.before or {}
        live_flag = self._live.resources.get(write.address)
        present = live_flag.payload if live_flag is not None else {}
        shown = {name: present[name] for name in owners.SHOWN_IN if name in present}
        return LiveResource(write.address, "", spec, {**_FLAG.to_payload(spec), **shown})

    def _cover_whole_write(self, write: PastWrite, generation: Generation) -> Cover:
        """Return whether a policy covered a write that is gated as a whole (contract 16)."""
        action = Action.DELETE if write.after is None else Action.UPDATE
        gate = KINDS[write.address.kind].find_write_gate(action, write.after or {})
        creates = write.before is None and action is Action.UPDATE
        if gate is None or creates or generation is not Generation.G3:
            return Cover(covered=False)
        project_policies = self._policies.get(write.address.parts[:-1], {})
        governing = write_gates.find_governing_policy(gate, project_policies)
        if governing is None:
            return Cover(covered=False)
        created, changed = self._read_times(governing.policy)
        if created is not None and created > write.at:
            return Cover(covered=False)
        policy, note = str(governing.policy.address), governing.doubt
        if changed is not None and changed > write.at:
            note = f"{policy} was changed later; no log has its state at that time"
        return Cover(None, policy, note) if note else Cover(covered=True, policy=policy)

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
            _requires_approval(declared, action_match)[0] if declared is not None else None
        )
        if live_policy is None:
            note = f"{address} is in git but not live; no log says since when"
            return Cover(None, str(address), note) if covered_in_git else Cover(covered=False)
        created, changed = self._read_times(live_policy)
        if created is not None and created > at:
            return Cover(covered=False)
        covered_now, doubt = _requires_approval(live_policy, action_match)
        if changed is not None and changed > at:
            return _cover_changed_policy(address, covered_now, covered_in_git)
        if covered_in_git and covered_now is False:
            return Cover(covered=False, note=f"under {address} as in git it would be covered")
        return _build_cover(covered_now, address, doubt)

    def _find_declared(self, address: Address) -> Policy | None:
        resource = self._declared.get(address)
        if resource is None or resource.lifecycle.absent:
            return None
        return Policy(address, {**KINDS[policies.KIND].defaults, **resource.spec})

    def _read_times(self, policy: Policy) -> tuple[datetime | None, datetime | None]:
        live_policy = self._live.resources.get(policy.address)
        payload: Mapping[str, Any] = live_policy.payload if live_policy is not None else {}
        return parse_time(payload.get("created_at")), parse_time(payload.get("updated_at"))


def _merge_covers(covers: Sequence[Cover]) -> Cover:
    """Return the cover on a server that may be of any of these generations, the newest first."""
    newest = covers[0]
    if all(cover.covered is newest.covered for cover in covers):
        return newest
    policy = next(cover.policy for cover in covers if cover.policy is not None)
    doubts = [cover.note for cover in covers if cover.covered is None]
    if any(cover.covered is False for cover in covers):
        doubts.append(server_generation.GATED_BY_SOME)
    return Cover(None, policy, join_sentences(*dict.fromkeys(doubts)))


def _requires_approval(policy: Policy, action_match: ActionMatch) -> tuple[bool | None, str]:
    """Return whether a policy requires approval of such a write; None, and why it is unknown."""
    if not policy.enabled or (
        action_match.only_if_selected and not are_about(policy.conditions, RELEASE)
    ):
        return False, ""
    result = evaluate_conditions(policy.conditions, action_match.fields)
    if not result.is_certain:
        return None, f"servers differ on whether {policy.address} covers it"
    if result.gates and (doubt := describe_owner_doubt(policy, action_match, result)):
        return None, doubt
    return result.gates, ""


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
