"""Names that refer to nothing declared, where a declared one is nearly the same: a slip.

Anything else may be live without being declared; that is for the plan to find out. People are never
guessed at: nearly the same address may well be another person's.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from reconciler.config.documents import Written
from reconciler.config.near import near_miss
from reconciler.config.text import error
from reconciler.kind import Kind, Scope
from reconciler.kinds import KINDS
from reconciler.model import Finding, Resource
from reconciler.paths import Path, values_at
from reconciler.source import MappingNode, Source, value_place

Names = Mapping[tuple[str, str], Mapping[str, Source]]
"""(kind, organization) -> name -> place; organizations under ("Organization", "")."""

_PERSON: Final = "Member"
_SCOPES: Final = frozenset({"Organization", "Project"})
_REFERRED: Final = {one.kind for kind in KINDS.values() for one in kind.references}
_NAMED: Final = (_SCOPES | _REFERRED) - {_PERSON}
MAX_COMPARED: Final = 50_000  # pairs of names in one run, so that the cost stays linear


def near_misses(
    written: Iterable[Written], built: Iterable[tuple[Resource, MappingNode, Kind]]
) -> Iterator[Finding]:
    """Every reference that is a slip of a declared name.

    Args:
        written: every document, also what has errors: its name is declared all the same.
        built: resources with their documents.

    """
    names = _names(written)
    folded = {
        scope: {name.casefold() for name in declared}
        for scope, declared in names.items()
        if KINDS[scope[0]].folds_case
    }
    known: dict[tuple[str, str, str], str | None] = {}
    compared = 0
    for resource, document, kind in built:
        organization = resource.address.organization
        for named, name, path in _references(resource, document["metadata"], kind):
            asked = (named, "" if named == "Organization" else organization, name)
            if asked not in known:
                declared = names.get(asked[:2], {})
                same = name.casefold() in folded.get(asked[:2], ())
                is_there = same or name in declared
                compared += 0 if is_there else len(declared)
                too_many = compared > MAX_COMPARED
                known[asked] = None if is_there or too_many else near_miss(name, declared)
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


def _references(
    resource: Resource, metadata: MappingNode, kind: Kind
) -> Iterator[tuple[str, str, Path]]:
    """Kind, name and path of everything that a document names, people left out."""
    if kind.scope is not Scope.INSTANCE:
        yield "Organization", metadata["organization"], ("metadata", "organization")
    if "project" in metadata:
        yield "Project", metadata["project"], ("metadata", "project")
    for reference in kind.references:
        if reference.kind not in _NAMED:
            continue
        for path, name in values_at(resource.written, reference.path):
            if isinstance(name, str) and not name.startswith("id:"):
                yield reference.kind, name, ("spec", *path)


def _finding(kind: str, name: str, meant: str, place: Source, other: Source) -> Finding:
    what = kind.lower()
    return error(
        "R008",
        f'no {what} is called "{name}"',
        place,
        why=f"the files declare no {what} of this name",
        fix=f'did you mean "{meant}" ({other})?',
        width=len(name),
    )
