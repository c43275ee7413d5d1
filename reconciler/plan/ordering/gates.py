"""Gates get stricter before the writes that they cover, and weaker after them.

A weaker gate waits for every flag of its projects that this run sends. A flag for which nothing is
sent, because a change request is open or was turned down, is not waited for: what would let its
approvers decide could else never come.
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


def around(
    moving: Mapping[Address, Change], needs: Mapping[Address, set[Address]], leans: GateEffects
) -> None:
    """Add to `needs` what flags wait for, what waits for flags, and gates among each other."""
    written = _written(moving)
    for scope, stricter in _stricter(moving, leans).items():
        for address in written.get(scope, ()):
            needs[address] |= stricter
    for address in leans.last():
        for scope in leans.found[address].scopes:
            needs[address].update(
                one for one in written.get(scope, ()) if moving[one].gate.verdict not in _NOT_SENT
            )
    for address, others in leans.waits.items():
        needs[address] |= others


def _written(moving: Mapping[Address, Change]) -> _ByScope:
    """What policies cover and this plan creates or updates, by project."""
    written: dict[_Scope, set[Address]] = defaultdict(set)
    for address, change in moving.items():
        if KINDS[address.kind].after and change.action is not Action.DELETE:
            written[address.parts[:-1]].add(address)
    return written


def _stricter(moving: Mapping[Address, Change], leans: GateEffects) -> _ByScope:
    """What goes before the flags of a project: its policies, and what strengthens them."""
    policies = {name for kind in KINDS.values() for name in kind.after}
    last, found = leans.last(), defaultdict(set)
    for address, change in moving.items():
        if change.action is Action.DELETE or address in last:
            continue
        lean = leans.found.get(address)
        scopes = set(lean.scopes) if lean is not None else set()
        if address.kind in policies:
            scopes.add(address.parts[:-1])
        for scope in scopes:
            found[scope].add(address)
    return found
