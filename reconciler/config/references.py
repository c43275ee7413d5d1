"""Names that refer to nothing declared, where a declared one is nearly the same: a slip.

Anything else may be live without being declared; that is for the plan to find out.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from reconciler.config.documents import Written
from reconciler.config.explain import value_place
from reconciler.config.near import near_miss
from reconciler.config.text import error
from reconciler.kind import Kind, Scope
from reconciler.kinds import KINDS
from reconciler.model import Finding, Resource
from reconciler.paths import Path, values_at
from reconciler.source import MappingNode, Source

Names = Mapping[tuple[str, str], Mapping[str, Source]]
"""(kind, organization) -> name -> place; organizations under ("Organization", "")."""

_NAMED: Final = frozenset({"Organization", "Project", "Role"})


def near_misses(
    written: Iterable[Written], built: Iterable[tuple[Resource, MappingNode, Kind]]
) -> Iterator[Finding]:
    """Every reference that is a slip of a declared name.

    Args:
        written: every document, also what has errors: its name is declared all the same.
        built: resources with their documents.

    """
    names = _names(written)
    known: dict[tuple[str, str, str], str | None] = {}
    for resource, document, kind in built:
        organization = resource.address.organization
        for named, name, path in _references(resource, document["metadata"], kind):
            asked = (named, "" if named == "Organization" else organization, name)
            if asked not in known:
                known[asked] = _meant(names.get(asked[:2], {}), named, name)
            if meant := known[asked]:
                place = value_place(document, path, resource.source or Source("", 1))
                yield _finding(named, name, meant, place, names[asked[:2]][meant])


def _names(written: Iterable[Written]) -> Names:
    names: dict[tuple[str, str], dict[str, Source]] = {}
    for one in written:
        kind = one.kind.name
        if kind in _NAMED:
            metadata = one.document["metadata"]
            organization = "" if kind == "Organization" else metadata["organization"]
            scope = names.setdefault((kind, organization), {})
            scope[metadata[one.kind.key]] = one.source
            lifecycle = metadata.get("lifecycle")
            former = lifecycle.get("renamed_from") if isinstance(lifecycle, dict) else None
            if isinstance(former, str):
                scope.setdefault(former, one.source)
    return names


def _meant(declared: Mapping[str, Source], kind: str, name: str) -> str | None:
    if name in declared:
        return None
    if KINDS[kind].folds_case and name.casefold() in {other.casefold() for other in declared}:
        return None
    return near_miss(name, declared)


def _references(
    resource: Resource, metadata: MappingNode, kind: Kind
) -> Iterator[tuple[str, str, Path]]:
    """Kind, name and path of everything that a document names, people left out."""
    if kind.scope is not Scope.INSTANCE:
        yield "Organization", metadata["organization"], ("metadata", "organization")
    if "project" in metadata:
        yield "Project", metadata["project"], ("metadata", "project")
    for reference in kind.references:
        if reference.kind == "Member":
            continue
        for path, name in values_at(resource.written, reference.path):
            if isinstance(name, str):
                yield reference.kind, name, ("spec", *path)


def _finding(kind: str, name: str, meant: str, place: Source, other: Source) -> Finding:
    what = {"Organization": "organization", "Project": "project", "Role": "role"}[kind]
    return error(
        "R008",
        f'no {what} is called "{name}"',
        place,
        why=f"the files declare no {what} of this name",
        fix=f'did you mean "{meant}" ({other})?',
        width=len(name),
    )
