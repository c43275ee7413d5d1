"""Build what the files would declare without a change: HEAD, with the previous values on top."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from reconciler.kinds import KINDS, find_project
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Declared, Resource, get_value, parse_path, put_back
from reconciler.plan.reversal.values import revert_spec

WHOLE = ""  # the path of a resource as a whole


@dataclass(frozen=True, slots=True)
class Revision:
    """What the files declared before and after a run, and the resources of it that count.

    `addresses` are those after the run; None: all of them.
    """

    before: Declared
    after: Declared
    addresses: Collection[Address] | None = None


@dataclass(frozen=True, slots=True)
class Reverted:
    """One resource that a run changed. `before` is None if it was not declared then.

    Attributes:
        before: the declaration before the run; None: there was none.
        after: the declaration after the run; None: it was removed.
        changed: paths that the files have changed again since the run, or WHOLE.
        unknown: paths whose previous value the files do not say.

    """

    before: Resource | None
    after: Resource | None
    changed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RevertedFiles:
    """The files at HEAD with the previous values on top, and what is compared with them.

    Attributes:
        desired: what the files would declare.
        base: what they declared after the run, of the resources that are reverted.
        resources: these resources, by the address that they get back.
        superseded: resources that a later commit removed, or declared again.

    """

    desired: Declared
    base: Declared
    resources: Mapping[Address, Reverted] = field(default_factory=dict)
    superseded: tuple[Address, ...] = ()


def revert_files(
    head: Declared, revisions: Sequence[Revision], kept: Collection[Address] = ()
) -> RevertedFiles:
    """Return the files of `head` without the changes of these revisions, the newest first.

    Objects that the files began to declare are removed, except those in `kept`.
    """
    desired, base = dict(head.resources), dict[Address, Resource]()
    resources, superseded = dict[Address, Reverted](), list[Address]()
    for address, (before, after) in _merge_changes(revisions).items():
        if before is None and address in kept:
            continue
        present = head.resources.get(address)
        if present is not None and present.lifecycle.absent:
            present = None
        if (present is None) is not (after is None):
            superseded.append(address)
            continue
        former = before.address if before is not None else address
        reverted = _revert_resource(present, before, after)
        desired.pop(address, None)
        if reverted.before is not None:
            desired[former] = _build_desired(present, reverted, address)
        if after is not None:
            base[address] = after
        resources[former] = reverted
    return RevertedFiles(
        replace(head, resources=desired),
        Declared(base, "the run"),
        resources,
        tuple(superseded),
    )


def leave_out_fields(revision: Revision, paths: Mapping[Address, Collection[str]]) -> Revision:
    """Return a revision that does not change these fields, by the address before it."""
    before = dict(revision.before.resources)
    for address, (former, after) in list_changes(revision):
        name = former.address if former is not None else address
        if former is not None and after is not None and name in paths:
            spec = former.spec
            for path in map(parse_path, paths[name]):
                spec = put_back(spec, after.spec, path)
                if get_value(spec, path, None) != get_value(after.spec, path, None):
                    spec = put_back({**spec, path[0]: None}, after.spec, path[:1])
            before[name] = replace(former, spec=spec)
    return replace(revision, before=replace(revision.before, resources=before))


_Sides = tuple[Resource | None, Resource | None]


def _merge_changes(revisions: Sequence[Revision]) -> dict[Address, _Sides]:
    """Return the declarations before and after all revisions, by the latest address."""
    merged: dict[Address, _Sides] = {}
    latest: dict[Address, Address] = {}  # by the address before the revisions so far
    for revision in revisions:
        for address, (before, after) in list_changes(revision):
            key = latest.pop(address, address)
            middle, end = merged.get(key, (after, after))
            merged[key] = (_compose(middle, before, after) if key in merged else before, end)
            latest[before.address if before is not None else address] = key
    return merged


def _compose(
    middle: Resource | None, before: Resource | None, after: Resource | None
) -> Resource | None:
    """Return a declaration from before two changes; `middle` is from between them."""
    if middle is None or before is None or after is None:
        return before if (middle is None) is (after is None) else middle
    kind = KINDS[middle.address.kind]
    return replace(before, spec=revert_spec(middle.spec, after.spec, before.spec, kind).spec)


def list_changes(revision: Revision) -> Iterator[tuple[Address, _Sides]]:
    """Yield each resource whose declaration a run changed, by its address after the run."""
    former_names = dict(_find_renamed(revision.before, revision.after))
    renamed = set(former_names.values())
    chosen = None if revision.addresses is None else {*revision.addresses}
    for address in sorted({*revision.before.resources, *revision.after.resources} - renamed):
        former = former_names.get(address, address)
        if chosen is not None and chosen.isdisjoint((address, former)):
            continue
        before = _find_present(revision.before, former)
        after = _find_present(revision.after, address)
        if before is None and after is None:
            continue
        is_same = before is not None and after is not None and before.spec == after.spec
        if not is_same or former != address:
            yield address, (before, after)


def _find_renamed(before: Declared, after: Declared) -> Iterator[tuple[Address, Address]]:
    """Yield the new and the old address of each resource that was renamed, or its project."""
    projects = {
        address.parts: resource.lifecycle.renamed_from
        for address, resource in after.resources.items()
        if address.kind == "Project" and address not in before.resources
    }
    for address, resource in after.resources.items():
        if resource.lifecycle.absent or address in before.resources:
            continue
        organization, *project = address.parts[:2]
        old_project = projects.get(address.parts[:2]) or "".join(project)
        own = resource.lifecycle.renamed_from or address.name
        is_project = address.project is None and find_project(address) is not None
        parts = (
            (organization, old_project)
            if is_project
            else (organization, old_project, own)
            if address.project is not None
            else (*address.parts[:-1], own)
        )
        former = Address(address.kind, parts)
        if former != address and former in before.resources and former not in after.resources:
            yield address, former


def _find_present(declared: Declared, address: Address) -> Resource | None:
    resource = declared.resources.get(address)
    return None if resource is None or resource.lifecycle.absent else resource


def _revert_resource(
    present: Resource | None, before: Resource | None, after: Resource | None
) -> Reverted:
    """Return what is reverted of a resource, and where the files have changed it again since."""
    if present is None or after is None:
        return Reverted(before, after)
    if before is None:
        return Reverted(before, after, () if present.spec == after.spec else (WHOLE,))
    kind = KINDS[present.address.kind]
    result = revert_spec(present.spec, after.spec, before.spec, kind)
    return Reverted(before, after, result.changed, result.unknown)


def _build_desired(present: Resource | None, reverted: Reverted, address: Address) -> Resource:
    """Return the declaration of a resource with the previous values on top of those of HEAD."""
    before, after = reverted.before, reverted.after
    assert before is not None  # noqa: S101  the caller checks it
    if present is None or after is None:
        lifecycle = replace(before.lifecycle, renamed_from=None)
        return replace(before, lifecycle=lifecycle, source=None)
    spec = revert_spec(present.spec, after.spec, before.spec, KINDS[address.kind]).spec
    is_renamed = before.address.name != address.name and not KINDS[address.kind].part_of
    old = address.name if is_renamed else None
    lifecycle = replace(present.lifecycle, renamed_from=old)
    return replace(present, address=before.address, spec=spec, lifecycle=lifecycle)


def list_addresses(files: RevertedFiles) -> Iterable[Address]:
    """List the addresses that a plan of the reverted files is about, before and after."""
    return {*files.resources, *files.base.resources}
