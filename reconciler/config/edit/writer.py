"""Write live resources to files. Existing documents are edited in place, never deleted."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from reconciler.config.edit import filenames, merge, verify
from reconciler.config.edit.documents import (
    CORRECT,
    DocumentShape,
    Item,
    SkippedEdit,
    build_metadata,
    drop_unwritable_fields,
)
from reconciler.config.edit.emitter import format_document
from reconciler.config.edit.file_text import FileText
from reconciler.config.edit.filenames import FileNames
from reconciler.config.edit.splice import CannotEditError
from reconciler.errors import ReconcilerError
from reconciler.files.text import decode_text
from reconciler.files.working_tree import check_output
from reconciler.kinds import KINDS
from reconciler.model import Address, parse_path, root
from reconciler.model import Path as SpecPath

_Spec = dict[str, Any]
_EMPTY: Final[tuple[Any, ...]] = (None, {}, [], "")
MAX_LENGTH: Final = 2_000_000  # characters of a file; the loader reads four times as much
WRITTEN: Final = "written"
UPDATED: Final = "updated"
UNCHANGED: Final = "unchanged"


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """The result for one file."""

    path: Path
    action: str  # written, updated, unchanged
    resources: int


@dataclass(slots=True)
class FileWriter:
    """One run: items in, files out. Nothing is on disk before `save`.

    Args:
        out: the folder for what is in no file yet.
        root: the folder whose `.schemas` editors look at.
        cwd: what the places of declared resources are relative to.
        layout: one of `writer_names.LAYOUTS`.
        shape: how much of a resource is written.
        declared: everything that files declare already.

    """

    out: Path
    root: Path
    cwd: Path
    layout: str
    shape: DocumentShape
    declared: tuple[Address, ...] = ()
    doubts: list[SkippedEdit] = field(default_factory=list)
    files: dict[Path, FileText] = field(default_factory=dict)
    counts: dict[Path, int] = field(default_factory=dict)
    taken: list[tuple[Address, str]] = field(default_factory=list)  # of documents that are there
    sizes: dict[Path, int] = field(default_factory=dict)  # of files that something is put into

    def run(self, items: Sequence[Item]) -> None:
        """Make the text of every file."""
        writable = list(drop_unwritable_fields(items, self.doubts))
        existing = [item for item in writable if item.resource is not None]
        new_items = {item.address: item for item in writable if item.resource is None}
        self._tag_documents(existing)
        updates = {
            item.address: (item, *parts) for item in existing if (parts := self._find_changes(item))
        }
        texts = {
            address: format_document(self.shape.build_document(item))
            for address, item in new_items.items()
        }
        refused = self._find_refusals(texts, updates)
        while correctable := {
            a: refusal for a, refusal in refused.items() if refusal.field and a in texts
        }:
            for address, refusal in correctable.items():
                new_items[address] = self._drop_field(new_items[address], refusal)
                texts[address] = format_document(self.shape.build_document(new_items[address]))
            refused = self._find_refusals(texts, updates)
        for address, (item, before, after) in updates.items():
            if address in refused:
                self._skip_edit(address, refused[address])
            else:
                self._edit_document(item, before, after)
        names = FileNames(self.layout)
        for address in sorted(new_items, key=_sort_key):
            if address in refused:
                self._skip_edit(address, refused[address])
                continue
            path = self._choose_file_with_room(
                self.out / names.choose_file(address), texts[address]
            )
            self._open_file(path).add(texts[address], _sort_key(address))
            self.counts[path] = self.counts.get(path, 0) + 1

    def _skip_edit(self, address: Address, why: verify.LoaderRefusal) -> None:
        self.doubts.append(SkippedEdit(address, why.reason, why.fix))

    def _drop_field(self, item: Item, why: verify.LoaderRefusal) -> Item:
        """Return the item without the field that our own loader would refuse."""
        reason = f"`{why.field}` is left out: {why.reason}"
        self.doubts.append(SkippedEdit(item.address, reason, CORRECT))
        spec = {name: value for name, value in item.spec.items() if name != why.field}
        return replace(item, spec=spec)

    def _find_refusals(
        self, texts: Mapping[Address, str], updates: Mapping[Address, tuple[Item, _Spec, _Spec]]
    ) -> dict[Address, verify.LoaderRefusal]:
        """Return the documents that our own loader would refuse, but accepted before."""
        before, after = {}, dict(texts)
        declared = set(self.declared)
        for address, (item, _, changed) in updates.items():
            if (resource := item.resource) is not None:
                head = {"kind": address.kind, "metadata": build_metadata(item)}
                before[address] = format_document({**head, "spec": dict(resource.spec)})
                after[address] = format_document(
                    {**head, "spec": {**resource.spec, **changed["spec"]}}
                )
                declared.discard(resource.address)
        refusals = verify.find_refusals(after, declared)
        refused_before = (
            verify.find_refusals(before, declared) if refusals.keys() & before.keys() else {}
        )
        return {
            address: refusal
            for address, refusal in refusals.items()
            if address not in refused_before
        }

    def _choose_file_with_room(self, path: Path, text: str) -> Path:
        """Return the file, or the next one of its name: the loader reads no larger files."""
        number, candidate = 1, path
        while self.sizes.get(candidate, 0) + len(text) > MAX_LENGTH and candidate in self.sizes:
            number += 1
            candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        if candidate not in self.sizes:
            self.sizes[candidate] = candidate.stat().st_size if candidate.is_file() else 0
        self.sizes[candidate] += len(text)
        return candidate

    def _tag_documents(self, items: Iterable[Item]) -> None:
        for item in items:
            source = item.resource and item.resource.source
            if source:
                path = self._resolve_display(source.file)
                self._open_file(path).tag(source.line, _sort_key(item.address))
                self.counts[path] = self.counts.get(path, 0) + 1

    def _resolve_display(self, display: str) -> Path:
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
        """Return the parts of a document that differ from the live object, before and after."""
        resource = item.resource
        if resource is None or resource.source is None:
            return None
        before, after = find_changed_parts(item, self.shape.build_spec(item))
        overlaid = [
            name
            for name in before["spec"]
            if (source := resource.locate((name,))) and source.file != resource.source.file
        ]
        for name in overlaid:
            reason = f"`{name}` differs from what is live, but an overlay writes it"
            self.doubts.append(SkippedEdit(item.address, reason, "change it in the overlay"))
            before["spec"].pop(name)
            after["spec"].pop(name, None)
        return None if before == after else (before, after)

    def _edit_document(self, item: Item, before: _Spec, after: _Spec) -> None:
        """Change the document of a resource."""
        resource = item.resource
        if resource is None or resource.source is None:
            return
        file = self._open_file(self._resolve_display(resource.source.file))
        try:
            lists = find_folded_lists(item.address.kind)
            file.rewrite(
                resource.source.line,
                lambda text: merge.rewrite_document(text, before, after, lists),
            )
        except CannotEditError as problem:
            names = ", ".join(sorted({*before["spec"], *after["spec"]}) or ["its name"])
            reason = f"{resource.source}: {names} cannot be rewritten: {problem}"
            self.doubts.append(SkippedEdit(item.address, reason, f"edit {resource.source} by hand"))
        else:
            self.taken += [(item.address, path) for path in _list_taken_paths(item, before, after)]

    def save(self, *, dry: bool = False) -> list[WrittenFile]:
        """Write what has changed, each file whole or not at all; `dry`: nothing."""
        for path in self.files:  # before the first is written: all of them, or none
            check_output(path)
        results = []
        for path, file in sorted(self.files.items()):
            text = file.text
            action = UNCHANGED if text == file.was else WRITTEN if file.was is None else UPDATED
            if action != UNCHANGED and not dry:
                write_file(path, text)
            results.append(WrittenFile(path, action, self.counts.get(path, 0)))
        if results:
            results += self._save_schema(dry=dry)
        return results

    def _save_schema(self, *, dry: bool) -> list[WrittenFile]:
        results = []
        for name, text in filenames.build_schema_files().items():
            path = self.root / filenames.FOLDER / name
            existing = _read_text(path) if path.is_file() else None
            if existing != text and not dry:
                write_file(path, text)
            if existing != text:
                results.append(WrittenFile(path, WRITTEN if existing is None else UPDATED, 0))
        return results


def find_changed_parts(
    item: Item, worth: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parts of a declared resource that are rewritten, before and after."""
    resource = item.resource
    before: dict[str, Any] = {"spec": {}}
    after: dict[str, Any] = {"spec": {}}
    if resource is None:
        return before, after
    key = KINDS[item.address.kind].key
    if item.renamed:
        before["metadata"], after["metadata"] = (
            {key: resource.address.name},
            {key: item.address.name},
        )
    if item.id is not None and item.resource and "id" not in _list_written_metadata(item):
        before.setdefault("metadata", {})
        id_ = int(item.id) if item.id.isdecimal() else item.id
        after["metadata"] = {**after.get("metadata", {}), "id": id_}
    ignored = [parse_path(path) for path in resource.lifecycle.ignore]
    for name, value in item.spec.items():
        declared = resource.spec.get(name)
        if (name,) in ignored:
            continue
        if name in item.fields and name in resource.spec:
            before["spec"][name] = declared
            after["spec"][name] = _restore_ignored(
                _drop_unwritten(declared, value), declared, name, ignored
            )
        elif name not in resource.spec and name in worth:
            after["spec"][name] = worth[name]
        elif isinstance(declared, Mapping) and isinstance(worth.get(name), Mapping):
            extra = {k: v for k, v in worth[name].items() if k not in declared and v not in _EMPTY}
            if extra and name not in KINDS[item.address.kind].atomic:
                before["spec"][name] = declared
                after["spec"][name] = {**declared, **extra}
    return before, after


