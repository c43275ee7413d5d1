"""Names that people will misread: characters that cannot be seen, or that look like others."""

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from reconciler.config.text import error, hidden_characters
from reconciler.kind import Kind, Scope
from reconciler.model import Finding, Resource, Severity
from reconciler.source import MappingNode, Source

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


def findings(built: Iterable[Built]) -> Iterator[Finding]:
    """Everything wrong with the names of resources that are well-formed otherwise."""
    suspects: list[Built] = []
    by_look: dict[tuple[str, tuple[str, ...], str], Built] = {}
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
    if suspects:
        for row in rows:
            by_look.setdefault((row[2].name, row[0].address.parts[:-1], _look(row[0])), row)
        yield from _twins(rows, by_look)


def _look(resource: Resource) -> str:
    """A name as it looks: compatible forms, and letters of other scripts that look Latin."""
    name = unicodedata.normalize("NFKC", resource.address.name).translate(_LOOKS)
    return unicodedata.normalize("NFC", name)


def _twins(
    rows: Iterable[Built], by_look: dict[tuple[str, tuple[str, ...], str], Built]
) -> Iterator[Finding]:
    for resource, document, kind in rows:
        other, _, _ = by_look[kind.name, resource.address.parts[:-1], _look(resource)]
        if other.address == resource.address:
            continue
        yield error(
            "R012",
            f"the name {resource.address.name!a} looks like another one",
            _place(document, kind.key),
            why=f"{other.address.name!a} at {other.source} looks the same",
            fix="type one of the two again, or rename it",
        )


def _visible(name: str, document: MappingNode, key: str) -> Iterator[Finding]:
    if found := hidden_characters(name):
        message = f"the name {name!a} has the character {found}, which cannot be seen"
        yield error("R012", message, _place(document, key), fix="type the name again")
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
