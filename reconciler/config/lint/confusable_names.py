"""Check names that people will misread, or that PostHog would not store as written."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.files.text import find_hidden_character, make_error
from reconciler.kinds.organization import LONGEST_SLUG
from reconciler.lookalikes import escaped, look, yaml_scalar
from reconciler.model import (
    Finding,
    Kind,
    MappingNode,
    Path,
    Resource,
    Scope,
    Severity,
    Source,
    value_place,
    values_at,
)

Built = tuple[Resource, MappingNode, Kind]
_Kin = tuple[
    str, tuple[str, ...], str
]  # kind, scope, and how a name looks, or its name in one case


def check_names(built: Iterable[Built]) -> Iterator[Finding]:
    """Yield the findings about names of resources that are otherwise well-formed."""
    suspects: list[Built] = []
    by_case: dict[_Kin, Built] = {}
    seen: set[str] = set()
    slugs: set[str] = set()
    rows = tuple(built)
    for row in rows:
        resource, document, kind = row
        parts = resource.address.parts
        name = parts[-1]
        if parts[0] not in slugs:
            slugs.add(parts[0])
            yield from _check_slug(parts[0], document)
        for part in parts[1:]:
            if part not in seen:
                seen.add(part)
                key = kind.key if part is name or kind.scope is not Scope.PROJECT else "project"
                yield from _check_visible(part, document, key)
        if not name.isascii() or "  " in name:
            suspects.append(row)
        other = by_case.setdefault((kind.name, parts[:-1], name.casefold()), row)
        if other is not row and not kind.folds_case and other[0].address != resource.address:
            yield _make_case_finding(row, other[0])
    if suspects:
        by_look: dict[_Kin, Built] = {}
        for row in rows:
            address = row[0].address
            by_look.setdefault((address.kind, address.parts[:-1], look(address.name)), row)
        yield from _check_lookalikes(rows, by_look)
    yield from _check_references(rows)


def _check_lookalikes(rows: Iterable[Built], by_look: Mapping[_Kin, Built]) -> Iterator[Finding]:
    for resource, document, kind in rows:
        address = resource.address
        other, _, _ = by_look[kind.name, address.parts[:-1], look(address.name)]
        if other.address != address:
            place = _locate_metadata(document, kind.key)
            yield _make_lookalike_finding(address.name, place, other.address.name, other.source)


def _make_lookalike_finding(name: str, place: Source, other: str, there: Source | None) -> Finding:
    return make_error(
        "R012",
        f"the name {escaped(name)} looks like another one",
        place,
        why=f"{escaped(other)} at {there} looks the same",
        fix="type one of the two again, or rename it",
    )


def _make_case_finding(row: Built, other: Resource) -> Finding:
    resource, document, kind = row
    return Finding(
        "R012",
        Severity.WARNING,
        f"{resource.address.name!r} and {other.address.name!r} differ in case only",
        why=f"PostHog keeps them apart, people do not; the other one is at {other.source}",
        fix="rename one of them",
        source=_locate_metadata(document, kind.key),
    )


def _check_references(rows: tuple[Built, ...]) -> Iterator[Finding]:
    """Check names of people and roles for invisible characters and look-alikes."""
    odd: list[_Mention] = []
    usual: dict[_Kin, tuple[str, Source | None]] = {}
    for one in _list_mentions(rows):
        if one.name.isascii() and one.name.isprintable() and one.name == look(one.name):
            usual.setdefault((*one.scope, one.name), (one.name, one.resource.source))
        else:
            odd.append(one)
    for resource, _, kind in rows if odd else ():
        key = (kind.name, resource.address.parts[:1], look(resource.address.name))
        usual.setdefault(key, (resource.address.name, resource.source))
    for one in odd:
        place = value_place(one.document, ("spec", *one.path), one.resource.source or Source("", 1))
        other = usual.get((*one.scope, look(one.name)))
        if found := find_hidden_character(one.name):
            yield _make_hidden_finding(one.name, found, place)
        elif one.name != one.name.strip():
            yield _make_trimmed_finding(one.name, place)
        elif other is not None and other[0].casefold() != one.name.casefold():
            yield _make_lookalike_finding(one.name, place, *other)


@dataclass(frozen=True, slots=True)
class _Mention:
    """A name that a document refers to, with the kind and organization it is one of."""

    name: str
    scope: tuple[str, tuple[str, ...]]
    path: Path
    resource: Resource
    document: MappingNode


def _list_mentions(rows: Iterable[Built]) -> Iterator[_Mention]:
    for resource, document, kind in rows:
        for reference in kind.references:
            scope = (reference.kind, resource.address.parts[:1])
            for path, name in values_at(resource.written, reference.path):
                if isinstance(name, str):
                    yield _Mention(name, scope, path, resource, document)


def _make_hidden_finding(name: str, found: str, place: Source) -> Finding:
    message = f"the name {name!a} has the character {found}, which cannot be seen"
    return make_error("R012", message, place, fix="type the name again")


def _check_visible(name: str, document: MappingNode, key: str) -> Iterator[Finding]:
    if found := find_hidden_character(name):
        yield _make_hidden_finding(name, found, _locate_metadata(document, key))
    elif key == "project" and (name.startswith("!") or "*" in name):
        yield Finding(
            "R013",
            Severity.WARNING,
            f"`project` is one name, not a selector: {name!r}",
            fix=f'write `projects: ["{name}"]` if that is meant',
            source=_locate_metadata(document, key),
        )
    elif name != name.strip():
        yield _make_trimmed_finding(name, _locate_metadata(document, key))


def _make_trimmed_finding(name: str, place: Source) -> Finding:
    """Find names that PostHog trims (contract 1.3): what it creates has another name."""
    return make_error(
        "R018",
        f"the name {escaped(name)} starts or ends with a space",
        place,
        why="PostHog cuts it off, so nothing ever has this name",
        fix=f"write {yaml_scalar(name.strip())}" if name.strip() else "write a name",
    )


def _check_slug(slug: str, document: MappingNode) -> Iterator[Finding]:
    """Find what no slug of PostHog can be (contract 6.1)."""
    if slug != slug.lower():
        why, fix = "PostHog keeps slugs in lower case", f"write {slug.lower()}"
    elif len(slug) > LONGEST_SLUG:
        why = f"it has {len(slug)} characters, and PostHog cuts slugs to {LONGEST_SLUG}"
        fix = "copy the slug from the organization's address in PostHog"
    else:
        return
    place = _locate_metadata(document, "organization")
    yield make_error("R018", f"no organization has the slug {slug}", place, why=why, fix=fix)


def _locate_metadata(document: MappingNode, key: str) -> Source:
    metadata: MappingNode = document["metadata"]
    return metadata.value_source(key if key in metadata else "organization")
