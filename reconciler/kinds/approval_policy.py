"""Define approval policies (contract 3): which writes wait, and for whom."""

from typing import Any, Final

from reconciler.model import (
    EXPERIMENT_ACTIONS,
    Kind,
    Payload,
    Reference,
    Scope,
    Spec,
    build_field_reader,
    format_duration,
    format_duration_clock,
    format_level,
    normalize_set,
    parse_duration,
    parse_level,
)
from reconciler.normal_form import values

_LONGEST: Final = 86_400 * 10**9  # seconds; a longer duration is refused (contract 3.2)
SAME = ("enabled", "conditions", "allow_self_approve", "bypass_roles")


def to_spec(payload: Payload) -> Spec:
    """Return the spec of a payload; people and roles still as ids."""
    spec: dict[str, Any] = {name: payload[name] for name in SAME if name in payload}
    if "approver_config" in payload:
        spec["approvers"] = dict(payload["approver_config"] or {})
    if "bypass_org_membership_levels" in payload:  # null on old servers (contract 13)
        spec["bypass_levels"] = [
            format_level(level) for level in payload["bypass_org_membership_levels"] or ()
        ]
    if payload.get("expires_after") is not None:
        spec["expires_after"] = payload["expires_after"]
    return spec


def to_payload(spec: Spec) -> Payload:
    """Return the payload of a spec."""
    payload: dict[str, Any] = {name: spec[name] for name in SAME if name in spec}
    if "approvers" in spec:
        approvers = spec["approvers"]
        payload["approver_config"] = {
            **approvers,
            "users": [int(user) for user in approvers.get("users") or ()],
        }
    if "bypass_levels" in spec:
        payload["bypass_org_membership_levels"] = [
            parse_level(level) for level in spec["bypass_levels"]
        ]
    if "expires_after" in spec:
        payload["expires_after"] = format_duration_clock(parse_duration(spec["expires_after"]))
    return payload


def normalize(spec: Spec) -> Spec:
    """Complete and sort the approvers, and write durations in one form (contract 3.1, 3.2)."""
    normal = dict(spec)
    if "approvers" in spec:
        approvers = spec["approvers"]
        normal["approvers"] = {
            **{name: values.normalize_number(value) for name, value in approvers.items()},
            "users": normalize_set(approvers.get("users") or ()),
            "roles": normalize_set(approvers.get("roles") or ()),
        }
    if "bypass_levels" in spec:
        normal["bypass_levels"] = normalize_set(
            format_level(parse_level(level)) for level in spec["bypass_levels"] or ()
        )
    if "bypass_roles" in spec:
        normal["bypass_roles"] = normalize_set(spec["bypass_roles"] or ())
    if "expires_after" in spec:
        seconds = parse_duration(spec["expires_after"])
        if abs(seconds) >= _LONGEST:
            raise ValueError("`expires_after` is longer than PostHog can store")
        normal["expires_after"] = format_duration(seconds)
    return normal


def explain_unavailable(action: str, attr: str | None) -> str:
    """Return why a policy for an experiment is refused, if PostHog says so (contract 3.8)."""
    if action not in EXPERIMENT_ACTIONS or attr != "action_key":
        return ""
    return f"`{action}` is not available in this organization yet"


KIND = Kind(
    name="ApprovalPolicy",
    scope=Scope.PROJECT,
    rank=50,
    key="action",
    collection="/api/projects/{project}/approval_policies/",
    item="/api/projects/{project}/approval_policies/{id}/",
    plural="approval_policies",
    noun="approval policy",
    api_scope="approvals",
    to_spec=to_spec,
    to_payload=to_payload,
    for_admins=True,
    canonical=normalize,
    identify=build_field_reader("action_key"),
    key_payload="action_key",
    unavailable=explain_unavailable,
    search="action_key",
    references=(
        Reference("approvers.users[]", kind="Member"),
        Reference("approvers.roles[]", kind="Role"),
        Reference("bypass_roles[]", kind="Role"),
    ),
    sets=("approvers.users", "approvers.roles", "bypass_levels", "bypass_roles"),
    atomic=("approvers", "conditions"),
    defaults={
        "enabled": True,
        "conditions": {},
        "allow_self_approve": False,
        "bypass_levels": [],
        "bypass_roles": [],
        "expires_after": "14d",
    },
)
