"""Find what the base declared for a resource, also under the name that it had then."""

from collections.abc import Iterator, Mapping
from functools import cached_property

from reconciler.kinds import FOLDING, fold_name
from reconciler.model import Address, Declared, Resource


class BaseIndex:
    """The declarations of the base, also by the new name of a resource or of its project."""

    def __init__(self, desired: Declared, base: Declared | None) -> None:
        self._desired = desired
        self._resources = base.resources if base is not None else None

    def find_declaration(self, resource: Resource) -> Resource | None:
        """Return what was declared; an empty spec if nothing was, None without a base."""
        if self._resources is None:
            return None
        address = resource.address
        declarations = self._folded if address.kind in FOLDING else self._resources
        if (declared := declarations.get(fold_name(address))) is not None:
            return declared
        for earlier in self._list_addresses(resource):
            if (declared := declarations.get(fold_name(earlier))) is not None:
                return declared
        return Resource(address, {})

    @cached_property
    def _folded(self) -> Mapping[Address, Resource]:
        """Return the declarations of the kinds that fold case: most files have few of them."""
        resources = (self._resources or {}).items()
        return {fold_name(a): resource for a, resource in resources if a.kind in FOLDING}

    @cached_property
    def _projects(self) -> Mapping[tuple[str, ...], str]:
        """Return the former names of renamed projects; only what is new asks for them."""
        return {
            address.parts: resource.lifecycle.renamed_from
            for address, resource in self._desired.resources.items()
            if address.kind == "Project" and resource.lifecycle.renamed_from is not None
        }

    def _list_addresses(self, resource: Resource) -> Iterator[Address]:
        *scope, name = resource.address.parts
        old_project = self._projects.get(resource.address.parts[:2])
        for project in (None, old_project):
            if project is not None and len(scope) > 1:
                scope = [scope[0], project]
            for old_or_new in (name, resource.lifecycle.renamed_from):
                if old_or_new is not None:
                    yield Address(resource.address.kind, (*scope, old_or_new))
