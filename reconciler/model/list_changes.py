"""Data types for the changes of a list whose items are matched by content."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One item that was added, removed or moved, or one field of an item that was edited.

    Attributes:
        path: its place among the desired items; that of a removed one among the live ones.
        live: absent for an added item.
        desired: absent for a removed one.
        moved_from: the position of a moved item among the live ones.
        down: how many other items only get a later position, said once for a list.
        up: the same of an earlier position.

    """

    path: str
    live: Any
    desired: Any
    moved_from: int | None = None
    down: int = 0
    up: int = 0


@dataclass(frozen=True, slots=True)
class ListChange:
    """How one list changes, for people: the fields of the change count by position instead.

    Attributes:
        path: the list, such as `filters.groups`.
        items: what became of its items.
        fields: how many fields of the change this stands for; if some of them are left out of
            the change, it does not describe what is left.

    """

    path: str
    items: tuple[ItemChange, ...]
    fields: int