def _list_taken_paths(item: Item, before: _Spec, after: _Spec) -> Iterator[str]:
    """Return the paths of a document that become what is live."""
    for name in sorted({*before["spec"], *after["spec"]}):
        paths = [path for path in item.taken if root(path) == name]
        yield from paths or [name]
    yield from (f"metadata.{name}" for name in sorted(after.get("metadata", {})))


def find_folded_lists(kind: str) -> tuple[SpecPath, ...]:
    """Return the lists of people and roles, whose names are compared without case."""
    paths = (
        reference.path for reference in KINDS[kind].references if reference.path.endswith("[]")
    )
    return tuple(("spec", *parse_path(path.removesuffix("[]"))) for path in paths)


def _list_written_metadata(item: Item) -> tuple[str, ...]:
    return ("id",) if item.resource is not None and item.resource.id is not None else ()


def _drop_unwritten(declared: Any, value: Any) -> Any:
    """Return the live value of a field, without empty keys that the document lacks."""
    if not isinstance(declared, Mapping) or not isinstance(value, Mapping):
        return value
    return {key: item for key, item in value.items() if key in declared or item not in _EMPTY}


def _restore_ignored(value: Any, declared: Any, name: str, ignored: list[SpecPath]) -> Any:
    """Return the value with ignored paths as the document has them."""
    for path in ignored:
        if path[0] == name:
            value = _restore_path(value, declared, path[1:])
    return value


def _restore_path(value: Any, declared: Any, path: SpecPath) -> Any:
    if not path:
        return declared
    step, *inner_steps = path
    try:
        inner = _restore_path(value[step], declared[step], tuple(inner_steps))
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
    """Write a file whole or not at all; folders are made. Raises ReconcilerError."""
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
        why=problem.strerror or str(problem),
        state="files before it are written, it and those after it are not",
        fix="choose a writable folder, and run it again: that is safe",
    )
