"""Define the changes of a list whose items are matched by content."""

from typing import Any

from reconciler.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ItemChange:
    """Hold one item that was added, removed or moved, or one edited field of an item.

    Attributes:
        path: its position among the desired items; for a removed item, among the live ones.
        live: absent for an added item.
        desired: absent for a removed item.
        moved_from: the position of a moved item among the live ones.
        down: how many other items only get a later position, given once for a list.
        up: how many other items only get an earlier position.

    """

    path: str
    live: Any
    desired: Any
    moved_from: int | None = None
    down: int = 0
    up: int = 0


@dataclass(frozen=True, slots=True)
class ListChange:
    """Hold how one list changes, for people; the fields of the change go by position.

    Attributes:
        path: the list, such as `filters.groups`.
        items: the changes of its items.
        fields: how many fields of the change this describes; if some of them are left out of the
            change, it does not describe the rest.

    """

    path: str
    items: tuple[ItemChange, ...]
    fields: int
