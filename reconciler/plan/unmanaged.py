"""Unmanaged resources: live, not declared. Reported, and with `--prune` deleted."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import (
    EXPERIMENT_ACTIONS,
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
from reconciler.plan.diff import removals, three_way
from reconciler.plan.diff.matching import FoldedAddresses

_PRUNED: Final = Finding(
    code="pruned", severity=Severity.NOTICE, message="it is not declared, and --prune was given"
)


def list_unmanaged(desired: Declared, base: Declared | None, live: Live) -> Iterator[Address]:
    """Yield live resources of declared kinds and scopes that no file declares, sorted."""
    others = live.resources.keys() - desired.resources.keys()
    kinds = {address.kind for address in others} - {"Organization"}
    if not kinds:
        return
    declared_in = {(a.kind, a.parts[:-1]) for a in desired.resources if a.kind in kinds}
    known = [
        FoldedAddresses(desired.resources),
        FoldedAddresses(base.resources if base is not None else ()),
        FoldedAddresses(frozenset(removals.list_old_addresses(desired))),
    ]
    for address in sorted(a for a in others if (a.kind, a.parts[:-1]) in declared_in):
        if not any(addresses.find_equal(address) for addresses in known):
            yield address


def plan_prune(
    addresses: Iterable[Address], declared: Iterable[Change], live: Live
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """Return a delete of each, except of what is never pruned, and what is not changed, and why.

    Policies of experiments are reported elsewhere, together.

    Args:
        addresses: what is in no file.
        meant: the changes of what is; their live objects are not pruned under another name.
        live: the live side.

    """
    owned = {(change.address.kind, change.live_id) for change in declared}
    deletes: list[Change] = []
    left_alone: list[Finding] = []
    for address in addresses:
        resource_live = live.resources[address]
        if (address.kind, resource_live.id) in owned or is_experiment_policy(address):
            continue
        if why := _explain_spared(resource_live, live):
            left_alone.append(_report_left_alone(address, why))
            continue
        resource = Resource(address, {}, lifecycle=Lifecycle(absent=True), id=resource_live.id)
        change = three_way.compare_resource(resource, None, resource_live)
        deletes.append(replace(change, pruned=True, warnings=(_PRUNED,)))
    return tuple(deletes), tuple(left_alone)


def is_experiment_policy(address: Address) -> bool:
    """Return whether it is a policy that PostHog may have made itself (contract 3.8).

    Nobody declared such a policy on the day on which it appears, and without it the flags of
    experiments are not gated.
    """
    return address.kind == "ApprovalPolicy" and address.name in EXPERIMENT_ACTIONS


def _explain_spared(resource: LiveResource, live: Live) -> str:
    """Return why a resource is never pruned; empty if it may be."""
    address = resource.address
    if KINDS[address.kind].protected:
        return f"a {address.kind} is never pruned"
    if is_foreign(resource.spec):
        return "a tag `iac:…` says that another tool manages it"
    if address in live.duplicates:
        return (
            f"it is live {len(live.duplicates[address])} times, so it is not clear which one to use"
        )
    if address.kind == "Member":
        if live.me is None:
            return "the user of this key cannot be read, and nobody may lock themselves out"
        if live.me.email.casefold() == address.name.casefold():
            return "it is the user of this key"
    return ""


def _report_left_alone(address: Address, why: str) -> Finding:
    return Finding(
        code="prune-left-alone",
        severity=Severity.NOTICE,
        message=f"{address} is not declared in any file; not changed",
        why=why,
        address=address,
    )


def check_setting(setting: str, unmanaged: Iterable[Address], *, prune: bool) -> Iterator[Finding]:
    """Yield a finding where the `unmanaged` setting and the command line do not fit together."""
    number = sum(not is_experiment_policy(address) for address in unmanaged)
    if setting == "ignore" and prune:
        yield Finding(
            code="prune-ignored",
            severity=Severity.WARNING,
            message="--prune deletes nothing: the target has `unmanaged: ignore`",
            fix="set `unmanaged: report` or `delete` in reconciler.yaml, or leave --prune out",
        )
    elif setting == "delete" and number and not prune:
        have = "resource is" if number == 1 else "resources are"
        yield Finding(
            code="prune-waits",
            severity=Severity.NOTICE,
            message=f"{number:,} {have} not declared in any file and would be deleted with --prune",
            why="the target has `unmanaged: delete`, which deletes only together with --prune",
        )
