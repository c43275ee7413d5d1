"""Find names that refer to nothing declared, but resemble a declared name.

Anything else may be live without being declared; that is for the plan to find out. People are never
guessed at: nearly the same address may well be another person's.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from reconciler.config.documents.build import ParsedDocument
from reconciler.config.documents.target_names import TargetNames
from reconciler.files import excerpts
from reconciler.files.text import make_error
from reconciler.kinds import KINDS, READ
from reconciler.model import (
    Address,
    Finding,
    Kind,
    MappingNode,
    Path,
    Resource,
    Scope,
    Severity,
    Source,
    locate_value,
    parse_id,
)
from reconciler.suggest import closest_match, find_near_miss

_PERSON: Final = "Member"
_SCOPES: Final = frozenset({"Organization", "Project"})
_REFERRED: Final = {one.kind for kind in KINDS.values() for one in kind.references}
_NAMED: Final = (_SCOPES | _REFERRED) - {_PERSON}
_TAKING_IDS: Final = {
    reference.kind
    for kind in KINDS.values()
    for reference in kind.references
    if reference.takes_ids
}
MAX_COMPARED: Final = 50_000  # pairs of names in one run, so that the cost stays linear


def find_near_misses(
    written: Collection[ParsedDocument], built: Iterable[tuple[Resource, MappingNode, Kind]]
) -> Iterator[Finding]:
    """Yield every reference that is a likely typo of a declared name.

    Args:
        written: every document, even with errors: its name is declared nevertheless.
        built: resources with their documents.

    """
    names = _DeclaredNames(written)
    matches: dict[tuple[str, str, str], str | None] = {}
    compared = 0
    sound: set[tuple[str, tuple[str, ...]]] = set()  # scopes in which no likely typo was found
    for resource, document, kind in built:
        kind_name, parts = resource.address
        scope = (kind_name, parts[:-1])
        if scope in sound and not resource.may_refer:
            continue
        sound.add(scope)
        metadata, organization = document["metadata"], parts[0]
        for named, name, path in _list_references(resource, metadata, kind):
            reference = (named, "" if named == "Organization" else organization, name)
            if reference not in matches:
                declared = names.list_names(reference[0], reference[1])
                is_there = name in declared or names.folds(*reference)
                compared += 0 if is_there else len(declared)
                too_many = compared > MAX_COMPARED
                matches[reference] = (
                    None if is_there or too_many else find_near_miss(name, declared)
                )
            if match := matches[reference]:
                sound.discard(scope)
                source = locate_value(document, path, resource.source or Source("", 1))
                declared = names.list_names(reference[0], reference[1])
                yield _make_finding(named, name, match, source, declared[match])


class _DeclaredNames:
    """The names that documents declare, by kind; only of the kinds that somebody asks for."""

    def __init__(self, written: Collection[ParsedDocument]) -> None:
        self._written = written
        self._known: dict[str, dict[str, dict[str, Source]]] = {}
        self._folded: dict[tuple[str, str], set[str]] = {}

    def list_names(self, kind: str, organization: str) -> Mapping[str, Source]:
        """Return each name with its place; those of organizations are in the organization ""."""
        if kind not in self._known:
            self._known[kind] = _collect_names(kind, self._written)
        return self._known[kind].get(organization, {})

    def folds(self, kind: str, organization: str, name: str) -> bool:
        """Return whether the kind ignores letter case, and one of its names differs in it only."""
        if kind not in KINDS or not KINDS[kind].folds_case:
            return False
        key = (kind, organization)
        if key not in self._folded:
            self._folded[key] = {each.casefold() for each in self.list_names(*key)}
        return name.casefold() in self._folded[key]


def _collect_names(kind: str, written: Iterable[ParsedDocument]) -> dict[str, dict[str, Source]]:
    names: dict[str, dict[str, Source]] = {}
    for document in written:
        if document.kind.name == kind:
            metadata = document.document["metadata"]
            organization = "" if kind == "Organization" else metadata["organization"]
            scope = names.setdefault(organization, {})
            scope[metadata[document.kind.key]] = document.source
            lifecycle = metadata.get("lifecycle")
            former = lifecycle.get("renamed_from") if isinstance(lifecycle, dict) else None
            if isinstance(former, str):
                scope.setdefault(former, document.source)
    return names


def _list_references(
    resource: Resource, metadata: MappingNode, kind: Kind
) -> Iterator[tuple[str, str, Path]]:
    """Yield kind, name and path of every reference of a document, except people."""
    if kind.scope is not Scope.INSTANCE:
        yield "Organization", metadata["organization"], ("metadata", "organization")
    if "project" in metadata:
        yield "Project", metadata["project"], ("metadata", "project")
    for reference, path, name in kind.list_references(resource.written):
        is_name = isinstance(name, str) and not name.startswith("id:")
        if is_name and reference.kind in _NAMED:
            yield reference.kind, name, ("spec", *path)


def find_mapping_typos(written: Iterable[ParsedDocument], names: TargetNames) -> Iterator[Finding]:
    """Yield a warning for each name in `projects` of the target that is a likely typo.

    The documents would then mean the live project of their own name, such as that of production.
    """
    node = names.projects
    if not isinstance(node, MappingNode) or not node:
        return
    named: set[str] = set()
    for document in written:
        metadata = document.document["metadata"]
        key = document.kind.key if document.kind.name == "Project" else "project"
        live_name = metadata.get(key)
        named.add(names.find_document_name(live_name) or "" if isinstance(live_name, str) else "")
        selectors = metadata.get("projects")
        if isinstance(selectors, list):
            named.update(each for each in selectors if isinstance(each, str))
    for name in node.keys() - named:
        if match := closest_match(name, named - node.keys()):
            finding = Finding(
                "R008",
                Severity.WARNING,
                f'no document names the project "{name}" of `projects`',
                why=f'documents name "{match}", which is the project of that name in PostHog',
                fix=f'did you mean "{match}"?',
                source=node.key_source(name),
                width=len(name),
            )
            yield excerpts.attach_excerpt(finding)


def find_ids_in_templates(
    templates: Iterable[Resource], declared: Iterable[Address]
) -> Iterator[Finding]:
    """Yield a warning for each id in a document for several projects: it is of one of them."""
    keys = {(address.kind, address.name) for address in declared}
    for resource in templates:
        for reference, path, name in KINDS[resource.address.kind].list_references(resource.written):
            id_ = parse_id(name, digits=True) if reference.takes_ids else None
            if id_ is None or (isinstance(name, str) and (reference.kind, name) in keys):
                continue
            noun = READ[reference.kind].noun
            yield Finding(
                "R029",
                Severity.WARNING,
                f"the ID {id_} of a {noun} in a document for several projects",
                why="an ID is of one project: in any other it means another object, or none",
                fix=f"write the {'key' if reference.kind == 'FeatureFlag' else 'name'} "
                f"of the {noun}",
                source=resource.locate(path),
            )


def _make_finding(
    kind: str, name: str, match: str, source: Source, match_source: Source
) -> Finding:
    noun = READ[kind].noun
    if kind in _TAKING_IDS:  # an object without a document may have a similar name
        return Finding(
            "R008",
            Severity.WARNING,
            f'no {noun} in the files is called "{name}"',
            why="if PostHog has none either, the plan refuses it",
            fix=f'did you mean "{match}" ({match_source})?',
            source=source,
            width=len(name),
        )
    return make_error(
        "R008",
        f'no {noun} is called "{name}"',
        source,
        why=f"the files declare no {noun} of this name",
        fix=f'did you mean "{match}" ({match_source})?',
        width=len(name),
    )
