"""Write what an undo changes into the files at HEAD, as edits of their documents.

Nothing is written to disk: the results are patches, and our own loader has read each of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from reconciler.config import loaded as config_loaded
from reconciler.config import loader
from reconciler.config.edit.adopt import Adoption, DocumentEdit, Patch, PatchedTree, patch_spec
from reconciler.config.edit.documents import SkippedEdit
from reconciler.config.edit.file_text import FileText
from reconciler.errors import ConfigError
from reconciler.files.text import decode_text
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    ABSENT,
    Address,
    Declared,
    Resource,
    Source,
    format_path,
)
from reconciler.model import Path as SpecPath
from reconciler.operations.history.undo import UndoResult
from reconciler.operations.history.undone import UndoInputs
from reconciler.plan.diff import matching, secrets, values
from reconciler.plan.reversal.files import Reverted

_BY_HAND = "edit it by hand"
_NAMED = 5  # paths in a message


@dataclass(slots=True)
class RevertedDocuments:
    """What the files become, and what stays as it is."""

    patches: dict[str, Patch] = field(default_factory=dict)
    skipped: list[SkippedEdit] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Edit:
    """One edit, and what the files must declare for its addresses afterwards."""

    addresses: tuple[Address, ...]
    edit: DocumentEdit | None = None  # None: the document is put back
    source: Source | None = None  # of a document that is put back, before the run
    expected: Mapping[Address, Any] = field(default_factory=dict)  # specs; ABSENT: not declared


def revert_documents(given: UndoInputs, result: UndoResult) -> RevertedDocuments:
    """Return the files as they would declare what the plan restores, wherever that is possible."""
    return _Writer(given, result).write()


class _Writer:
    """Build edits, try them, and leave out those that do not come out as intended."""

    def __init__(self, given: UndoInputs, result: UndoResult) -> None:
        self._given, self._reader, self._result = given, given.reader, result
        self._projects = matching.list_project_names(result.world.live)
        self._head = config_loaded.expand_templates(self._reader.head, self._projects)
        self._done = RevertedDocuments()

    def write(self) -> RevertedDocuments:
        """Return the patches of every edit that comes out as intended."""
        edits = list(self._merge_edits(self._build_edits()))
        while True:
            adoption = Adoption(lambda name: self._reader.tree.read_file(Path(name)))
            for edit in edits:
                self._apply_edit(adoption, edit)
            patches = adoption.build_patches()
            skipped = adoption.skipped or list(self._find_failures(patches, edits))
            if not skipped:
                former = self._restore_files(patches)
                is_exact = bool(former) and not any(self._find_failures(former, edits))
                self._done.patches = former if is_exact else patches
                return self._done
            self._done.skipped += skipped
            bad = {skip.address for skip in skipped}
            edits = [edit for edit in edits if not bad & set(edit.addresses)]

    def _build_edits(self) -> Iterator[_Edit]:
        for address, reverted in sorted(self._result.files.resources.items()):
            name = reverted.after.address if reverted.after is not None else address
            conflicts = self._result.conflicts.get(address) or self._result.conflicts.get(name, ())
            if conflicts:
                paths = ", ".join(sorted(conflicts)[:_NAMED])
                self._skip(address, f"{paths}: changed since", "undo never reverts later changes")
            is_whole = reverted.before is None or reverted.after is None
            is_deleted = address not in self._result.world.live.resources and name == address
            if not conflicts or not (is_whole or is_deleted):
                yield from self._build_edit(address, reverted, conflicts)

    def _build_edit(
        self, address: Address, reverted: Reverted, conflicts: tuple[str, ...]
    ) -> Iterator[_Edit]:
        before, after = reverted.before, reverted.after
        name = after.address if after is not None else address
        present = self._head.resources.get(name)
        desired = self._result.files.desired.resources.get(address)
        if before is None or desired is None:
            if present is not None:
                edit = DocumentEdit(present, (name,), removed=True)
                yield _Edit((name,), edit, expected={name: ABSENT})
        elif after is None:
            yield from self._put_back(address, before, present)
        elif present is not None:
            new_values = dict(_find_values(present, desired, conflicts))
            is_renamed = address != name
            if new_values or is_renamed:
                edit = DocumentEdit(
                    present,
                    (name,),
                    new_values,
                    address.name if is_renamed else None,
                    unrenamed=is_renamed,
                )
                expected: dict[Address, Any] = {address: patch_spec(present.spec, new_values)}
                if is_renamed:
                    expected[name] = ABSENT
                yield _Edit((name,), edit, expected=expected)

    def _put_back(
        self, address: Address, before: Resource, present: Resource | None
    ) -> Iterator[_Edit]:
        if present is None:
            yield _Edit((address,), source=before.source, expected={address: before.spec})
            return
        new_values: dict[SpecPath, Any] = {
            (name,): value for name, value in before.spec.items() if present.spec.get(name) != value
        }
        edit = DocumentEdit(present, (address,), new_values, restored=True)
        yield _Edit((address,), edit, expected={address: patch_spec(present.spec, new_values)})

    def _merge_edits(self, edits: Iterator[_Edit]) -> Iterator[_Edit]:
        """Merge the edits of a document for several projects; all of them have to be the same."""
        shared: dict[tuple[Source | None, bool], list[_Edit]] = {}
        for edit in edits:
            address = edit.addresses[0]
            source = edit.source if edit.edit is None else edit.edit.resource.source
            is_single = (
                address in self._reader.head.declared.resources if edit.edit is not None else False
            )
            if is_single:
                yield edit
            else:
                shared.setdefault((source, edit.edit is None), []).append(edit)
        for (source, is_put_back), same in shared.items():
            yield from self._merge_same(source, same, is_put_back=is_put_back)

    def _merge_same(
        self, source: Source | None, same: list[_Edit], *, is_put_back: bool
    ) -> Iterator[_Edit]:
        first = same[0]
        addresses = tuple(sorted(address for edit in same for address in edit.addresses))
        expected = {a: spec for edit in same for a, spec in edit.expected.items()}
        whole = replace(first, addresses=addresses, expected=expected)
        if is_put_back:
            yield whole
            return
        everywhere = {a for a, r in self._head.resources.items() if r.source == source}
        assert first.edit is not None  # noqa: S101  only documents of HEAD are edited
        alike = all(
            edit.edit is not None
            and replace(edit.edit, addresses=(), resource=first.edit.resource)
            == replace(first.edit, addresses=())
            for edit in same
        )
        if alike and everywhere == set(addresses):
            yield replace(whole, edit=replace(first.edit, addresses=addresses))
            return
        for address in addresses:
            reason = f"its document at {source} is for {len(everywhere)} projects"
            self._skip(address, reason, "write a separate document for this project")

    def _apply_edit(self, adoption: Adoption, edit: _Edit) -> None:
        if edit.edit is not None:
            adoption.apply_edit(edit.edit)
            return
        text = self._read_former_document(edit.source)
        if edit.source is None or text is None:
            adoption.skipped += [
                SkippedEdit(address, "its former document cannot be read", _BY_HAND)
                for address in edit.addresses
            ]
            return
        adoption.add_document(edit.source.file, text)

    def _read_former_document(self, source: Source | None) -> str | None:
        """Return the text of a document before the run, from the commit that has it."""
        for undone in self._given.runs if source is not None else ():
            if undone.run.before is None or source is None:
                continue
            tree = replace(self._reader.tree, commit=undone.run.before)
            data = tree.read_file(Path(source.file))
            if data is not None:
                return FileText.parse(decode_text(data, source.file)).copy_document(source.line)
        return None

    def _find_failures(
        self, patches: dict[str, Patch], edits: list[_Edit]
    ) -> Iterator[SkippedEdit]:
        """Yield what would not come out as intended, by the loader itself."""
        if not edits:
            return
        target = self._reader.target
        tree = PatchedTree(self._reader.tree, patches)
        try:
            loaded = loader.load_files(
                target.paths, overlays=target.overlays, names=target.names, tree=tree
            )
            declared = config_loaded.expand_templates(loaded, self._projects)
        except ConfigError as error:
            message = error.findings[0].message if error.findings else error.what
            for edit in edits:
                for address in edit.addresses:
                    reason = f"the files would not be valid: {message}"
                    yield SkippedEdit(address, reason, _BY_HAND)
            return
        yield from _compare(self._head, declared, edits)

    def _restore_files(self, patches: Mapping[str, Patch]) -> dict[str, Patch]:
        """Return patches that restore whole files; nothing if anybody edited one since the run."""
        run = self._given.runs[0].run
        if len(self._given.runs) > 1 or run.before is None:
            return {}
        former = {}
        for name, patch in patches.items():
            head, after, before = (
                self._read_file(commit, name)
                for commit in (self._reader.tree.commit, run.after, run.before)
            )
            if head != after or head == before:
                return {}
            text = before.decode("utf-8", "replace") if before is not None else None
            former[name] = replace(patch, after=text, is_new=head is None)
        return former

    def _read_file(self, commit: str, name: str) -> bytes | None:
        return replace(self._reader.tree, commit=commit).read_file(Path(name))

    def _skip(self, address: Address, reason: str, fix: str) -> None:
        self._done.skipped.append(SkippedEdit(address, reason, fix))


def _compare(head: Declared, declared: Declared, edits: list[_Edit]) -> Iterator[SkippedEdit]:
    """Yield the edits with another result than intended; all, if another document changed."""
    wrong = False
    expected: dict[Address, Any] = {}
    for edit in edits:
        expected |= edit.expected
        for address, spec in edit.expected.items():
            resource = declared.resources.get(address)
            is_declared = resource is not None and not resource.lifecycle.absent
            if is_declared is (spec is ABSENT) or (
                is_declared and resource is not None and resource.spec != spec
            ):
                wrong = True
                reason = (
                    "the edit would have no effect: another document or overlay also declares it"
                )
                yield SkippedEdit(edit.addresses[0], reason, _BY_HAND)
    others = {*head.resources, *declared.resources} - expected.keys()
    changed = [a for a in others if head.resources.get(a) != declared.resources.get(a)]
    if changed and not wrong:
        for edit in edits:
            reason = f"{min(changed)} would change with it"
            yield SkippedEdit(edit.addresses[0], reason, _BY_HAND)


def _find_values(
    present: Resource, desired: Resource, conflicts: tuple[str, ...]
) -> Iterator[tuple[SpecPath, Any]]:
    """Yield the values that a document gets, except those that have changed since."""
    for name in {*present.spec, *desired.spec}:
        old, new = present.spec.get(name, ABSENT), desired.spec.get(name, ABSENT)
        for path, _, value in values.find_differences(old, new, (name,)):
            if not secrets.is_covered(conflicts, format_path(path)):
                yield path, value
