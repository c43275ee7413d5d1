"""Dependencies, and one order for all: what is needed first, deletes reversed and last.

organization → project → role → approval policy → feature flag

What only weakens a gate goes after the flags that it covers (`order_gates`).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from reconciler.kinds import KINDS, fold
from reconciler.model import Action, Address, Change, Finding, Severity, values_at
from reconciler.plan.diff.references import Edges
from reconciler.plan.ordering import flag_dependencies, gates
from reconciler.plan.weakening.effects import GateEffects


def linked(
    changes: tuple[Change, ...], edges: Edges, leans: GateEffects
) -> tuple[tuple[Change, ...], tuple[Finding, ...]]:
    """The changes in the order of apply, each with what it depends on."""
    moving = {change.address: change for change in changes if change.action is not Action.NONE}
    needs = {address: _needs(change, edges, moving, leans) for address, change in moving.items()}
    gates.around(moving, needs, leans)
    flag_dependencies.around(moving, needs)
    _deletes_last(moving, needs)
    late = {address: _late(moving[address], found, moving) for address, found in needs.items()}
    graph = {address: found - late[address] for address, found in needs.items()}
    cycles = tuple(_broken_cycles(graph))
    order = _sorted(graph, moving)
    place = {address: number for number, address in enumerate(order)}
    result = [
        replace(
            change,
            depends_on=tuple(sorted(graph[change.address])),
            late=tuple(sorted(late[change.address])),
        )
        if change.address in graph
        else change
        for change in changes
    ]
    result.sort(key=lambda c: (place.get(c.address, len(place)), _rank(c.address), c.address))
    return tuple(result), cycles


def _rank(address: Address) -> int:
    return KINDS[address.kind].rank


def _needs(
    change: Change, edges: Edges, moving: Mapping[Address, Change], leans: GateEffects
) -> set[Address]:
    """What it names, where that itself has to move first."""
    if change.action is Action.DELETE:
        return set()
    found = set()
    for target in edges.get(change.address, ()):
        other = moving.get(target)
        if other is None or target == change.address or other.action is Action.DELETE:
            continue
        if target.kind == change.address.kind == flag_dependencies.KIND:
            continue  # see `dependencies`: it depends on which way the two move
        inside = target.parts == change.address.parts[: len(target.parts)]
        first = not inside and _orders(change.address, target)
        if other.action is Action.CREATE or (first and not leans.turns(change.address, target)):
            found.add(target)
    return found


def _orders(address: Address, target: Address) -> bool:
    """Whether a reference to an existing resource makes its update go first."""
    return any(r.kind == target.kind and r.orders for r in KINDS[address.kind].references)


def _deletes_last(moving: Mapping[Address, Change], needs: Mapping[Address, set[Address]]) -> None:
    """What is deleted waits for everything that still names it or lives in it."""
    doomed = {fold(a): a for a, change in moving.items() if change.action is Action.DELETE}
    if not doomed:
        return
    users: dict[Address, set[Address]] = defaultdict(set)
    for address in moving:
        for number in range(1, len(address.parts)):
            kind = "Organization" if number == 1 else "Project"
            users[Address(kind, address.parts[:number])].add(address)
        there = moving[address].before
        for reference in KINDS[address.kind].references if there else ():
            if reference.kind == flag_dependencies.KIND:
                continue  # see `dependencies`
            for _, name in values_at(there.spec if there else {}, reference.path):
                users[fold(reference.target(address, name))].add(address)
    for target, address in doomed.items():
        needs[address].update(users[target] - {address})


def _late(change: Change, found: set[Address], moving: Mapping[Address, Change]) -> set[Address]:
    """A new organization cannot wait for roles that live in it: only its last call does."""
    if change.action is not Action.CREATE:
        return set()
    mine = change.address.parts
    return {
        target
        for target in found
        if target.parts[: len(mine)] == mine and moving[target].action is Action.CREATE
    }


def _broken_cycles(graph: Mapping[Address, set[Address]]) -> Iterator[Finding]:
    """Take edges out of `graph` until it has no cycle; yield an error for each of its resources.

    Policies and the people whom they name can wait for each other, too: a role that leaves the
    approvers of a policy and enters its bypass has no order in which nothing gets weaker.
    """
    while (ring := _find_cycle(graph)) is not None:
        after, before = min((after, before) for before, after in pairwise(ring))
        graph[after].discard(before)
        message = "these resources need each other: " + " → ".join(map(str, ring))
        fix = "take one of the references out, apply, and put it back"
        for address in sorted(set(ring)):
            yield Finding("cycle", Severity.ERROR, message, fix=fix, address=address)


def _find_cycle(graph: Mapping[Address, set[Address]]) -> list[Address] | None:
    """Return addresses each of which the next one needs, the first again at the end; or None."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def _sorted(
    graph: Mapping[Address, set[Address]], moving: Mapping[Address, Change]
) -> list[Address]:
    """Layer by layer, inside one by rank and name, so that output is stable; deletes last."""
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    order: list[Address] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=lambda a: (_rank(a), a))
        order.extend(ready)
        sorter.done(*ready)
    last = {a for a in order if moving[a].action is Action.DELETE} - _waited_for(graph, moving)
    order.sort(key=last.__contains__)
    return order


def _waited_for(
    graph: Mapping[Address, set[Address]], moving: Mapping[Address, Change]
) -> set[Address]:
    """Return the deletes that an update needs: of a flag whose dependency is switched off."""
    found: set[Address] = set()
    todo = [a for a, change in moving.items() if change.action is not Action.DELETE]
    while todo:
        for other in graph.get(todo.pop(), ()):
            if moving[other].action is Action.DELETE and other not in found:
                found.add(other)
                todo.append(other)
    return found
