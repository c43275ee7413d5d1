"""Write live resources to files. Existing documents are edited in place; nothing is deleted."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Final

from reconciler.config.edit import filenames, merge, verify
from reconciler.config.edit.documents import (
    CORRECT,
    DocumentShape,
    Item,
    SkippedEdit,
    drop_unwritable_fields,
)
from reconciler.config.edit.emitter import format_document
from reconciler.config.edit.file_text import FileText
from reconciler.config.edit.filenames import FileNames
from reconciler.config.edit.splice import CannotEditError
from reconciler.errors import ReconcilerError, explain_refusal
from reconciler.files.text import decode_text
from reconciler.files.working_tree import check_output
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, get_root, parse_path
from reconciler.model import Path as SpecPath

_Spec = dict[str, Any]
_EMPTY: Final[tuple[Any, ...]] = (None, {}, [], "")
MAX_LENGTH: Final = 2_000_000  # characters of a file; the loader reads four times as much
WRITTEN: Final = "written"
UPDATED: Final = "updated"
UNCHANGED: Final = "unchanged"


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One file of the output, and what was done with it."""

    path: Path
    action: str  # written, updated, unchanged
    resources: int


@dataclass(slots=True)
class FileWriter:
    """One run: items in, files out. Nothing is written to disk before `save_files`.

    Args:
        out: the folder for new documents.
        root: the folder of `.schemas`, where editors find the schema.
        cwd: the folder that file names of declared resources are relative to.
        layout: one of `filenames.LAYOUTS`.
        shape: how much of a resource is written.
        declared: all declared addresses.

    """

    out: Path
    root: Path
    cwd: Path
    layout: str
    shape: DocumentShape
    declared: tuple[Address, ...] = ()
    skipped: list[SkippedEdit] = field(default_factory=list)
    files: dict[Path, FileText] = field(default_factory=dict)
    counts: dict[Path, int] = field(default_factory=dict)
    taken: list[tuple[Address, str]] = field(default_factory=list)  # fields of existing documents
    sizes: dict[Path, int] = field(default_factory=dict)  # of files that get new documents

    def edit_files(self, items: Sequence[Item]) -> None:
        """Make the new text of every file; no file is written."""
        writable = list(drop_unwritable_fields(items, self.skipped))
        declared = [item for item in writable if item.resource is not None]
        undeclared = {item.address: item for item in writable if item.resource is None}
        self._set_sort_keys(declared)
        updates = {
            item.address: (item, *parts) for item in declared if (parts := self._find_changes(item))
        }
        texts = {
            address: format_document(self.shape.build_document(item))
            for address, item in undeclared.items()
        }
        refusals = self._find_refusals(texts, updates)
        while field_refusals := {a: r for a, r in refusals.items() if r.field and a in texts}:
            for address, refusal in field_refusals.items():
                undeclared[address] = self._drop_field(undeclared[address], refusal)
                texts[address] = format_document(self.shape.build_document(undeclared[address]))
            refusals = self._find_refusals(texts, updates)
        for address, (item, before, after) in updates.items():
            if address in refusals:
                self._skip_edit(address, refusals[address])
            else:
                self._update_document(item, before, after)
        file_names = FileNames(self.layout)
        for address in sorted(undeclared, key=_sort_key):
            if address in refusals:
                self._skip_edit(address, refusals[address])
                continue
            path = self.out / file_names.choose_file(address, self.shape)
            path = self._find_file_with_room(path, texts[address])
            self._open_file(path).add_document(texts[address], _sort_key(address))
            self.counts[path] = self.counts.get(path, 0) + 1

    def _skip_edit(self, address: Address, refusal: verify.LoaderRefusal) -> None:
        self.skipped.append(SkippedEdit(address, refusal.reason, refusal.fix))

    def _drop_field(self, item: Item, refusal: verify.LoaderRefusal) -> Item:
        """Return the item without the field that our own loader would refuse."""
        reason = f"`{refusal.field}` is left out: {refusal.reason}"
        self.skipped.append(SkippedEdit(item.address, reason, CORRECT))
        spec = {name: value for name, value in item.spec.items() if name != refusal.field}
        return replace(item, spec=spec)

    def _find_refusals(
        self, texts: Mapping[Address, str], updates: Mapping[Address, tuple[Item, _Spec, _Spec]]
    ) -> dict[Address, verify.LoaderRefusal]:
        """Return the new texts that our own loader would refuse, if it accepts the present ones."""
        before, after = {}, dict(texts)
        declared = set(self.declared)
        for address, (item, _, changed) in updates.items():
            if (resource := item.resource) is not None:
                head = {"kind": address.kind, "metadata": self.shape.build_metadata(item)}
                before[address] = format_document({**head, "spec": dict(resource.spec)})
                spec = {**resource.spec, **changed["spec"]}
                after[address] = format_document({**head, "spec": spec})
                declared.discard(resource.address)
        refusals = verify.find_refusals(after, declared, self.shape.names)
        if not refusals.keys() & before.keys():
            return refusals
        present = verify.find_refusals(before, declared, self.shape.names)
        return {a: refusal for a, refusal in refusals.items() if a not in present}

    def _find_file_with_room(self, path: Path, text: str) -> Path:
        """Return the file, or a numbered one: no file may get too large for the loader."""
        number, candidate = 1, path
        while self.sizes.get(candidate, 0) + len(text) > MAX_LENGTH and candidate in self.sizes:
            number += 1
            candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        if candidate not in self.sizes:
            self.sizes[candidate] = candidate.stat().st_size if candidate.is_file() else 0
        self.sizes[candidate] += len(text)
        return candidate

    def _set_sort_keys(self, items: Iterable[Item]) -> None:
        """Set the sort keys of existing documents, which place the new ones."""
        for item in items:
            source = item.resource and item.resource.source
            if source:
                path = self._resolve_path(source.file)
                self._open_file(path).set_key(source.line, _sort_key(item.address))
                self.counts[path] = self.counts.get(path, 0) + 1

    def _resolve_path(self, display: str) -> Path:
        return Path(os.path.realpath(self.cwd / display))

    def _open_file(self, path: Path) -> FileText:
        if path not in self.files:
            if path.is_file():
                self.files[path] = FileText.parse(_read_text(path))
            else:
                head = filenames.format_modeline(path, self.root)
                self.files[path] = FileText(head=head)
        return self.files[path]

    def _find_changes(self, item: Item) -> tuple[_Spec, _Spec] | None:
        """Return the parts of a document that have to change, before and after, if any."""
        resource = item.resource
        if resource is None or resource.source is None:
            return None
        item = self._leave_project_name(item)
        before, after = find_changed_parts(item, self.shape.build_spec(item))
        overlaid = [
            name
            for name in before["spec"]
            if (place := resource.locate((name,))) and place.file != resource.source.file
        ]
        for name in overlaid:
            reason = f"`{name}` differs from the live value, but an overlay writes it"
            self.skipped.append(SkippedEdit(item.address, reason, "change it in the overlay"))
            before["spec"].pop(name)
            after["spec"].pop(name, None)
        return None if before == after else (before, after)

    def _leave_project_name(self, item: Item) -> Item:
        """Return an item without a new name that is for `projects` of the target."""
        resource = item.resource
        if resource is None or not item.renamed:
            return item
        reason = self.shape.names.explain_mapped_rename(resource.address, item.address.name)
        if not reason:
            return item
        fix = "change `projects` in reconciler.yaml"
        self.skipped.append(SkippedEdit(resource.address, reason, fix))
        return replace(item, address=resource.address, renamed=False)

    def _update_document(self, item: Item, before: _Spec, after: _Spec) -> None:
        """Edit the existing document of a resource."""
        resource = item.resource
        if resource is None or resource.source is None:
            return
        file = self._open_file(self._resolve_path(resource.source.file))
        try:
            lists = find_folded_lists(item.address.kind)
            file.replace_document(
                resource.source.line,
                lambda text: merge.rewrite_document(text, before, after, lists),
            )
        except CannotEditError as problem:
            names = ", ".join(sorted({*before["spec"], *after["spec"]}) or ["its name"])
            reason = f"{resource.source}: {names} cannot be rewritten: {problem}"
            self.skipped.append(
                SkippedEdit(item.address, reason, f"edit {resource.source} by hand")
            )
        else:
            self.taken += [(item.address, path) for path in _list_taken_paths(item, before, after)]

    def save_files(self, *, dry_run: bool = False) -> list[WrittenFile]:
        """Write the files that have changed, each completely or not at all."""
        for path in self.files:  # checked first: if one is refused, none is written
            check_output(path)
        written = []
        for path, file in sorted(self.files.items()):
            text = file.text
            is_new = file.original is None
            action = UNCHANGED if text == file.original else WRITTEN if is_new else UPDATED
            if action != UNCHANGED and not dry_run:
                write_file(path, text)
            written.append(WrittenFile(path, action, self.counts.get(path, 0)))
        if written:
            written += self._save_schema(dry_run=dry_run)
        return written

    def _save_schema(self, *, dry_run: bool) -> list[WrittenFile]:
        written = []
        for name, text in filenames.build_schema_files().items():
            path = self.root / filenames.FOLDER / name
            present = _read_text(path) if path.is_file() else None
            if present != text and not dry_run:
                write_file(path, text)
            if present != text:
                written.append(WrittenFile(path, WRITTEN if present is None else UPDATED, 0))
        return written


