"""What is live and in no file: told, and with `--prune` deleted. What is never taken, and why."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from reconciler.kinds import KINDS, fold
from reconciler.model import (
    Address,
    Change,
    Declared,
    Finding,
    Lifecycle,
    Live,
    LiveResource,
    Resource,
    Severity,
    is_foreign,
)
from reconciler.plan.diff import three_way

_PRUNED: Final = Finding(
    code="pruned", severity=Severity.NOTICE, message="it is in no file, and --prune was given"
)


def found(desired: Declared, base: Declared | None, live: Live) -> Iterator[Address]:
    """Live, of a kind and scope that the files speak of, but in no file. Sorted."""
    known = {fold(address) for address in desired.resources}
    known |= {fold(address) for address in base.resources} if base else set()
    known |= {fold(old) for old in three_way.list_old_addresses(desired)}
    spoken = {(a.kind, a.parts[:-1]) for a in desired.resources if a.kind != "Organization"}
    for address in sorted(live.resources):
        if (address.kind, address.parts[:-1]) in spoken and fold(address) not in known:
            yield address


def prune(
    addresses: Iterable[Address], meant: Iterable[Change], live: Live
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """A delete of each, but of what is never pruned; and what was left alone, with the reason.

    Args:
        addresses: what is in no file.
        meant: the changes of what is; their live objects are not pruned under another name.
        live: the live side.

    """
    owned = {(change.address.kind, change.live_id) for change in meant}
    gone: list[Change] = []
    kept: list[Finding] = []
    for address in addresses:
        there = live.resources[address]
        if (address.kind, there.id) in owned:
            continue
        if why := _spared(there, live):
            kept.append(_left_alone(address, why))
            continue
        resource = Resource(address, {}, lifecycle=Lifecycle(absent=True), id=there.id)
        change = three_way.compare_resource(resource, None, there)
        gone.append(replace(change, pruned=True, warnings=(_PRUNED,)))
    return tuple(gone), tuple(kept)


def _spared(there: LiveResource, live: Live) -> str:
    """Why one is never pruned, if so."""
    address = there.address
    if KINDS[address.kind].protected:
        return f"a {address.kind} is never pruned"
    if is_foreign(there.spec):
        return "a tag `iac:…` says that another tool manages it"
    if address in live.twins:
        return f"it is live {len(live.twins[address])} times, and which one is meant is not known"
    if address.kind == "Member":
        if live.me is None:
            return "whose key this is cannot be read, and nobody is to lock themselves out"
        if live.me.email.casefold() == address.name.casefold():
            return "it is who this key acts as"
    return ""


def _left_alone(address: Address, why: str) -> Finding:
    return Finding(
        code="prune-left-alone",
        severity=Severity.NOTICE,
        message=f"{address} is in no file, and is left alone",
        why=why,
        address=address,
    )


def notice(setting: str, number: int, *, asked: bool) -> Iterator[Finding]:
    """Where what the target says of the unmanaged and what the command asks for do not meet."""
    if setting == "ignore" and asked:
        yield Finding(
            code="prune-ignored",
            severity=Severity.WARNING,
            message="--prune deletes nothing: the target says `unmanaged: ignore`",
            fix="say `unmanaged: report` or `delete` in reconciler.yaml, or leave --prune out",
        )
    elif setting == "delete" and number and not asked:
        have = "resource is" if number == 1 else "resources are"
        yield Finding(
            code="prune-waits",
            severity=Severity.NOTICE,
            message=f"{number:,} {have} in no file and would be deleted with --prune",
            why="the target says `unmanaged: delete`, which deletes only together with --prune",
        )
