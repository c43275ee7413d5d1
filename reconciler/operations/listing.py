"""List what is declared, what is live, and what is live but not declared."""

from collections.abc import Iterable

from reconciler.config import loaded as config_loaded
from reconciler.config.edit.selection import Choice, find_oldest_id
from reconciler.config.loaded import Loaded
from reconciler.lazy_dataclass import dataclass
from reconciler.live import key_access
from reconciler.live import reader as live_reader
from reconciler.model import Address, Resource, Source, Unreadable
from reconciler.operations.inputs import Inputs
from reconciler.operations.plan import find_pins
from reconciler.plan.diff import matching, references
from reconciler.posthog.client import Reader


@dataclass(frozen=True, slots=True)
class ListedResource:
    """A resource, with the place of its document and its live ID, as far as there are any."""

    address: Address
    source: Source | None = None
    live_id: str | None = None
    is_managed: bool = True  # declared by a file, now or at the base


@dataclass(frozen=True, slots=True)
class LiveListing:
    """The live resources of a target, and what could not be read."""

    rows: tuple[ListedResource, ...]
    unreadable: tuple[Unreadable, ...]


def list_declared(loaded: Loaded) -> tuple[ListedResource, ...]:
    """List the declared resources without contacting anybody.

    A document for several projects is listed for the projects that the files declare; if it
    matches none of them, once, with `*` in place of the project.
    """
    declared = config_loaded.expand_templates(loaded).resources
    rows = [ListedResource(address, resource.source) for address, resource in declared.items()]
    for template in loaded.templates:
        names = config_loaded.list_project_names(template.organization, loaded.declared, {})
        if not any(map(template.matches, names)):
            address = Address(template.kind, (template.organization, "*", template.name))
            rows.append(ListedResource(address, template.resource.source))
    return tuple(sorted(rows, key=lambda row: row.address))


def list_live(reader: Reader, given: Inputs, kinds: tuple[str, ...]) -> LiveListing:
    """List the live resources of the target's organizations, each with its document.

    Without an organization in the target or the files, those of every visible organization.
    """
    directory = key_access.read_directory(reader)
    target, names = given.target, directory.project_names()
    named = (target.organization,) if target.organization else given.loaded.organizations
    choice = Choice(kinds, tuple(slug for slug in named if slug in directory.projects))
    desired = config_loaded.expand_templates(given.loaded, names)
    base, _ = config_loaded.expand_base(given.base_loaded, names)
    declared = {a: r for a, r in desired.resources.items() if choice.covers(a)}
    pins = {
        Address("Project", (slug, name)): find_oldest_id(ids)
        for slug, projects in directory.projects.items()
        for name, ids in projects.items()
    }
    pins |= find_pins(desired, directory)
    wanted = {*choice.list_collections(directory.projects), *declared}
    referred = references.list_id_references(declared, desired)
    live = live_reader.read_live(reader, directory, wanted, pins, named=referred)
    lookup = matching.LiveLookup(live)
    sources = _find_sources(declared.values(), lookup)
    removed = _find_sources(base.resources.values(), lookup) if base is not None else {}
    rows = [
        ListedResource(
            each.address,
            sources.get(id(each)),
            each.id,
            is_managed=id(each) in sources or id(each) in removed,
        )
        for address in sorted(live.resources)
        if choice.covers(address)
        for each in live.duplicates.get(address, (live.resources[address],))
    ]
    # A kind that an older PostHog does not have is missing only if somebody asks for it.
    wanted_kinds = {*kinds, *(address.kind for address in declared)}
    gaps = tuple(gap for gap in live.unreadable if gap.is_offered or gap.kind in wanted_kinds)
    return LiveListing(tuple(rows), gaps)


def _find_sources(
    documents: Iterable[Resource], lookup: matching.LiveLookup
) -> dict[int, Source | None]:
    """Return the places of documents by the `id()` of the live objects that they declare."""
    return {
        id(candidate): resource.source
        for resource in documents
        for candidate in lookup.find_candidates(resource)
    }
