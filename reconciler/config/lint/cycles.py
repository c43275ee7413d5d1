"""Find cycles: resources renamed into each other, and flags that depend on each other."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.files.text import make_error
from reconciler.kinds import KINDS
from reconciler.model import Address, Finding, Path, Resource, Source

_Edge = tuple[Address, Path]  # what is named, and where in the spec; () for `renamed_from`


def find_cycles(resources: Mapping[Address, Resource]) -> Iterator[Finding]:
    """Yield one error for each cycle, at its first resource."""
    renames: dict[Address, list[_Edge]] = {}
    needs: dict[Address, list[_Edge]] = {}
    for address, resource in resources.items():
        is_renamed = resource.lifecycle.renamed_from is not None
        if is_renamed and (former := _find_former_address(resource)):
            renames[address] = [(former, ())]
        if resource.may_refer and (edges := _list_flag_dependencies(resource)):
            needs[address] = edges
    for graph, message in (
        (renames, "renamed into each other"),
        (needs, "flags that depend on each other"),
    ):
        for ring in _search_cycles(graph):
            names = " → ".join(address.name for address, _ in (*ring, ring[0]))
            first, path = ring[0]
            resource = resources[first]
            source = resource.locate(path) or Source("", 1)
            why = "each needs the other to exist first"
            yield make_error("R015", f"{message}: {names}", source, why=why, fix="break the cycle")


def find_renamed_in_cycle(resources: Mapping[Address, Resource]) -> set[Address]:
    """Return the resources of cycles of renames, which `find_cycles` reports."""
    graph = {a: [(former, ())] for a, r in resources.items() if (former := _find_former_address(r))}
    return {address for ring in _search_cycles(graph) for address, _ in ring}


def _find_former_address(resource: Resource) -> Address | None:
    """Return the former address of a resource; another spelling of its name does not count."""
    if (name := resource.lifecycle.renamed_from) is None:
        return None
    address = resource.address
    respelled = name != address.name and name.casefold() == address.name.casefold()
    if respelled and KINDS[address.kind].folds_case:
        return None
    return Address(address.kind, (*address.parts[:-1], name))


def _list_flag_dependencies(resource: Resource) -> list[_Edge]:
    """Return the flags that the release conditions of a flag refer to."""
    edges: list[_Edge] = []
    is_flag = resource.address.kind == "FeatureFlag"
    filters: Any = (resource.spec.get("filters") if is_flag else None) or {}
    for number, group in enumerate(filters.get("groups") or ()):
        for index, item in enumerate(group.get("properties") or ()):
            if item.get("type") == "flag" and isinstance(item.get("key"), str):
                target = Address("FeatureFlag", (*resource.address.parts[:-1], item["key"]))
                edges.append((target, ("filters", "groups", number, "properties", index, "key")))
    return edges


def _search_cycles(graph: Mapping[Address, Iterable[_Edge]]) -> Iterator[list[_Edge]]:
    """Yield each cycle once: its resources, each with the path to the next. No recursion."""
    finished: set[Address] = set()
    for start in graph:
        trail: list[_Edge] = []
        on_trail: dict[Address, int] = {}
        todo = [(start, iter(graph[start]))] if start not in finished else []
        if todo:
            on_trail[start] = 0
        while todo:
            address, edges = todo[-1]
            edge = next(edges, None)
            if edge is None:
                todo.pop()
                finished.add(address)
                del on_trail[address]
                if trail:
                    trail.pop()
                continue
            target, path = edge
            if target in on_trail:
                yield [*trail[on_trail[target] :], (address, path)]
            elif target in graph and target not in finished:
                trail.append((address, path))
                on_trail[target] = len(todo)
                todo.append((target, iter(graph[target])))
