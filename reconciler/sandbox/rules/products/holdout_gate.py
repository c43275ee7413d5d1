"""The approval gate on holdouts: a single operation, however many flags it writes (contract 16).

Without a policy of its own, a holdout is gated by that of the flags which it writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.sandbox.protocol.errors import server_error
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.rules import conditions, gate, gate_answers
from reconciler.sandbox.rules.change_requests import NewRequest, file_request
from reconciler.sandbox.rules.products import holdouts
from reconciler.sandbox.store.model import ChangeRequest, Policy
from reconciler.sandbox.store.products import Holdout, read_exclusion

_FIELD = "exclusion_percentage"


@dataclass(frozen=True, slots=True)
class HoldoutChange:
    """A change of a holdout that passed validation; without values it is a delete."""

    holdout: Holdout
    values: Mapping[str, Any] | None = None

    @property
    def action_key(self) -> str:
        """Return the action that the change performs."""
        return holdouts.DELETE if self.values is None else holdouts.UPDATE

    @property
    def wanted(self) -> Any:
        """Return the share that the change asks for, or None."""
        return read_exclusion((self.values or {}).get("filters"))

    @property
    def is_gateable(self) -> bool:
        """Return whether the change is one that policies cover (contract 16.1, 16.2)."""
        if self.values is None:
            return True
        return self.wanted is not None and self.wanted != self.holdout.exclusion


def check_change(call: Call, change: HoldoutChange) -> Response | None:
    """Return None when the change may be applied, otherwise its 409 or 400."""
    if not call.organization.has("approvals") or not change.is_gateable:
        return None
    own = gate.find_policies(call, change.action_key)
    matching = [policy for policy in own if _conditions_hold(policy)]
    if len(matching) > 1:
        return gate_answers.refuse_several_policies(call, own)
    policy = own[0] if own else _find_fallback(call)
    if policy is None or gate.bypasses(call, policy) or not _conditions_hold(policy):
        return None
    return _require_approval(call, change, policy)


def _conditions_hold(policy: Policy) -> bool:
    """Evaluate conditions over nothing: the action supplies no positions (contract 16.1)."""
    return conditions.are_met(policy.conditions, before={}, after={}, crash=_FIELD)


def _find_fallback(call: Call) -> Policy | None:
    """Return the policy of the flag writes, without its conditions."""
    keys = ["feature_flag.update"]
    if call.organization.owner_scoping:  # otherwise the first one is a hidden copy of the second
        keys.insert(0, "experiment.update")
    policies = [policy for key in keys for policy in gate.find_policies(call, key)]
    return replace(policies[0], conditions={}) if policies else None


def _require_approval(call: Call, change: HoldoutChange, policy: Policy) -> Response:
    of_view = change.values is None
    resource = str(change.holdout.id)
    for request in call.tx.find_all(
        ChangeRequest,
        project=call.project.id,
        action_key=change.action_key,
        resource_type=holdouts.RESOURCE_TYPE,
        resource_id=resource,
    ):
        if request.state in ("pending", "approved") and not call.fault_effect.race:
            return gate_answers.answer_pending(call, request, of_view=of_view)
    intent = _make_intent(call, change)
    new = NewRequest(
        action_key=change.action_key,
        resource_type=holdouts.RESOURCE_TYPE,
        resource_id=resource,
        intent=intent,
        display=_describe_intent(intent),
    )
    try:
        request = file_request(call, new, policy)
    except OverflowError as error:
        raise server_error("Failed to create approval request") from error
    return gate_answers.answer_filed(call, request, policy, of_view=of_view)


def _make_intent(call: Call, change: HoldoutChange) -> dict[str, Any]:
    holdout = change.holdout
    intent: dict[str, Any] = {
        "holdout_id": holdout.id,
        "holdout_name": holdout.name,
        "current_state": {_FIELD: holdout.exclusion},
        "gated_changes": {"deleted": True},
        "affected_experiments": holdouts.list_affected(call.tx, holdout),
        "http_method": call.incoming.method,
    }
    if change.values is None:
        return intent
    return {
        **intent,
        "gated_changes": {_FIELD: change.wanted},
        "desired_filters": change.values["filters"],
        "desired_changes": dict(change.values),
    }


def _describe_intent(intent: Mapping[str, Any]) -> dict[str, Any]:
    name, count = intent["holdout_name"], len(intent["affected_experiments"])
    before, after = intent["current_state"], intent["gated_changes"]
    description = f"Delete holdout '{name}', releasing its users into {count} experiments"
    if _FIELD in after:
        description = (
            f"Change holdout '{name}' exclusion from {before[_FIELD]}% to {after[_FIELD]}%,"
            f" affecting {count} experiments"
        )
    return {"description": description, "before": before, "after": after}
