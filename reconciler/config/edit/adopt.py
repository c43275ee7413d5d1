"""Put live values into the documents that declare them; comments, order and style stay.

A value is changed where it is written: in the overlay if an overlay writes it. Nothing is written
to disk before the text of every file is complete and our own loader has read it.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Any, Final

from reconciler.config.edit import merge
from reconciler.config.edit.documents import SkippedEdit
from reconciler.config.edit.file_text import FileText
from reconciler.config.edit.splice import CannotEditError
from reconciler.config.edit.writer import find_folded_lists
from reconciler.files.text import decode_text
from reconciler.files.working_tree import Entry, Tree, is_within
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import ABSENT, Address, Resource, Spec, strip_positions
from reconciler.model import Path as SpecPath

_BOM: Final = "\ufeff"
_Place = tuple[str, int]  # the file, and the first line of the document
_Values = dict[str, Any]  # a part of a document


@dataclass(frozen=True, slots=True)
class DocumentEdit:
    """How one document has to change.

    Args:
        resource: as it is declared, overlays merged.
        addresses: what the document declares; several for a document with `projects`.
        values: spec path -> live value; ABSENT where there is no live value.
        name: the live name of the object, if it differs from the declared one.
        removed: the object is not live any more, so the document is removed.
        restored: the object is live again, so `state: absent` is removed.
        unrenamed: the object has its former name again, so `renamed_from` is removed.

    """

    resource: Resource
    addresses: tuple[Address, ...]
    values: Mapping[SpecPath, Any] = field(default_factory=dict)
    name: str | None = None
    removed: bool = False
    restored: bool = False
    unrenamed: bool = False


@dataclass(frozen=True, slots=True)
class Patch:
    """One file before and after; `after` is None if it declares nothing any more: it is removed."""

    file: str  # its name in messages
    before: str
    after: str | None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class PatchedTree:
    """A tree with patches applied, for our own loader to read."""

    tree: Tree
    patches: Mapping[str, Patch]
    origin: str = field(default="adopted", init=False)
    may_lack_paths: bool = field(default=False, init=False)

    def show_path(self, path: Path) -> str:
        """Return the name of a path in messages."""
        return self.tree.show_path(path)

    def walk(self, path: Path, skip: Collection[Path] = ()) -> Iterator[Entry]:
        """Yield every file that the patches do not remove."""
        for name, read in self.tree.walk(path, skip):
            patch = self.patches.get(name)
            if patch is None:
                yield name, read
            elif patch.after is not None:
                yield name, partial(str.encode, patch.after)
        inside = self.tree.show_path(path)
        left_out = [self.tree.show_path(other) for other in skip]
        for name, patch in self.patches.items():
            is_below = is_within("" if inside == "." else inside, name)
            if patch.is_new and is_below and not any(is_within(o, name) for o in left_out):
                yield name, partial(str.encode, patch.after or "")


@dataclass(slots=True)
class Adoption:
    """One run: document edits in, patches out."""

    read_file: Callable[[str], bytes | None]  # by the name that a file has in messages
    skipped: list[SkippedEdit] = field(default_factory=list)
    _files: dict[str, FileText] = field(default_factory=dict)

    def apply_edit(self, edit: DocumentEdit) -> None:
        """Edit the documents; if that is not possible, note a skipped edit for each address."""
        source = edit.resource.source
        if source is None:
            return
        try:
            if edit.removed:
                self._open_file(source.file).remove_document(source.line)
            else:
                self._rewrite_documents(edit)
        except CannotEditError as problem:
            reason = f"{source} cannot be rewritten: {problem}"
            self.skipped += [
                SkippedEdit(address, reason, f"edit {source} by hand") for address in edit.addresses
            ]

    def add_document(self, name: str, text: str) -> None:
        """Add a document at the end of a file, which may be a new one."""
        self._open_file(name).add_document(text if text.endswith("\n") else f"{text}\n", ())

    def build_patches(self) -> dict[str, Patch]:
        """Return a patch for every file that differs, by the name of the file in messages."""
        patches = {}
        for name, file in self._files.items():
            before, after = file.original or "", file.text
            if after != before:
                content = after if file.has_content else None
                patches[name] = Patch(name, before, content, is_new=file.original is None)
        return patches

    def _rewrite_documents(self, edit: DocumentEdit) -> None:
        lists = find_folded_lists(edit.resource.address.kind)
        rewrites = {}
        for place, (before, after) in sorted(_split_by_file(edit).items()):
            rewrite = partial(merge.rewrite_document, before=before, after=after, folded=lists)
            rewrites[place] = (self._open_file(place[0]), rewrite)
        copies = {id(file): file.copy_text() for file, _ in rewrites.values()}
        try:
            for (_, line), (file, rewrite) in rewrites.items():
                file.replace_document(line, rewrite)
        except CannotEditError:
            for file, _ in rewrites.values():  # a document is edited completely or not at all
                file.pieces = copies[id(file)].pieces
            raise

    def _open_file(self, name: str) -> FileText:
        if name not in self._files:
            data = self.read_file(name)
            if data is None:
                self._files[name] = FileText()
                return self._files[name]
            text = decode_text(data, name)
            self._files[name] = FileText.parse(
                f"{_BOM}{text}" if data.startswith(b"\xef\xbb\xbf") else text
            )
        return self._files[name]


def _split_by_file(edit: DocumentEdit) -> dict[_Place, tuple[_Values, _Values]]:
    """Return the parts that change, before and after, for each document."""
    resource = edit.resource
    source = resource.source
    assert source is not None  # noqa: S101  the caller checks it
    own = (source.file, source.line)
    spec = patch_spec(resource.spec, edit.values)
    parts: dict[_Place, tuple[_Values, _Values]] = defaultdict(lambda: ({}, {}))
    for path in edit.values:
        place = resource.locate(path) or source
        before, after = parts[own if place.file == source.file else (place.file, place.line)]
        _copy_part(resource.spec, path, before.setdefault("spec", {}))
        _copy_part(spec, path, after.setdefault("spec", {}))
    if edit.name is not None:
        key = KINDS[resource.address.kind].key
        _set_metadata(parts[own], key, resource.address.name, edit.name)
    if edit.restored:
        _remove_lifecycle_key(parts[own], resource, "state", "absent")
    if edit.unrenamed and resource.lifecycle.renamed_from is not None:
        _remove_lifecycle_key(parts[own], resource, "renamed_from", resource.lifecycle.renamed_from)
    return dict(parts)


def _set_metadata(sides: tuple[_Values, _Values], key: str, before: Any, after: Any) -> None:
    """Set one key of the metadata on both sides."""
    for side, value in zip(sides, (before, after), strict=True):
        side.setdefault("metadata", {})[key] = value


def _remove_lifecycle_key(
    sides: tuple[_Values, _Values], resource: Resource, key: str, value: str
) -> None:
    """Remove a key of `lifecycle`, and the whole `lifecycle` if it has no other keys."""
    lifecycle = resource.lifecycle
    keys = {
        "state": lifecycle.absent,
        "prevent_destroy": lifecycle.prevent_destroy is not None,
        "ignore": bool(lifecycle.ignore),
        "renamed_from": lifecycle.renamed_from is not None,
    }
    before, after = (side.setdefault("metadata", {}) for side in sides)
    before["lifecycle"] = {key: value}
    if any(is_written for name, is_written in keys.items() if name != key):
        after["lifecycle"] = {}


def patch_spec(spec: Spec, values: Mapping[SpecPath, Any]) -> Spec:
    """Return a copy of a spec with new values.

    Values that are ABSENT are removed, in lists from the end: positions before them stay valid.
    """
    patched: Any = strip_positions(spec)
    deleted = [path for path, value in values.items() if value is ABSENT]
    for path, value in sorted(values.items(), key=lambda pair: _sort_key(pair[0])):
        if value is not ABSENT:
            _put_value(patched, path, strip_positions(value))
    for path in sorted(deleted, key=_sort_key, reverse=True):
        _drop_value(patched, path)
    result: Spec = patched
    return result


def _sort_key(path: SpecPath) -> tuple[tuple[bool, str], ...]:
    return tuple((isinstance(step, str), str(step).zfill(9)) for step in path)


def _put_value(node: Any, path: SpecPath, value: Any) -> None:
    *inner, last = path
    for step in inner:
        if isinstance(node, dict) and not isinstance(node.get(step), dict | list):
            node[step] = {}
        node = node[step]
    if isinstance(node, list) and isinstance(last, int) and last >= len(node):
        node.append(value)
    else:
        node[last] = value


def _drop_value(node: Any, path: SpecPath) -> None:
    *inner, last = path
    for step in inner:
        node = node[step]
    del node[last]


def _copy_part(spec: Any, path: SpecPath, into: dict[str, Any]) -> None:
    """Copy the part of a spec that a path is in: as deep as mappings go, lists as a whole."""
    for number, step in enumerate(path):
        if not isinstance(spec, Mapping) or step not in spec:
            return
        spec = spec[step]
        last = number == len(path) - 1 or not isinstance(spec, Mapping)
        if last or isinstance(path[number + 1], int):
            into[str(step)] = strip_positions(spec)
            return
        into = into.setdefault(str(step), {})
