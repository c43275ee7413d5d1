"""Order changes: what is needed goes first, deletes in reverse and last.

organization → project → role → approval policy → feature flag

What only weakens a gate goes after the flags that it covers (`ordering.gates`). A holdout goes
before gated changes of the flags that PostHog writes with it (`plan.rewrites`), and a project
before flags without tags if it stops requiring them (`plan.required_labels`).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from operator import attrgetter

from reconciler.kinds import KINDS, fold_name
from reconciler.model import (
    Action,
    Address,
    Change,
    Finding,
    Live,
    Severity,
    iterate_values,
    select_written,
)
from reconciler.plan import required_labels, rewrites
from reconciler.plan.diff.references import Edges
from reconciler.plan.ordering import flag_dependencies, gates
from reconciler.plan.weakening.effects import GateEffects


def order_changes(
    changes: tuple[Change, ...], edges: Edges, effects: GateEffects, live: Live
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """Return the changes in the order of apply, each with what it depends on."""
    moving = {change.address: change for change in select_written(changes)}
    needs = {
        address: _find_needs(change, edges, moving, effects) for address, change in moving.items()
    }
    gates.add_needs(moving, needs, effects)
    flag_dependencies.add_needs(moving, needs)
    _put_deletes_last(moving, needs)
    rewrites.add_needs(moving, needs, live)
    required_labels.add_needs(moving, needs)
    late = {
        address: _find_late(moving[address], needed, moving) for address, needed in needs.items()
    }
    graph = {address: needed - late[address] for address, needed in needs.items()}
    cycles = tuple(_break_cycles(graph))
    order = _sort(graph, moving)
    ordered = [
        replace(
            moving[address],
            depends_on=tuple(sorted(graph[address])),
            late=tuple(sorted(late[address])),
        )
        for address in order
    ]
    return (*ordered, *_sort_unchanged(changes)), cycles


def _sort_unchanged(changes: Iterable[Change]) -> list[Change]:
    """Return the changes with the action `none`, by rank and address."""
    none = Action.NONE
    unchanged = [change for change in changes if change.action is none]
    unchanged.sort(key=attrgetter("address"))  # they mostly are sorted, so this takes little
    if len({change.address.kind for change in unchanged}) > 1:
        unchanged.sort(key=lambda change: _get_rank(change.address))
    return unchanged


def _get_rank(address: Address) -> int:
    return KINDS[address.kind].rank


def _find_needs(
    change: Change, edges: Edges, moving: Mapping[Address, Change], effects: GateEffects
) -> set[Address]:
    """Return what a change refers to and has to wait for."""
    if change.action is Action.DELETE:
        return set()
    needs = set()
    for target in edges.get(change.address, ()):
        other = moving.get(target)
        if other is None or target == change.address or other.action is Action.DELETE:
            continue
        if target.kind == change.address.kind == flag_dependencies.KIND:
            continue  # see `flag_dependencies`: it depends on what each change does
        inside = target.parts == change.address.parts[: len(target.parts)]
        first = not inside and _is_ordering(change.address, target)
        if other.action is Action.CREATE or (
            first and not effects.is_reordered(change.address, target)
        ):
            needs.add(target)
    return needs


def _is_ordering(address: Address, target: Address) -> bool:
    """Return whether a reference to an existing resource makes its update go first."""
    return any(r.kind == target.kind and r.orders for r in KINDS[address.kind].references)


def _put_deletes_last(
    moving: Mapping[Address, Change], needs: Mapping[Address, set[Address]]
) -> None:
    """Let deletes wait for everything that still refers to the object or lives in it."""
    doomed = {fold_name(a): a for a, change in moving.items() if change.action is Action.DELETE}
    if not doomed:
        return
    users: dict[Address, set[Address]] = defaultdict(set)
    for address in moving:
        for number in range(1, len(address.parts)):
            kind = "Organization" if number == 1 else "Project"
            users[Address(kind, address.parts[:number])].add(address)
        live = moving[address].before
        for reference in KINDS[address.kind].references if live else ():
            if reference.kind == flag_dependencies.KIND or rewrites.is_cleared(reference.kind):
                continue  # see `flag_dependencies`; PostHog removes the second from the flags
            for _, name in iterate_values(live.spec if live else {}, reference.path):
                users[fold_name(reference.target(address, name))].add(address)
    for target, address in doomed.items():
        needs[address].update(users[target] - {address})


def _find_late(
    change: Change, needs: set[Address], moving: Mapping[Address, Change]
) -> set[Address]:
    """Return what only the last call of a create waits for: roles of a new organization."""
    if change.action is not Action.CREATE:
        return set()
    parts = change.address.parts
    return {
        target
        for target in needs
        if len(target.parts) > len(parts)
        and target.parts[: len(parts)] == parts
        and moving[target].action is Action.CREATE
    }


def _break_cycles(graph: Mapping[Address, set[Address]]) -> Iterator[Finding]:
    """Take edges out of `graph` until it has no cycle; yield an error for each of its resources.

    Policies and the people whom they name can wait for each other, too: a role that leaves the
    approvers of a policy and enters its bypass has no order in which nothing gets weaker.
    """
    while (ring := _find_cycle(graph)) is not None:
        after, before = min((after, before) for before, after in pairwise(ring))
        graph[after].discard(before)
        message = "these resources need each other: " + " → ".join(map(str, ring))
        fix = "remove one of the references, apply, and add it again"
        for address in sorted(set(ring)):
            yield Finding("cycle", Severity.ERROR, message, fix=fix, address=address)


def _find_cycle(graph: Mapping[Address, set[Address]]) -> list[Address] | None:
    """Return addresses each of which the next one needs, the first again at the end; or None."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def _sort(graph: Mapping[Address, set[Address]], moving: Mapping[Address, Change]) -> list[Address]:
    """Return the addresses layer by layer, each sorted by rank and name; deletes last."""
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    order: list[Address] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=lambda a: (_get_rank(a), a))
        order.extend(ready)
        sorter.done(*ready)
    last = {a for a in order if moving[a].action is Action.DELETE} - _find_awaited_deletes(
        graph, moving
    )
    order.sort(key=last.__contains__)
    return order


def _find_awaited_deletes(
    graph: Mapping[Address, set[Address]], moving: Mapping[Address, Change]
) -> set[Address]:
    """Return the deletes that an update needs: of a flag whose dependency is switched off."""
    awaited: set[Address] = set()
    pending = [a for a, change in moving.items() if change.action is not Action.DELETE]
    while pending:
        for other in graph.get(pending.pop(), ()):
            if moving[other].action is Action.DELETE and other not in awaited:
                awaited.add(other)
                pending.append(other)
    return awaited
