"""Compare two sets of names of a target: what a document meant at the base, and means now."""

from dataclasses import replace

from reconciler.config.documents.target_names import TargetNames
from reconciler.config.documents.templates import Template
from reconciler.config.loaded import Loaded
from reconciler.kinds import find_project
from reconciler.model import Address


def drop_moved(
    base: Loaded, then: TargetNames, now: TargetNames, files: Loaded | None
) -> tuple[Loaded, tuple[Address, ...]]:
    """Return the base without objects whose documents mean other objects now, and their addresses.

    Such a document is still in the files: nobody has removed it, so its former object must not
    be deleted. Objects of another organization than that of the target are dropped as well.

    Args:
        base: what was declared at the base.
        then: the names of the target at the base.
        now: its names now.
        files: what is declared now, if it is known.

    """
    if (then.organization, then.projects) == (now.organization, now.projects):
        return base, ()
    resources = base.declared.resources
    moved = tuple(sorted(a for a in resources if _is_moved(a, then, now, files)))
    kept = {address: resources[address] for address in resources.keys() - {*moved}}
    templates = tuple(
        replace(template, done=template.done | _list_moved_projects(then, now))
        for template in base.templates
        if now.organization in {None, template.organization}
    )
    declared = replace(base.declared, resources=kept)
    return replace(base, declared=declared, templates=templates), moved


def _is_moved(address: Address, then: TargetNames, now: TargetNames, files: Loaded | None) -> bool:
    """Return whether the document of an object is in the files, and means another object now."""
    if now.organization not in {None, address.organization}:
        return True
    project = find_project(address)
    if project is None or files is None or address in files.declared.resources:
        return False
    organization, _, *own = address.parts
    live_name = _find_live_name_now(project, then, now)
    other = Address(address.kind, (organization, live_name, *own))
    return other != address and (
        other in files.declared.resources
        or any(_declares(template, other) for template in files.templates)
    )


def _declares(template: Template, address: Address) -> bool:
    """Return whether a document for several projects declares an object."""
    return (
        address.project is not None
        and (template.kind, template.organization) == (address.kind, address.organization)
        and template.name == address.name
        and template.matches(address.project)
    )


def _list_moved_projects(then: TargetNames, now: TargetNames) -> frozenset[str]:
    """Return the live projects whose name in the documents is that of another project now."""
    names = {*then.projects, *then.projects.values(), *now.projects, *now.projects.values()}
    return frozenset(name for name in names if _find_live_name_now(name, then, now) != name)


def _find_live_name_now(live_name: str, then: TargetNames, now: TargetNames) -> str:
    """Return the live project that documents mean now by their former name of a live project."""
    name = then.find_document_name(live_name)
    return live_name if name is None else now.find_live_name(name)
