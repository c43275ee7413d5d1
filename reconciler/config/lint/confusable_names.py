"""Check names that people will misread, or that PostHog would not store as written."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from reconciler.files.text import find_hidden_character, make_error
from reconciler.kinds.organization import LONGEST_SLUG
from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later
from reconciler.lookalikes import escape_name, format_yaml_scalar, simplify_name
from reconciler.model import (
    Finding,
    Kind,
    MappingNode,
    Path,
    Resource,
    Scope,
    Severity,
    Source,
    locate_value,
)

Built = tuple[Resource, MappingNode, Kind]
_Kin = tuple[
    str, tuple[str, ...], str
]  # kind, scope, and how a name looks, or its name in one case

_Collection = tuple[str, tuple[str, ...]]  # kind and scope

_PLAIN: Final = compile_later(r"[A-Za-z0-9_-]+")  # nothing about such a name can be wrong


def check_names(resources: Sequence[Built]) -> Iterator[Finding]:
    """Yield the findings about names of resources that are otherwise well-formed."""
    names: defaultdict[_Collection, list[str]] = defaultdict(list)
    for resource, _, _ in resources:
        kind_name, parts = resource.address
        names[kind_name, parts[:-1]].append(parts[-1])
    odd = {collection for collection, each in names.items() if not _are_usual(collection[1], each)}
    if odd:
        yield from _check_each([entry for entry in resources if _get_collection(entry[0]) in odd])
    yield from _check_references(resources)


def _get_collection(resource: Resource) -> _Collection:
    return resource.address.kind, resource.address.parts[:-1]


def _are_usual(scope: tuple[str, ...], names: Sequence[str]) -> bool:
    """Return whether nothing about the names in a collection can be wrong, as in most of them.

    All names are looked at as one text, which takes less time than a step for each.
    """
    text = "|".join(("", *scope[1:], *names, ""))
    slugs = scope[:1] or names  # those of organizations are their names
    return (
        text.isascii()
        and text.isprintable()
        and not any(mark in text for mark in ("  ", " |", "| ", "*", "!"))
        and len({*map(str.casefold, names)}) == len(names)
        and not any(_find_wrong_slug(slug) for slug in slugs)
    )


def _check_each(resources: Sequence[Built]) -> Iterator[Finding]:
    """Check each name in the collections that are not usual."""
    suspects = False
    by_case: dict[_Kin, Built] = {}
    seen: set[str] = set()
    slugs: set[str] = set()
    for entry in resources:
        resource, document, kind = entry
        address = resource.address
        parts = address.parts
        name = parts[-1]
        if parts[0] not in slugs:
            slugs.add(parts[0])
            yield from _check_slug(parts[0], document)
        for part in parts[1:]:
            if part not in seen:
                seen.add(part)
                if not _PLAIN.fullmatch(part):
                    is_name = part is name or kind.scope is not Scope.PROJECT
                    yield from _check_visible(part, document, kind.key if is_name else "project")
        if not name.isascii() or "  " in name:
            suspects = True
        other = by_case.setdefault((kind.name, parts[:-1], name.casefold()), entry)
        if other is not entry and not kind.folds_case and other[0].address != address:
            yield _make_case_finding(entry, other[0])
    if suspects:
        by_look: dict[_Kin, Built] = {}
        for entry in resources:
            address = entry[0].address
            by_look.setdefault(
                (address.kind, address.parts[:-1], simplify_name(address.name)), entry
            )
        yield from _check_lookalikes(resources, by_look)


def _check_lookalikes(
    resources: Iterable[Built], by_look: Mapping[_Kin, Built]
) -> Iterator[Finding]:
    for resource, document, kind in resources:
        address = resource.address
        other, _, _ = by_look[kind.name, address.parts[:-1], simplify_name(address.name)]
        if other.address != address:
            source = _locate_metadata(document, kind.key)
            yield _make_lookalike_finding(address.name, source, other.address.name, other.source)


def _make_lookalike_finding(
    name: str, source: Source, other: str, other_source: Source | None
) -> Finding:
    return make_error(
        "R012",
        f"the name {escape_name(name)} looks like another one",
        source,
        why=f"{escape_name(other)} at {other_source} looks the same",
        fix="type one of the two again, or rename it",
    )


def _make_case_finding(entry: Built, other: Resource) -> Finding:
    resource, document, kind = entry
    return Finding(
        "R012",
        Severity.WARNING,
        f"{resource.address.name!r} and {other.address.name!r} differ in case only",
        why=f"PostHog keeps them apart, people do not; the other one is at {other.source}",
        fix="rename one of them",
        source=_locate_metadata(document, kind.key),
    )


def _check_references(resources: Sequence[Built]) -> Iterator[Finding]:
    """Check names of people and roles for invisible characters and look-alikes."""
    suspects: list[_Mention] = []
    usual: dict[_Kin, tuple[str, Source | None]] = {}
    for mention in _list_mentions(resources):
        if (
            mention.name.isascii()
            and mention.name.isprintable()
            and mention.name == simplify_name(mention.name)
        ):
            usual.setdefault(
                (*mention.scope, mention.name), (mention.name, mention.resource.source)
            )
        else:
            suspects.append(mention)
    for resource, _, kind in resources if suspects else ():
        key = (kind.name, resource.address.parts[:1], simplify_name(resource.address.name))
        usual.setdefault(key, (resource.address.name, resource.source))
    for mention in suspects:
        source = locate_value(
            mention.document, ("spec", *mention.path), mention.resource.source or Source("", 1)
        )
        other = usual.get((*mention.scope, simplify_name(mention.name)))
        if hidden := find_hidden_character(mention.name):
            yield _make_hidden_finding(mention.name, hidden, source)
        elif mention.name != mention.name.strip():
            yield _make_trimmed_finding(mention.name, source)
        elif other is not None and other[0].casefold() != mention.name.casefold():
            yield _make_lookalike_finding(mention.name, source, *other)


@dataclass(frozen=True, slots=True)
class _Mention:
    """A name that a document refers to, with the kind and organization it is one of."""

    name: str
    scope: tuple[str, tuple[str, ...]]
    path: Path
    resource: Resource
    document: MappingNode


def _list_mentions(resources: Iterable[Built]) -> Iterator[_Mention]:
    for resource, document, kind in resources:
        if not resource.may_refer:
            continue
        for reference, path, name in kind.list_references(resource.written):
            if isinstance(name, str):
                scope = (reference.kind, resource.address.parts[:1])
                yield _Mention(name, scope, path, resource, document)


def _make_hidden_finding(name: str, hidden: str, source: Source) -> Finding:
    message = f"the name {name!a} has the character {hidden}, which cannot be seen"
    return make_error("R012", message, source, fix="type the name again")


def _check_visible(name: str, document: MappingNode, key: str) -> Iterator[Finding]:
    if hidden := find_hidden_character(name):
        yield _make_hidden_finding(name, hidden, _locate_metadata(document, key))
    elif key == "project" and (name.startswith("!") or "*" in name):
        yield Finding(
            "R013",
            Severity.WARNING,
            f"`project` is one name, not a selector: {name!r}",
            fix=f'write `projects: ["{name}"]` to select projects',
            source=_locate_metadata(document, key),
        )
    elif name != name.strip():
        yield _make_trimmed_finding(name, _locate_metadata(document, key))


def _make_trimmed_finding(name: str, source: Source) -> Finding:
    """Find names that PostHog trims (contract 1.3): what it creates has another name."""
    return make_error(
        "R018",
        f"the name {escape_name(name)} starts or ends with a space",
        source,
        why="PostHog cuts it off, so nothing ever has this name",
        fix=f"write {format_yaml_scalar(name.strip())}" if name.strip() else "write a name",
    )


def _check_slug(slug: str, document: MappingNode) -> Iterator[Finding]:
    if wrong := _find_wrong_slug(slug):
        source, (why, fix) = _locate_metadata(document, "organization"), wrong
        yield make_error("R018", f"no organization has the slug {slug}", source, why=why, fix=fix)


def _find_wrong_slug(slug: str) -> tuple[str, str] | None:
    """Return why no slug of PostHog can be like this (contract 6.1), and what to write."""
    if slug != slug.lower():
        return "PostHog keeps slugs in lower case", f"write {slug.lower()}"
    if len(slug) > LONGEST_SLUG:
        why = f"it has {len(slug)} characters, and PostHog cuts slugs to {LONGEST_SLUG}"
        return why, "copy the slug from the organization's address in PostHog"
    return None


def _locate_metadata(document: MappingNode, key: str) -> Source:
    metadata: MappingNode = document["metadata"]
    return metadata.value_source(key if key in metadata else "organization")