def find_changed_parts(item: Item, live_spec: Mapping[str, Any]) -> tuple[_Spec, _Spec]:
    """Return the parts of a document that have to change, before and after.

    Args:
        item: a declared resource.
        live_spec: the live fields that are worth writing.

    """
    resource = item.resource
    before: _Spec = {"spec": {}}
    after: _Spec = {"spec": {}}
    if resource is None:
        return before, after
    kind = KINDS[item.address.kind]
    if item.renamed:
        before["metadata"] = {kind.key: resource.address.name}
        after["metadata"] = {kind.key: item.address.name}
    if item.id is not None and resource.id is None:
        before.setdefault("metadata", {})
        id_ = int(item.id) if item.id.isdecimal() else item.id
        after["metadata"] = {**after.get("metadata", {}), "id": id_}
    ignored = [parse_path(path) for path in resource.lifecycle.ignore]
    unset = {n: kind.defaults[n] for n in item.fields if n in kind.apart and n not in item.spec}
    for name, live in {**item.spec, **unset}.items():
        declared, writable = resource.spec.get(name), live_spec.get(name)
        if (name,) in ignored:
            continue
        if name in item.fields and name in resource.spec:
            before["spec"][name] = declared
            value = _drop_unwritten(declared, live)
            after["spec"][name] = _restore_ignored(value, declared, name, ignored)
        elif name not in resource.spec and name in live_spec:
            after["spec"][name] = writable
        elif isinstance(declared, Mapping) and isinstance(writable, Mapping):
            added = {k: v for k, v in writable.items() if k not in declared and v not in _EMPTY}
            if added and name not in kind.atomic:
                before["spec"][name] = declared
                after["spec"][name] = {**declared, **added}
    return before, after


