"""Write live values into the documents that declare them; comments, order and style stay.

A value is changed in the document that writes it, which may be an overlay. Nothing is written to
disk before our own loader has read every new file.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from reconciler.config.edit import merge
from reconciler.config.edit.documents import SkippedEdit
from reconciler.config.edit.file_text import FileText
from reconciler.config.edit.splice import CannotEditError
from reconciler.config.edit.writer import find_folded_lists
from reconciler.files.text import decode_text
from reconciler.files.working_tree import Entry, Tree
from reconciler.kinds import KINDS
from reconciler.model import ABSENT, Address, Resource, Spec, bare
from reconciler.model import Path as SpecPath

_BOM: Final = "\ufeff"
_Place = tuple[str, int]  # file, and a line of the document


@dataclass(frozen=True, slots=True)
class DocumentEdit:
    """The changes of one document.

    Args:
        resource: as it is declared, overlays merged.
        addresses: what the document declares; several for one with `projects`.
        values: spec path -> live value; ABSENT where it is not live.
        name: the new name of the object, if it was renamed.
        removed: the object was deleted, so the document is removed.
        restored: the object exists again, so `state: absent` is removed.

    """

    resource: Resource
    addresses: tuple[Address, ...]
    values: Mapping[SpecPath, Any] = field(default_factory=dict)
    name: str | None = None
    removed: bool = False
    restored: bool = False


@dataclass(frozen=True, slots=True)
class Patch:
    """One file before and after; None after: it declares nothing any more, and is deleted."""

    file: str  # as it is shown
    before: str
    after: str | None


@dataclass(frozen=True, slots=True)
class Patched:
    """A tree with patched files, for our own loader to read."""

    tree: Tree
    patches: Mapping[str, Patch]
    origin: str = field(default="adopted", init=False)
    may_lack_paths: bool = field(default=False, init=False)

    def show_path(self, path: Path) -> str:
        """Return the name of a path in messages."""
        return self.tree.show_path(path)

    def walk(self, path: Path, skip: Collection[Path] = ()) -> Iterator[Entry]:
        """Yield every file that is left."""
        for name, read in self.tree.walk(path, skip):
            patch = self.patches.get(name)
            if patch is None:
                yield name, read
            elif patch.after is not None:
                yield name, partial(str.encode, patch.after)


@dataclass(slots=True)
class Adoption:
    """One run: wishes in, patches out. `read` gives the bytes of a file by its shown name."""

    read: Callable[[str], bytes]
    doubts: list[SkippedEdit] = field(default_factory=list)
    _files: dict[str, FileText] = field(default_factory=dict)

    def make_edit(self, wish: DocumentEdit) -> None:
        """Change the documents of a wish; what cannot be done becomes a doubt for each address."""
        source = wish.resource.source
        if source is None:
            return
        try:
            if wish.removed:
                self._file(source.file).remove(source.line)
            else:
                self._rewrite(wish)
        except CannotEditError as problem:
            reason = f"{source} cannot be rewritten: {problem}"
            self.doubts += [
                SkippedEdit(address, reason, f"edit {source} by hand") for address in wish.addresses
            ]

    def collect_patches(self) -> dict[str, Patch]:
        """Return every file that changes, by its display name."""
        patches_by_name = {}
        for name, file in self._files.items():
            before, text = file.was or "", file.text
            if text != before:
                patches_by_name[name] = Patch(name, before, text if file.has_content else None)
        return patches_by_name

    def _rewrite(self, wish: DocumentEdit) -> None:
        lists = find_folded_lists(wish.resource.address.kind)
        rewrites = {}
        for position, (before, after) in sorted(_split_by_file(wish).items()):
            rewrite = partial(merge.rewrite_document, before=before, after=after, folded=lists)
            rewrites[position] = (self._file(position[0]), rewrite)
        backups = {id(file): file.copy() for file, _ in rewrites.values()}
        try:
            for (_, line), (file, rewrite) in rewrites.items():
                file.rewrite(line, rewrite)
        except CannotEditError:
            for file, _ in rewrites.values():  # all of a document, or nothing
                file.pieces = backups[id(file)].pieces
            raise

    def _file(self, name: str) -> FileText:
        if name not in self._files:
            data = self.read(name)
            text = decode_text(data, name)
            self._files[name] = FileText.parse(
                f"{_BOM}{text}" if data.startswith(b"\xef\xbb\xbf") else text
            )
        return self._files[name]


def _split_by_file(wish: DocumentEdit) -> dict[_Place, tuple[dict[str, Any], dict[str, Any]]]:
    """Return the parts of each document that change, before and after."""
    resource = wish.resource
    source = resource.source
    assert source is not None  # noqa: S101  the caller has checked it
    own = (source.file, source.line)
    spec = patch_spec(resource.spec, wish.values)
    parts: dict[_Place, tuple[dict[str, Any], dict[str, Any]]] = defaultdict(lambda: ({}, {}))
    for path in wish.values:
        position = resource.locate(path) or source
        before, after = parts[
            own if position.file == source.file else (position.file, position.line)
        ]
        _copy_part(resource.spec, path, before.setdefault("spec", {}))
        _copy_part(spec, path, after.setdefault("spec", {}))
    if wish.name is not None:
        key = KINDS[resource.address.kind].key
        _set_metadata(parts[own], key, resource.address.name, wish.name)
    if wish.restored:
        _remove_absent_state(parts[own], resource)
    return dict(parts)


def _set_metadata(
    sides: tuple[dict[str, Any], dict[str, Any]], key: str, before: Any, after: Any
) -> None:
    for side, value in zip(sides, (before, after), strict=True):
        side.setdefault("metadata", {})[key] = value


def _remove_absent_state(sides: tuple[dict[str, Any], dict[str, Any]], resource: Resource) -> None:
    """Remove `state: absent`, and a `lifecycle` that has nothing else."""
    lifecycle = resource.lifecycle
    has_more = (
        lifecycle.prevent_destroy is not None
        or lifecycle.ignore
        or lifecycle.renamed_from is not None
    )
    before, after = (side.setdefault("metadata", {}) for side in sides)
    before["lifecycle"] = {"state": "absent"}
    if has_more:
        after["lifecycle"] = {}


def patch_spec(spec: Spec, values: Mapping[SpecPath, Any]) -> Spec:
    """Return a spec with new values; ABSENT ones are removed, from the end of a list first."""
    patched: Any = bare(spec)
    removed = [path for path, value in values.items() if value is ABSENT]
    for path, value in sorted(values.items(), key=lambda pair: _sort_key(pair[0])):
        if value is not ABSENT:
            _put_value(patched, path, bare(value))
    for path in sorted(removed, key=_sort_key, reverse=True):
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
            into[str(step)] = bare(spec)
            return
        into = into.setdefault(str(step), {})
