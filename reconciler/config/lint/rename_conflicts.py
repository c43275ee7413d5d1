"""Find renames that only a person can resolve: two documents claim one name.

`renamed_from` says that a live object is another one's. As long as the rename is not applied, a
document of the former name, or a second one that is renamed from it, means that same object.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Final

from reconciler.config.documents.templates import Template
from reconciler.config.lint import cycles
from reconciler.config.lint.confusable_names import Built
from reconciler.files.text import make_error
from reconciler.kinds import fold_name
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Finding, Resource, Source, locate_value

MAX_MATCHED: Final = 200_000  # selectors and projects that are compared, so that it stays linear

_Name = tuple[str, str, str]  # kind, organization, folded name


def find_rename_conflicts(
    resources: Mapping[Address, Resource], templates: Iterable[Template], built: Iterable[Built]
) -> Iterator[Finding]:
    """Yield an error for each document whose former name another document claims."""
    renamed = [entry for entry in built if entry[0].lifecycle.renamed_from is not None]
    if not renamed:
        return
    by_resource = {id(for_many.resource): for_many for for_many in templates}
    declared, claimed = _Claims(), _Claims()
    for resource in resources.values():
        declared.add(_fold_name(resource, resource.address.name), resource, None)
    for for_many in by_resource.values():
        declared.add(_fold_name(for_many.resource, for_many.name), for_many.resource, for_many)
    ringed = cycles.find_renamed_in_cycle(resources)
    for resource, document, _ in renamed:
        former = str(resource.lifecycle.renamed_from)
        name, template = _fold_name(resource, former), by_resource.get(id(resource))
        if resource.address in ringed or name == _fold_name(resource, resource.address.name):
            continue  # reported as a cycle; or another spelling of its own name
        path = ("metadata", "lifecycle", "renamed_from")
        source = locate_value(document, path, resource.source or Source("", 1))
        if owner := claimed.find_claimant(name, resource, template):
            yield _make_claimed_twice_finding(resource, owner, source)
        elif (
            other := declared.find_claimant(name, resource, template)
        ) and other.address not in ringed:
            yield _make_declared_again_finding(resource, other, source)
        claimed.add(name, resource, template)


def _fold_name(resource: Resource, name: str) -> _Name:
    address = resource.address
    folded = fold_name(Address(address.kind, (*address.parts[:-1], name)))
    return address.kind, address.organization, folded.name


@dataclass(slots=True)
class _Claimants:
    """Documents of one name: by project, and by the selectors of those that are for many."""

    at: dict[str | None, Resource] = field(default_factory=dict)
    many: dict[tuple[str, ...], Template] = field(default_factory=dict)


@dataclass(slots=True)
class _Claims:
    """The documents that claim each name, by project."""

    names: dict[_Name, _Claimants] = field(default_factory=dict)
    compared: int = 0

    def add(self, name: _Name, resource: Resource, template: Template | None) -> None:
        """Note that a document claims a name."""
        same = self.names.setdefault(name, _Claimants())
        if template is None:
            same.at.setdefault(resource.address.project, resource)
        else:
            same.many.setdefault(template.selectors, template)

    def find_claimant(
        self, name: _Name, asks: Resource, template: Template | None
    ) -> Resource | None:
        """Return another document that claims this name in the same project."""
        same = self.names.get(name)
        if same is None:
            return None
        if template is not None:
            if template.selectors in same.many:
                return same.many[template.selectors].resource
            inside = (
                claimant for project, claimant in same.at.items() if self._is_in(template, project)
            )
            return next(inside, None)
        project = asks.address.project
        if project in same.at:
            return same.at[project]
        covers = (
            claimant.resource for claimant in same.many.values() if self._is_in(claimant, project)
        )
        return next(covers, None)

    def _is_in(self, template: Template, project: str | None) -> bool:
        self.compared += 1
        return project is not None and self.compared <= MAX_MATCHED and template.matches(project)


def _make_declared_again_finding(resource: Resource, other: Resource, source: Source) -> Finding:
    former = str(resource.lifecycle.renamed_from)
    return make_error(
        "R016",
        f'"{former}" is renamed to "{resource.address.name}", and declared again',
        source,
        why=f"until the rename is applied, the document at {other.source} means the same object",
        fix="apply the rename first; where it is applied, remove `renamed_from`",
        width=len(former),
    )


def _make_claimed_twice_finding(resource: Resource, owner: Resource, source: Source) -> Finding:
    former = str(resource.lifecycle.renamed_from)
    return make_error(
        "R016",
        f'"{former}" is renamed to "{owner.address.name}" and to "{resource.address.name}"',
        source,
        why=f"the other document is at {owner.source}",
        fix="keep one `renamed_from`",
        width=len(former),
    )
