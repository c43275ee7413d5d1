"""Find the policy of a write that is gated as a whole, such as of a holdout (contract 16).

Without its own policy, the policy of another action applies, and its conditions do not count.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Action, Change, WriteGate, get_root
from reconciler.plan.approvals.actions import ActionMatch, list_calls
from reconciler.plan.approvals.conditions import are_about, find_fault
from reconciler.plan.approvals.messages import format_value
from reconciler.plan.approvals.policies import Policy


@dataclass(frozen=True, slots=True)
class WriteMatch:
    """One gated write, and what a policy's conditions can look at: nothing."""

    gate: WriteGate
    action_match: ActionMatch


@dataclass(frozen=True, slots=True)
class GoverningPolicy:
    """The enabled policy that decides a write."""

    policy: Policy  # a fallback has no conditions here
    is_own: bool
    crashes: bool = False  # PostHog cannot evaluate its conditions
    doubt: str = ""  # why the forecast is not certain


def match_write(change: Change) -> WriteMatch | None:
    """Return the gated write that a change makes; None if no policy covers it."""
    kind = KINDS[change.address.kind]
    values = {get_root(field.path): (field.live, field.desired) for field in change.fields}
    gate = kind.find_write_gate(change.action, values)
    if gate is None:
        return None
    name = next((name for name in gate.fields if name in values), "")
    before, after = map(format_value, values.get(name, (None, None)))
    transition = f"{name}: {before} -> {after}" if name else f"every {change.action}"
    sends = next((call for call in list_calls(change, split=False) if name in call), ())
    call = name or str(change.action)
    return WriteMatch(gate, ActionMatch(gate.action, call, transition, {}, sends=sends))


def may_be_gated(change: Change) -> bool:
    """Return whether it depends on policies, or on open requests, how a change is written."""
    kind = KINDS[change.address.kind]
    if change.action is Action.NONE or not kind.gated:
        return False
    return bool(kind.gates) or match_write(change) is not None


_GATES: Final = {gate.action: gate for kind in KINDS.values() for gate in kind.write_gates}


def find_replaced_policy(after: Policy | None, policies: Mapping[str, Policy]) -> Policy | None:
    """Return the fallback that gates until now what a policy will gate; under its address.

    `policies` are those of the project before. None if the policy itself gated it, or nothing did.
    """
    if after is None or not after.enabled or (gate := _GATES.get(after.action)) is None:
        return None
    governing = find_governing_policy(gate, policies)
    if governing is None or governing.is_own:
        return None
    return replace(governing.policy, address=after.address)


def find_governing_policy(
    gate: WriteGate, policies: Mapping[str, Policy]
) -> GoverningPolicy | None:
    """Return the enabled policy of a project that decides such a write, if there is one."""
    own = policies.get(gate.action)
    if own is not None and own.enabled:
        if not own.conditions:
            return GoverningPolicy(own, is_own=True)
        crashes = are_about(own.conditions, gate.looks_at) and find_fault(own.conditions) is None
        doubt = f"PostHog gives the condition of {own.address} no value to look at"
        return GoverningPolicy(own, is_own=True, crashes=crashes, doubt=doubt)
    for action in gate.fallbacks:
        fallback = policies.get(action)
        if fallback is not None and fallback.enabled:
            plain = replace(fallback, spec={**fallback.spec, "conditions": {}})
            ignored = ", without its condition" if fallback.conditions else ""
            doubt = (
                f"the project has no policy for {gate.action}, so {action} applies{ignored}, "
                "unless an organization-wide policy, which cannot be read, comes first"
            )
            return GoverningPolicy(plain, is_own=False, doubt=doubt)
    return None
