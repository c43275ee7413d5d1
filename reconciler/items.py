"""What became of the items of a list, matched by content. Values only."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One item that was added, removed or moved, or one field of an item that was edited.

    Attributes:
        path: its place among the desired items; that of a removed one among the live ones.
        live: absent for an added item.
        desired: absent for a removed one.
        note: what else a reader has to know, such as how the other items move.

    """

    path: str
    live: Any
    desired: Any
    note: str = ""


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
