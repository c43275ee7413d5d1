"""Write new values into an existing document: comments, order and style stay.

Values are changed in place in the text (`splice`), so every other byte stays. The result is
read back and compared; a document whose layout does not allow that is left to a person.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from typing import Any, Final

from reconciler.config.edit.splice import CannotEditError, TextEdit, splice_edits
from reconciler.config.yaml import reader
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Path

_EMPTY: Final[tuple[Any, ...]] = (None, {}, [], "")


@dataclass(slots=True)
class Merger:
    """Put values into one document, and note each change for its text.

    Args:
        folded: paths of lists whose items are names, compared without regard to case.

    """

    folded: Collection[Path] = ()
    edits: list[TextEdit] = field(default_factory=list)

    def merge_mapping(self, node: Any, before: Any, after: Any, path: Path = ()) -> None:
        """Change a mapping in place, so that its normal form changes from `before` to `after`.

        An empty value and a missing one are the same; not null in the items of a list.
        """
        empty = _EMPTY[1:] if any(isinstance(step, int) for step in path) else _EMPTY
        for key in [key for key in before if key not in after]:
            if key in node and before[key] not in empty:
                self._drop_value(node, key, path)
        for key, new in after.items():
            old = before.get(key, _EMPTY)
            if old == new or (old in empty and new in empty and key in before):
                continue
            child = node.get(key)
            if _are_instances(Mapping, child, old, new):
                self.merge_mapping(child, old, new, (*path, key))
            elif _are_instances(list, child, old, new):
                self._merge_list(child, old, new, (*path, key))
            else:
                self._set_value(node, key, new, path)

    def _merge_list(self, node: Any, before: list[Any], after: list[Any], path: Path) -> None:
        """Change a list in place: items that are equal at both ends stay, the middle changes."""
        if "filters" not in path and all(map(_is_scalar, [*node, *after])):
            self._merge_set(node, after, path)
            return
        start, end = _count_equal_ends(before, after)
        old_end, new_end = len(before) - end, len(after) - end
        for index in range(start, min(old_end, new_end)):
            child, old, new = node[index], before[index], after[index]
            if _are_instances(Mapping, child, old, new):
                self.merge_mapping(child, old, new, (*path, index))
            elif old != new:
                self._set_value(node, index, new, path)
        for index in range(old_end - 1, max(new_end, start) - 1, -1):
            self._drop_value(node, index, path)
        for index in range(max(old_end, start), new_end):
            self.edits.append(TextEdit(path, "insert", old_end, after[index]))
            node.insert(index, after[index])

    def _merge_set(self, node: Any, after: list[Any], path: Path) -> None:
        """Change a list whose order has no meaning: items that stay keep place and comment."""
        fold: Callable[[Any], Any] = _fold_case if path in self.folded else _keep_case
        wanted, present = {fold(value) for value in after}, [fold(value) for value in node]
        length = len(node)
        for index in range(length - 1, -1, -1):
            if present[index] not in wanted or present[index] in present[:index]:
                self._drop_value(node, index, path)
        for value in after:
            if fold(value) not in present:
                self.edits.append(TextEdit(path, "insert", length, value))
                node.append(value)

    def _set_value(self, node: Any, key: Any, value: Any, path: Path) -> None:
        """Add one value, or replace it."""
        is_present = key in node if isinstance(node, Mapping) else True
        self.edits.append(TextEdit(path, "set" if is_present else "add", key, value))
        node[key] = value

    def _drop_value(self, node: Any, key: Any, path: Path) -> None:
        """Remove one value."""
        self.edits.append(TextEdit(path, "drop", key))
        del node[key]


def _fold_case(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _keep_case(value: Any) -> Any:
    return value


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, Mapping | list)


def _are_instances(cls: type, *values: Any) -> bool:
    return all(isinstance(value, cls) for value in values)


def _count_equal_ends(before: list[Any], after: list[Any]) -> tuple[int, int]:
    """Return how many items are equal at the start, and how many of the others at the end."""
    shorter = min(len(before), len(after))
    start = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    left = shorter - start
    return start, next((i for i in range(left) if before[-1 - i] != after[-1 - i]), left)


def rewrite_document(
    text: str, before: Mapping[str, Any], after: Mapping[str, Any], folded: Collection[Path] = ()
) -> str:
    """Return the text of one document with the values of `after`, checked by reading it back.

    Args:
        text: one document, with the comments around it.
        before: the parts that change, in normal form.
        after: their new values.
        folded: paths of lists of names that are compared without regard to case.

    Raises CannotEditError if that is not possible without other changes.

    """
    findings: list[Any] = []
    documents = reader.read_documents(text.encode(), "", findings)
    if findings or len(documents) != 1:
        raise CannotEditError("the document cannot be read by itself")
    expected = copy_plain(documents[0].value)
    merger = Merger(folded)
    merger.merge_mapping(expected, before, after)
    from reconciler.config.yaml import events  # noqa: PLC0415  PyYAML: most files do without

    root = events.compose_document(text)
    if root is None:
        raise CannotEditError("parsers of YAML disagree about it")
    edited = splice_edits(root, text, merger.edits, expected)
    if not _reads_as(edited, expected):
        raise CannotEditError("the edited document would not read as intended")
    return edited


def _reads_as(text: str, expected: Any) -> bool:
    """Return whether our reader reads exactly the expected document."""
    findings: list[Any] = []
    documents = reader.read_documents(text.encode(), "", findings)
    return not findings and len(documents) == 1 and documents[0].value == expected


def copy_plain(value: Any) -> Any:
    """Return a copy of a value without its places, which may be changed."""
    if isinstance(value, Mapping):
        return {key: copy_plain(child) for key, child in value.items()}
    return [copy_plain(child) for child in value] if isinstance(value, list) else value
