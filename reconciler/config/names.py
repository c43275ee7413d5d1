"""Names that people will misread: characters that cannot be seen, or that look like others."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.config.text import error, hidden_characters
from reconciler.kind import Kind, Scope
from reconciler.model import Finding, Resource, Severity
from reconciler.paths import Path, values_at
from reconciler.source import MappingNode, Source, value_place

_CYRILLIC: Final = (
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u04bb\u0501"
    "\u051b\u051d\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422"
    "\u0423\u0425\u0406\u0408\u0405\u050c"
)
_CYRILLIC_LOOKS: Final = "aceopxyijshdqwABEKMHOPCTYXIJSG"
_GREEK: Final = (
    "\u03b1\u03bd\u03bf\u03c1\u03c4\u03c5\u03b9\u03ba\u0391\u0392\u0395\u0396"
    "\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
)
_GREEK_LOOKS: Final = "avoptuikABEZHIKMNOPTYX"
_LOOKS: Final = str.maketrans(_CYRILLIC + _GREEK, _CYRILLIC_LOOKS + _GREEK_LOOKS)

Built = tuple[Resource, MappingNode, Kind]
_Kin = tuple[
    str, tuple[str, ...], str
]  # kind, scope, and how a name looks, or its name in one case


def findings(built: Iterable[Built]) -> Iterator[Finding]:
    """Everything wrong with the names of resources that are well-formed otherwise."""
    suspects: list[Built] = []
    by_case: dict[_Kin, Built] = {}
    seen: set[str] = set()
    rows = tuple(built)
    for row in rows:
        resource, document, kind = row
        parts = resource.address.parts
        name = parts[-1]
        for part in parts[1:]:
            if part not in seen:
                seen.add(part)
                key = kind.key if part is name or kind.scope is not Scope.PROJECT else "project"
                yield from _visible(part, document, key)
        if not name.isascii():
            suspects.append(row)
        other = by_case.setdefault((kind.name, parts[:-1], name.casefold()), row)
        if other is not row and not kind.folds_case and other[0].address != resource.address:
            yield _in_case_only(row, other[0])
    if suspects:
        by_look: dict[_Kin, Built] = {}
        for row in rows:
            address = row[0].address
            by_look.setdefault((address.kind, address.parts[:-1], _look(address.name)), row)
        yield from _twins(rows, by_look)
    yield from _named(rows)


def _look(name: str) -> str:
    """A name as it looks: compatible forms, and letters of other scripts that look Latin."""
    plain = unicodedata.normalize("NFKC", name.replace("\ufe0f", "")).translate(_LOOKS)
    return unicodedata.normalize("NFC", plain)


def _twins(rows: Iterable[Built], by_look: Mapping[_Kin, Built]) -> Iterator[Finding]:
    for resource, document, kind in rows:
        address = resource.address
        other, _, _ = by_look[kind.name, address.parts[:-1], _look(address.name)]
        if other.address != address:
            place = _place(document, kind.key)
            yield _looks_like(address.name, place, other.address.name, other.source)


def _looks_like(name: str, place: Source, other: str, there: Source | None) -> Finding:
    return error(
        "R012",
        f"the name {name!a} looks like another one",
        place,
        why=f"{other!a} at {there} looks the same",
        fix="type one of the two again, or rename it",
    )


def _in_case_only(row: Built, other: Resource) -> Finding:
    resource, document, kind = row
    return Finding(
        "R012",
        Severity.WARNING,
        f"{resource.address.name!r} and {other.address.name!r} differ in case only",
        why=f"PostHog keeps them apart, people do not; the other one is at {other.source}",
        fix="rename one of them",
        source=_place(document, kind.key),
    )


def _named(rows: tuple[Built, ...]) -> Iterator[Finding]:
    """People and roles that a document names: what cannot be seen, or looks like somebody else."""
    odd: list[_Mention] = []
    usual: dict[_Kin, tuple[str, Source | None]] = {}
    for one in _mentions(rows):
        if one.name.isascii() and one.name.isprintable():
            usual.setdefault((*one.scope, one.name), (one.name, one.resource.source))
        else:
            odd.append(one)
    for resource, _, kind in rows if odd else ():
        key = (kind.name, resource.address.parts[:1], _look(resource.address.name))
        usual.setdefault(key, (resource.address.name, resource.source))
    for one in odd:
        place = value_place(one.document, ("spec", *one.path), one.resource.source or Source("", 1))
        other = usual.get((*one.scope, _look(one.name)))
        if found := hidden_characters(one.name):
            yield _cannot_be_seen(one.name, found, place)
        elif other is not None and other[0].casefold() != one.name.casefold():
            yield _looks_like(one.name, place, *other)


@dataclass(frozen=True, slots=True)
class _Mention:
    """A name that a document refers to, with the kind and organization it is one of."""

    name: str
    scope: tuple[str, tuple[str, ...]]
    path: Path
    resource: Resource
    document: MappingNode


def _mentions(rows: Iterable[Built]) -> Iterator[_Mention]:
    for resource, document, kind in rows:
        for reference in kind.references:
            scope = (reference.kind, resource.address.parts[:1])
            for path, name in values_at(resource.written, reference.path):
                if isinstance(name, str):
                    yield _Mention(name, scope, path, resource, document)


def _cannot_be_seen(name: str, found: str, place: Source) -> Finding:
    message = f"the name {name!a} has the character {found}, which cannot be seen"
    return error("R012", message, place, fix="type the name again")


def _visible(name: str, document: MappingNode, key: str) -> Iterator[Finding]:
    if found := hidden_characters(name):
        yield _cannot_be_seen(name, found, _place(document, key))
    elif key == "project" and (name.startswith("!") or "*" in name):
        yield Finding(
            "R013",
            Severity.WARNING,
            f"`project` is one name, and no selector: {name!r}",
            fix=f'write `projects: ["{name}"]` if that is meant',
            source=_place(document, key),
        )
    elif name != name.strip():
        yield Finding(
            "R012",
            Severity.WARNING,
            f"the name {name!r} starts or ends with a space",
            why="that cannot be seen, and PostHog may cut it off",
            fix="remove the space",
            source=_place(document, key),
        )


def _place(document: MappingNode, key: str) -> Source:
    metadata: MappingNode = document["metadata"]
    return metadata.value_source(key if key in metadata else "organization")
