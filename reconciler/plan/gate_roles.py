"""Roles and levels, as they are live and as a plan leaves them."""

from collections.abc import Mapping

from reconciler.kind import level_number, moving
from reconciler.model import Action, Change, Live

Members = Mapping[tuple[str, str], tuple[str, ...]]  # organization, folded role -> emails


def members(live: Live) -> Members:
    """Return who holds which role, as far as the key may see them (contract 8.4)."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for address, there in live.resources.items():
        if address.kind == "Role":
            key = (address.organization, address.name.casefold())
            if address.organization in live.partial:
                held = there.payload.get("members") or ()
                found[key] = tuple(str(one["user"]["email"]) for one in held)
            else:
                found[key] = tuple(there.spec.get("members") or ())
    return found


def planned_levels(changes: tuple[Change, ...]) -> Mapping[tuple[str, str], int]:
    """The levels that the plan sets, by organization and lower-case email."""
    return {
        (change.address.organization, change.address.name.lower()): level_number(
            change.desired.spec["level"]
        )
        for change in changes
        if change.address.kind == "Member"
        and change.action is Action.UPDATE
        and change.desired is not None
        and "level" in change.desired.spec
    }


def planned_members(changes: tuple[Change, ...], live: Members) -> Members:
    """Who holds which role after the plan; a renamed one is known by both names."""
    found = dict(live)
    for change in changes:
        if change.address.kind != "Role" or change.action is Action.NONE:
            continue
        key = (change.address.organization, change.address.name.casefold())
        if change.action is Action.DELETE:
            found.pop(key, None)
            continue
        renamed = next((one.live for one in change.fields if one.path == "metadata.name"), None)
        old = (key[0], str(renamed).casefold()) if renamed is not None else key
        sent = moving(change)
        held = tuple(sent["members"] or ()) if "members" in sent else live.get(old, ())
        found[key] = found[old] = held
    return found
