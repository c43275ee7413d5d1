"""Names that refer to nothing declared, where a declared one is nearly the same: a slip.

Anything else may be live without being declared; that is for the plan to find out.
"""

from collections.abc import Iterable, Iterator, Mapping

from reconciler.config.near import near_miss
from reconciler.config.text import error
from reconciler.kind import Scope
from reconciler.kinds import KINDS
from reconciler.model import Address, Finding, MappingNode, Resource, Source, values_at

Names = Mapping[tuple[str, str], Mapping[str, Resource]]
"""(kind, organization) -> name -> resource; organizations under ("Organization", "")."""


def near_misses(
    resources: Mapping[Address, Resource], built: Iterable[tuple[Resource, MappingNode]]
) -> Iterator[Finding]:
    """Every reference that is a slip of a declared name; `built` has the documents as well."""
    names = _names(resources)
    known: dict[tuple[str, str, str], str | None] = {}
    for resource, document in built:
        for kind, name, place in _references(resource, document["metadata"]):
            organization = "" if kind == "Organization" else resource.address.organization
            asked = (kind, organization, name)
            if asked not in known:
                known[asked] = _meant(names.get((kind, organization), {}), kind, name)
            if meant := known[asked]:
                yield _finding(kind, name, meant, place, names[kind, organization][meant])


def _names(resources: Mapping[Address, Resource]) -> Names:
    names: dict[tuple[str, str], dict[str, Resource]] = {}
    for address, resource in resources.items():
        if address.kind in {"Organization", "Project", "Role"}:
            organization = "" if address.kind == "Organization" else address.organization
            names.setdefault((address.kind, organization), {})[address.name] = resource
            if former := resource.lifecycle.renamed_from:
                names[address.kind, organization].setdefault(former, resource)
    return names


def _meant(declared: Mapping[str, Resource], kind: str, name: str) -> str | None:
    if name in declared:
        return None
    if KINDS[kind].folds_case and name.casefold() in {other.casefold() for other in declared}:
        return None
    return near_miss(name, declared)


def _references(resource: Resource, metadata: MappingNode) -> Iterator[tuple[str, str, Source]]:
    """Kind, name and place of everything that a resource names, people left out."""
    kind = KINDS[resource.address.kind]
    place = resource.source or Source("", 1)
    if kind.scope is not Scope.INSTANCE:
        yield "Organization", metadata["organization"], metadata.value_source("organization")
    if "project" in metadata:
        yield "Project", metadata["project"], metadata.value_source("project")
    for reference in kind.references:
        if reference.kind == "Member":
            continue
        for path, name in values_at(resource.written, reference.path):
            if isinstance(name, str):
                yield reference.kind, name, resource.locate(path) or place


def _finding(kind: str, name: str, meant: str, place: Source, other: Resource) -> Finding:
    what = {"Organization": "organization", "Project": "project", "Role": "role"}[kind]
    return error(
        "R008",
        f'no {what} is called "{name}"',
        place,
        why=f"the files declare no {what} of this name",
        fix=f'did you mean "{meant}" ({other.source})?',
        width=len(name),
    )
