"""Order gates: stricter before the writes that they cover, weaker after them.

A weaker gate waits for every flag of its projects that this run sends. It does not wait for a flag
for which nothing is sent, because a change request is open or was rejected: otherwise a change
that lets its approvers decide could never be applied.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Change, Verdict
from reconciler.plan.weakening.effects import GateEffects

_NOT_SENT: Final = frozenset({Verdict.PENDING, Verdict.BLOCKED, Verdict.REJECTED})
_Scope = tuple[str, ...]
_ByScope = Mapping[_Scope, set[Address]]


def add_needs(
    moving: Mapping[Address, Change], needs: Mapping[Address, set[Address]], effects: GateEffects
) -> None:
    """Add to `needs` what flags wait for, what waits for flags, and the order of gates."""
    written = _index_written(moving)
    for scope, stricter in _index_stricter(moving, effects).items():
        for address in written.get(scope, ()):
            needs[address] |= stricter
    for address in effects.list_last():
        for scope in effects.by_change[address].scopes:
            needs[address].update(
                address
                for address in written.get(scope, ())
                if moving[address].gate.verdict not in _NOT_SENT
            )
    for address, others in effects.waits_for.items():
        needs[address] |= others


def _index_written(moving: Mapping[Address, Change]) -> _ByScope:
    """Return what policies cover and this plan creates or updates, by project."""
    written: dict[_Scope, set[Address]] = defaultdict(set)
    for address, change in moving.items():
        if KINDS[address.kind].after and change.action is not Action.DELETE:
            written[address.parts[:-1]].add(address)
    return written


def _index_stricter(moving: Mapping[Address, Change], effects: GateEffects) -> _ByScope:
    """Return what goes before the flags of a project: policies and what strengthens them."""
    policies = {name for kind in KINDS.values() for name in kind.after}
    last, stricter = effects.list_last(), defaultdict(set)
    for address, change in moving.items():
        if change.action is Action.DELETE or address in last:
            continue
        effect = effects.by_change.get(address)
        scopes = set(effect.scopes) if effect is not None else set()
        if address.kind in policies:
            scopes.add(address.parts[:-1])
        for scope in scopes:
            stricter[scope].add(address)
    return stricter