def _list_taken_paths(item: Item, before: _Spec, after: _Spec) -> Iterator[str]:
    """Yield the paths of a document that get the live value."""
    for name in sorted({*before["spec"], *after["spec"]}):
        paths = [path for path in item.taken if get_root(path) == name]
        yield from paths or [name]
    yield from (f"metadata.{name}" for name in sorted(after.get("metadata", {})))


def find_folded_lists(kind: str) -> tuple[SpecPath, ...]:
    """Return the lists of people and roles, whose names are compared without regard to case."""
    paths = (reference.path for reference in KINDS[kind].references)
    lists = (path.removesuffix("[]") for path in paths if path.endswith("[]"))
    return tuple(("spec", *parse_path(path)) for path in lists)


def _drop_unwritten(before: Any, value: Any) -> Any:
    """Return a live value; a mapping without empty values that the document does not have."""
    if not isinstance(before, Mapping) or not isinstance(value, Mapping):
        return value
    return {key: item for key, item in value.items() if key in before or item not in _EMPTY}


def _restore_ignored(value: Any, before: Any, name: str, ignored: list[SpecPath]) -> Any:
    """Return a live value, with the document's value at each path of its `ignore`."""
    for path in ignored:
        if path[0] == name:
            value = _restore_path(value, before, path[1:])
    return value


def _restore_path(value: Any, before: Any, path: SpecPath) -> Any:
    if not path:
        return before
    step, *rest = path
    try:
        inner = _restore_path(value[step], before[step], tuple(rest))
    except (KeyError, IndexError, TypeError):
        return value
    if isinstance(value, Mapping):
        return {**value, step: inner}
    return [inner if index == step else item for index, item in enumerate(value)]


def _sort_key(address: Address) -> tuple[str, ...]:
    return (*address.parts[:-1], f"{KINDS[address.kind].rank:03}", address.name)


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise _make_write_error(path, "read", problem) from problem
    text = decode_text(data, str(path))
    return f"\ufeff{text}" if data.startswith(b"\xef\xbb\xbf") else text


def write_file(path: Path, text: str) -> None:
    """Write a file completely or not at all; create its folders. Raises ReconcilerError."""
    check_output(path)
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:50]}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_read_umask()
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except OSError as problem:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise _make_write_error(path, "written", problem) from problem


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _make_write_error(path: Path, action: str, problem: OSError) -> ReconcilerError:
    return ReconcilerError(
        f"{path.name} cannot be {action}",
        why=explain_refusal(problem),
        state="files before it were written; this file and those after it were not",
        fix="choose a writable folder, and run the command again: that is safe",
    )
