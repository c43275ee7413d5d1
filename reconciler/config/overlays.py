"""Documents of an overlay are merged over those of the same address, field by field."""

from collections.abc import Mapping
from typing import Any

from reconciler.config import schema
from reconciler.source import MappingNode, SequenceNode, Source


class MergedSequence(SequenceNode):
    """A list whose items come from several files."""

    __slots__ = ("files",)

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.files: list[str] = []

    def value_source(self, index: int) -> Source:
        """Where item `index` starts, in the file it comes from."""
        line, column = self.marks[index]
        return Source(self.files[index], line, column)

    def add(self, item: Any, source: Source) -> None:
        """Append an item with its place."""
        self.append(item)
        self.marks.append((source.line, source.column))
        self.files.append(source.file)


def merge(kind: str, base: MappingNode, over: MappingNode) -> MappingNode:
    """A document with the fields of `over` put over those of `base`; both stay as they are."""
    return _mapping(base, over, (), schema.natural_keys(kind))


def _mapping(
    base: MappingNode,
    over: MappingNode,
    path: tuple[str, ...],
    named: Mapping[tuple[str, ...], str],
) -> MappingNode:
    merged = MappingNode(base.file)
    origins = dict(base.origins or {})
    for key, value in base.items():
        merged[key] = value
        merged.marks[key] = base.marks[key]
    for key, value in over.items():
        before = base.get(key)
        here = (*path, key)
        merged.marks[key] = over.marks[key]
        origins[key] = over.key_source(key).file
        if isinstance(before, MappingNode) and isinstance(value, MappingNode):
            merged[key] = _mapping(before, value, here, named)
        elif here in named and isinstance(before, SequenceNode) and isinstance(value, SequenceNode):
            merged[key] = _sequence(before, value, here, named)
        else:
            merged[key] = value
    merged.origins = origins
    return merged


def _sequence(
    base: SequenceNode,
    over: SequenceNode,
    path: tuple[str, ...],
    named: Mapping[tuple[str, ...], str],
) -> SequenceNode:
    """Items of one name are merged, new ones come last."""
    key = named[path]
    merged = MergedSequence(base.file)
    patches = {_name(item, key): index for index, item in enumerate(over)}
    for index, item in enumerate(base):
        patch = patches.pop(_name(item, key), None) if isinstance(item, MappingNode) else None
        if patch is None or not isinstance(over[patch], MappingNode):
            merged.add(item, base.value_source(index))
        else:
            merged.add(_mapping(item, over[patch], path, named), over.value_source(patch))
    for index in sorted(patches.values()):
        merged.add(over[index], over.value_source(index))
    return merged


def _name(item: Any, key: str) -> Any:
    """What an item of a list is called; itself where it has no name, so that it matches nothing."""
    name = item.get(key) if isinstance(item, Mapping) else None
    return name if isinstance(name, str) else id(item)


def without(document: MappingNode, *path: str) -> MappingNode:
    """A copy of a document that lacks one field."""
    copy = MappingNode(document.file)
    copy.update(document)
    copy.marks = dict(document.marks)
    copy.origins = document.origins
    step, *rest = path
    if not rest:
        copy.pop(step, None)
        copy.marks.pop(step, None)
    elif isinstance(document.get(step), MappingNode):
        copy[step] = without(document[step], *rest)
    return copy
