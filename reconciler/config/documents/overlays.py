"""Merge documents of an overlay over those of the same address, field by field."""

from collections.abc import Mapping
from typing import Any

from reconciler.config.schema import validator
from reconciler.model import MappingNode, SequenceNode, Source


class MergedMapping(MappingNode):
    """A mapping whose keys come from several; `holders[key]` is the one with the key."""

    __slots__ = ("holders",)

    holders: dict[str, MappingNode]

    @property
    def marks(self) -> dict[str, tuple[int, int, int, int]]:
        """Return the positions of keys and values, each in the file of its key."""
        return {key: holder.marks[key] for key, holder in self.holders.items()}

    def key_source(self, key: str) -> Source:
        """Return where the key itself is written, in the file it comes from."""
        return self.holders[key].key_source(key)

    def value_source(self, key: str) -> Source:
        """Return where the key's value starts, in the file it comes from."""
        return self.holders[key].value_source(key)


class MergedSequence(SequenceNode):
    """A list whose items come from several; `holders[i]` is the list of item i."""

    __slots__ = ("holders",)

    holders: list[tuple[SequenceNode, int]]

    def value_source(self, index: int) -> Source:
        """Return where item `index` starts, in the file it comes from."""
        holder, position = self.holders[index]
        return holder.value_source(position)

    def add(self, item: Any, holder: SequenceNode, index: int) -> None:
        """Append an item of another list."""
        self.append(item)
        self.holders.append((holder, index))


class PlacedMapping(MappingNode):
    """A mapping that is not written as one; all of its values come from one place."""

    __slots__ = ("place",)

    place: Source

    @property
    def file(self) -> str:
        """Return the file of the place."""
        return self.place.file

    @property
    def marks(self) -> dict[str, tuple[int, int, int, int]]:
        """Return the position of the place for every key."""
        line, column = self.place.line, self.place.column
        return dict.fromkeys(self, (line, column, line, column))


def _place_mapping(values: dict[str, Any], document: MappingNode, place: Source) -> PlacedMapping:
    mapping = PlacedMapping(values)
    mapping.places, mapping.number, mapping.place = document.places, document.number, place
    return mapping


def make_empty_mapping(document: MappingNode, place: Source) -> MappingNode:
    """Return an empty mapping for a field that a document leaves out."""
    return _place_mapping({}, document, place)


def insert_field(node: MappingNode, key: str, value: Any, place: Source) -> MappingNode:
    """Return a copy with a value; if the mapping does not have the key, it comes from `place`."""
    copy = replace_field(node, key, value)
    if key not in node:
        copy.holders[key] = _place_mapping({key: value}, node, place)
    return copy


def replace_field(node: MappingNode, key: str, value: Any) -> MergedMapping:
    """Return a copy with another value, which is still where the former value is written."""
    copy = _copy_node(node)
    copy[key] = value
    return copy


def merge_mappings(base: MappingNode, over: MappingNode) -> MappingNode:
    """Return a mapping with the values of `over` over those of `base`; lists are replaced."""
    return _merge_mapping(base, over, (), {})


def _copy_node(node: MappingNode) -> MergedMapping:
    copy = MergedMapping(node)
    copy.places, copy.number = node.places, node.number
    copy.holders = dict.fromkeys(node, node)
    return copy


def merge_documents(kind: str, base: MappingNode, over: MappingNode) -> MappingNode:
    """Return a document with the fields of `over` over those of `base`, which stay unchanged."""
    return _merge_mapping(base, over, (), validator.find_natural_keys(kind))


def _merge_mapping(
    base: MappingNode,
    over: MappingNode,
    path: tuple[str, ...],
    named: Mapping[tuple[str, ...], str],
) -> MappingNode:
    merged = _copy_node(base)
    for key, value in over.items():
        below = base.get(key)
        child_path = (*path, key)
        if value is None and child_path == ("spec",):
            continue  # an empty `spec` changes nothing
        merged.holders[key] = over
        if isinstance(below, MappingNode) and isinstance(value, MappingNode):
            merged[key] = _merge_mapping(below, value, child_path, named)
        elif (
            child_path in named
            and isinstance(below, SequenceNode)
            and isinstance(value, SequenceNode)
        ):
            merged[key] = _merge_sequence(below, value, child_path, named)
        else:
            merged[key] = value
    return merged


def _merge_sequence(
    base: SequenceNode,
    over: SequenceNode,
    path: tuple[str, ...],
    named: Mapping[tuple[str, ...], str],
) -> SequenceNode:
    """Merge items of the same name, and append new ones."""
    key = named[path]
    merged = MergedSequence()
    merged.places, merged.number, merged.holders = base.places, base.number, []
    patches = {_find_item_name(item, key): index for index, item in enumerate(over)}
    for index, item in enumerate(base):
        patch = (
            patches.pop(_find_item_name(item, key), None) if isinstance(item, MappingNode) else None
        )
        if patch is None or not isinstance(over[patch], MappingNode):
            merged.add(item, base, index)
        else:
            merged.add(_merge_mapping(item, over[patch], path, named), over, patch)
    for index in sorted(patches.values()):
        merged.add(over[index], over, index)
    return merged


def _find_item_name(item: Any, key: str) -> Any:
    """Return the name of an item; without a name its identity, which matches nothing."""
    name = item.get(key) if isinstance(item, Mapping) else None
    return name if isinstance(name, str) else id(item)


def remove_field(document: MappingNode, *path: str) -> MappingNode:
    """Return a copy of a document without one field."""
    copy = _copy_node(document)
    step, *inner_steps = path
    if not inner_steps:
        copy.pop(step, None)
        copy.holders.pop(step, None)
    elif isinstance(document.get(step), MappingNode):
        copy[step] = remove_field(document[step], *inner_steps)
    return copy
