"""Drift into the files: which documents are to become what, and whether they then say what is live.

Writes nothing: what it returns are texts, each tried with our own loader and planner before.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from reconciler.config import loaded as config_loaded
from reconciler.config import loader
from reconciler.config.edit import selection
from reconciler.config.edit.adopt import Adoption, DocumentEdit, Patch, PatchedTree
from reconciler.config.edit.documents import SkippedEdit
from reconciler.drift import filters
from reconciler.errors import ConfigError
from reconciler.git.commit_tree import CommitTree
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Action,
    Address,
    Change,
    Declared,
    LogAction,
    Resource,
    format_path,
    parse_path,
    select_written,
)
from reconciler.operations.drift import DriftInputs, DriftResult
from reconciler.plan.diff import matching, references, three_way
from reconciler.plan.diff import values as diff_values
from reconciler.plan.diff.base_index import BaseIndex

_NAMELESS = "id:"  # what stands for somebody, or a role, that is gone


@dataclass(slots=True)
class Adopted:
    """What the files become, and what stays as it is."""

    patches: dict[str, Patch] = field(default_factory=dict)
    edits: list[DocumentEdit] = field(default_factory=list)  # those that can be made
    skipped: list[SkippedEdit] = field(default_factory=list)
    held: list[Change] = field(default_factory=list)


def adopt(drift: DriftResult, given: DriftInputs) -> Adopted:
    """Return the files as they would declare what is live, wherever that is possible."""
    adopted = Adopted(held=[change for change in drift.report.writes if change.hold is not None])
    both = {change.address: _moved_by_both(drift, change) for change in drift.report.writes}
    for address, paths in both.items():
        if paths and all(change.address != address for change in adopted.held):
            reason = f"{', '.join(sorted(paths))}: git and PostHog have both changed it"
            adopted.skipped.append(SkippedEdit(address, reason, "apply it, or edit it by hand"))
    free = (change for change in drift.report.writes if change.hold is None)
    left = (filters.leave_out_fields(change, both[change.address]) for change in free)
    drifted = select_written(left)
    edits = list(_edit_documents(drift, given, drifted, adopted.skipped))
    while True:
        adoption = Adoption(lambda name: _content(given.tree, name))
        for edit in edits:
            adoption.apply_edit(edit)
        patches = adoption.build_patches()
        skipped = adoption.skipped or list(_find_failures(drift, given, patches, edits))
        if not skipped:
            adopted.patches, adopted.edits = patches, edits
            return adopted
        adopted.skipped += skipped
        bad = {skip.address for skip in skipped}
        edits = [edit for edit in edits if not bad & set(edit.addresses)]


def _moved_by_both(drift: DriftResult, change: Change) -> set[str]:
    """Return the fields that git has changed, too, since the last apply."""
    if drift.applied is None or change.desired is None or change.action is not Action.UPDATE:
        return set()
    then = BaseIndex(drift.world.desired, drift.applied).find_declaration(change.desired)
    compared = three_way.compare_resource(change.desired, then, change.before)
    return {
        field_.path
        for field_ in compared.fields
        if selection.is_from_git(field_) and not diff_values.is_same(field_.base, field_.live)
    }


def _content(tree: CommitTree, name: str) -> bytes | None:
    return tree.read_file(Path(name))


def _edit_documents(
    drift: DriftResult, given: DriftInputs, drifted: Sequence[Change], skipped: list[SkippedEdit]
) -> Iterator[DocumentEdit]:
    """Yield one edit per document; what no document can say is skipped."""
    shared: dict[Any, list[DocumentEdit]] = defaultdict(list)
    for change in drifted:
        edit = _edit_document(drift, change)
        if isinstance(edit, SkippedEdit):
            skipped.append(edit)
        elif change.address in given.loaded.declared.resources:
            yield edit
        else:
            shared[edit.resource.source].append(edit)
    for same in shared.values():
        yield from _edit_shared(drift, given, same, skipped)


def _edit_shared(
    drift: DriftResult, given: DriftInputs, same: list[DocumentEdit], skipped: list[SkippedEdit]
) -> Iterator[DocumentEdit]:
    """Edit a document with `projects` if what it declares has changed everywhere alike."""
    first = same[0]
    everywhere = {
        address
        for address, resource in drift.world.desired.resources.items()
        if resource.source == first.resource.source
        and address not in given.loaded.declared.resources
    }
    alike = all(replace(edit, addresses=first.addresses) == _retarget(first, edit) for edit in same)
    if alike and {edit.addresses[0] for edit in same} == everywhere:
        yield replace(first, addresses=tuple(sorted(everywhere)))
        return
    for edit in same:
        reason = f"its document at {first.resource.source} is for {len(everywhere)} projects"
        fix = "change that document, or write a separate one for this project"
        skipped.append(SkippedEdit(edit.addresses[0], reason, fix))


def _retarget(first: DocumentEdit, other: DocumentEdit) -> DocumentEdit:
    """Return the first edit for the resource of another, to be compared with that."""
    return replace(first, resource=other.resource)


def _edit_document(drift: DriftResult, change: Change) -> DocumentEdit | SkippedEdit:
    """Return what the document of a drifted resource is to become."""
    address = change.address
    resource = drift.world.desired.resources[address]
    match change.action:
        case Action.CREATE:
            return _remove_document(drift, change, resource)
        case Action.DELETE:
            back = replace(resource, lifecycle=replace(resource.lifecycle, absent=False))
            change = three_way.compare_resource(back, None, change.before)
            edit = _edit_values(change, resource)
            return replace(edit, restored=True) if isinstance(edit, DocumentEdit) else edit
        case _:
            return _edit_values(change, resource)


def _remove_document(
    drift: DriftResult, change: Change, resource: Resource
) -> DocumentEdit | SkippedEdit:
    """Remove from the files what is deleted, if it was live, and is not only hidden from us."""
    address = resource.address
    if KINDS[address.kind].protected:
        reason = "it is not live, or this key cannot see it"
        return SkippedEdit(address, reason, "remove its documents by hand if it really is gone")
    place = address.parts[:-1]
    scope = Address("Project" if len(place) > 1 else "Organization", place)
    if scope not in drift.world.live.ids:
        return SkippedEdit(
            address, f"{scope} is not live, or this key cannot see it", "look at that first"
        )
    is_logged = change.attribution is not None and change.attribution.action is LogAction.DELETED
    was = drift.applied.resources.get(address) if drift.applied is not None else None
    if not is_logged and (was is None or was.lifecycle.absent):
        reason = "it is not live, and nothing says that it ever was: not the log, nor a clean apply"
        return SkippedEdit(address, reason, "apply it, or remove its document by hand")
    return DocumentEdit(resource, (address,), removed=True)


def _edit_values(change: Change, resource: Resource) -> DocumentEdit | SkippedEdit:
    """Write the live values of the fields that drifted."""
    if change.before is not None and (
        why := KINDS[change.address.kind].locked(change.before.payload)
    ):
        return SkippedEdit(change.address, why, "change it in PostHog, or remove its document")
    key = f"metadata.{KINDS[change.address.kind].key}"
    name = next((str(field_.live) for field_ in change.fields if field_.path == key), None)
    if name is not None and name == resource.lifecycle.renamed_from:
        reason = f"it is still called {name}: the rename in git was not applied yet"
        return SkippedEdit(change.address, reason, "apply it, or take `renamed_from` out")
    values = {
        parse_path(field_.path): field_.live for field_ in change.fields if field_.path != key
    }
    for path, value in values.items():
        if _is_nameless(value):
            reason = f"{format_path(path)} names somebody, or a role, that is gone: {value}"
            return SkippedEdit(change.address, reason, "fix it in PostHog, or revert it")
    return DocumentEdit(resource, (change.address,), values, name)


def _is_nameless(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith(_NAMELESS)
    if isinstance(value, dict):
        return any(map(_is_nameless, value.values()))
    return isinstance(value, list) and any(map(_is_nameless, value))


def _find_failures(
    drift: DriftResult, given: DriftInputs, patches: dict[str, Patch], edits: list[DocumentEdit]
) -> Iterator[SkippedEdit]:
    """Yield what would not come out as intended, by the loader and the planner themselves."""
    if not edits:
        return
    tree = PatchedTree(given.tree, patches)
    try:
        target = given.target
        loaded = loader.load_files(
            target.paths, overlays=target.overlays, names=target.names, tree=tree
        )
        declared = config_loaded.expand_templates(
            loaded, matching.list_project_names(drift.world.live)
        )
    except ConfigError as error:
        yield from _blame_edits(error, edits)
        return
    skipped = [*_find_remaining(drift, declared, edits), *_find_needed(declared, edits)]
    yield from skipped or _find_side_effects(drift, declared, edits)


def _blame_edits(error: ConfigError, edits: list[DocumentEdit]) -> Iterator[SkippedEdit]:
    """Yield the edits that our loader refuses: by address, else by file, else all of them."""
    named = {edit.address for edit in error.findings}
    places = {edit.source.file for edit in error.findings if edit.source is not None}
    message = error.findings[0].message if error.findings else error.what
    for test in (
        lambda edit: named & set(edit.addresses),
        lambda edit: edit.resource.source.file in places,
        lambda _: True,
    ):
        bad = [edit for edit in edits if test(edit)]
        if bad:
            for edit in bad:
                reason = f"the files would not be valid: {message}"
                yield from (
                    SkippedEdit(edit, reason, "edit them by hand") for edit in edit.addresses
                )
            return


def _find_remaining(
    drift: DriftResult, declared: Declared, edits: list[DocumentEdit]
) -> Iterator[SkippedEdit]:
    """Yield resources that would still differ in what was to be adopted."""
    spelled = references.respell_references(declared, drift.world.live).resources
    index = matching.LiveLookup(drift.world.live)
    for edit in edits:
        for address in edit.addresses:
            now = spelled.get(_renamed(address, edit))
            if edit.removed or now is None:
                wrong = edit.removed is (now is not None)
            else:
                candidates = index.find_candidates(now)
                change = (
                    three_way.compare_resource(now, None, candidates[0])
                    if len(candidates) == 1
                    else None
                )
                left = {parse_path(field_.path) for field_ in change.fields} if change else set()
                wrong = change is None or now.lifecycle.absent or bool(left & set(edit.values))
            if wrong:
                place = edit.resource.source
                reason = f"{place} would not say what is live: something else declares it too"
                yield SkippedEdit(address, reason, "edit it by hand")


def _renamed(address: Address, edit: DocumentEdit) -> Address:
    return address if edit.name is None else Address(address.kind, (*address.parts[:-1], edit.name))


def _find_needed(declared: Declared, edits: list[DocumentEdit]) -> Iterator[SkippedEdit]:
    """Yield what would be removed but is still named by a document that stays."""
    removed = {address for edit in edits if edit.removed for address in edit.addresses}
    for resource in declared.resources.values() if removed else ():
        for target, path in references.list_needed(resource):
            if target in removed:
                removed.discard(target)
                reason = f"{resource.address} names it in {format_path(path) or 'its metadata'}"
                yield SkippedEdit(target, reason, "change that document first")


def _find_side_effects(
    drift: DriftResult, declared: Declared, edits: list[DocumentEdit]
) -> Iterator[SkippedEdit]:
    """Yield all edits if a document would change that nobody meant to change."""
    edited = {address for edit in edits for address in edit.addresses}
    edited |= {_renamed(address, edit) for edit in edits for address in edit.addresses}
    former = drift.world.desired.resources
    for address in {*former, *declared.resources} - edited:
        if former.get(address) != declared.resources.get(address):
            for edit in edits:
                reason = f"{address} would change with it"
                yield from (
                    SkippedEdit(edited_address, reason, "edit it by hand")
                    for edited_address in edit.addresses
                )
            return
