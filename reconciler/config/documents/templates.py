"""Expand documents that declare a resource in every project that matches their selectors."""

from collections.abc import Callable, Sequence
from dataclasses import field, replace
from typing import Final

from reconciler.files.text import make_error
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Finding, Resource, Source

MAX_MATCHED: Final = 200_000  # pairs of templates and projects that are compared offline


def _keep_name(name: str) -> str | None:
    return name


@dataclass(frozen=True, slots=True)
class Template:
    """A document with `metadata.projects`: the same resource in every project that matches."""

    kind: str
    organization: str
    name: str
    selectors: tuple[str, ...]
    resource: Resource  # its address has no project
    place: Source  # of the selectors
    places: tuple[Source, ...] = ()  # of each
    done: frozenset[str] = frozenset()  # live projects in which it declares nothing
    name_project: Callable[[str], str | None] = field(default=_keep_name, compare=False)

    def matches(self, project: str) -> bool:
        """Return whether a live project is selected; `*` stands for any text, `!` excludes.

        Selectors match the name that documents have for the project, if they have one.
        """
        name = self.name_project(project)
        return name is not None and project not in self.done and is_selected(self.selectors, name)

    def instance(self, project: str) -> Resource:
        """Return the resource in one project."""
        address = Address(self.kind, (self.organization, project, self.name))
        return replace(self.resource, address=address)


def is_selected(selectors: Sequence[str], name: str) -> bool:
    """Return whether selectors include a name."""
    return any(
        matches_pattern(name, selector) for selector in selectors if not selector.startswith("!")
    ) and not any(
        matches_pattern(name, selector[1:]) for selector in selectors if selector.startswith("!")
    )


def matches_pattern(name: str, pattern: str) -> bool:
    """Return whether a name matches a pattern, in which `*` stands for any text."""
    first, *pieces = pattern.split("*")
    if not pieces:
        return name == pattern
    if not name.startswith(first):
        return False
    *middle, last = pieces
    at = len(first)
    for piece in middle:
        at = name.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return len(name) - len(last) >= at and name.endswith(last)


def make_duplicate_finding(resource: Resource, other: Resource, fix: str) -> Finding:
    """Return the finding that two documents declare the same resource."""
    return make_error(
        "R007",
        f"{resource.address} is declared twice",
        resource.source or Source("", 1),
        why=f"it is declared at {other.source} already",
        fix=fix,
    )
