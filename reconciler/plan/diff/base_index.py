"""Find what the base declared for a resource, also under the name that it had then."""

from collections.abc import Iterator, Mapping

from reconciler.kinds import FOLDING, fold_name
from reconciler.model import Address, Declared, Resource


class BaseIndex:
    """The declarations of the base, also by the new name of a resource or of its project."""

    def __init__(self, desired: Declared, base: Declared | None) -> None:
        self._resources: Mapping[Address, Resource] | None = None
        self._projects: Mapping[tuple[str, ...], str] = {}
        if base is not None:
            folded = {fold_name(a): r for a, r in base.resources.items() if a.kind in FOLDING}
            self._resources = {**base.resources, **folded} if folded else base.resources
            self._projects = {
                address.parts: resource.lifecycle.renamed_from
                for address, resource in desired.resources.items()
                if address.kind == "Project" and resource.lifecycle.renamed_from is not None
            }

    def find_declaration(self, resource: Resource) -> Resource | None:
        """Return what was declared; an empty spec if nothing was, None without a base."""
        if self._resources is None:
            return None
        if (declared := self._resources.get(fold_name(resource.address))) is not None:
            return declared
        for address in self._list_addresses(resource):
            if (declared := self._resources.get(fold_name(address))) is not None:
                return declared
        return Resource(resource.address, {})

    def _list_addresses(self, resource: Resource) -> Iterator[Address]:
        *scope, name = resource.address.parts
        old_project = self._projects.get(resource.address.parts[:2])
        for project in (None, old_project):
            if project is not None and len(scope) > 1:
                scope = [scope[0], project]
            for old_or_new in (name, resource.lifecycle.renamed_from):
                if old_or_new is not None:
                    yield Address(resource.address.kind, (*scope, old_or_new))
