"""The rows that show a change: its fields, and the items of lists matched by content."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    ABSENT,
    Attribution,
    Cause,
    Change,
    FieldChange,
    ItemChange,
    ListChange,
    parse_path,
)
from reconciler.render.shared.phrases import choose

_ORDER: Final = "the order around it changed"


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One row. `sign` is set for an item of a list: `+` added, `-` removed, `~` moved."""

    field: FieldChange
    sign: str = ""
    note: str = ""

    @property
    def is_moved(self) -> bool:
        """Return whether the item itself is as it was."""
        return self.sign == "~"


def list_rows(change: Change, *, drift: bool = False) -> tuple[ChangeRow, ...]:
    """Return the rows of a change. `drift`: what happened live, not what would undo it."""
    shown = {listed.path: listed for listed in change.lists if _is_whole(listed, change)}
    return tuple(_make_rows(change, shown, drift=drift))


def _make_rows(change: Change, shown: dict[str, ListChange], *, drift: bool) -> Iterator[ChangeRow]:
    done = set[str]()
    for field in change.fields:
        path = next((listed for listed in shown if field.path.startswith(f"{listed}[")), None)
        if path is None:
            yield ChangeRow(field)
        elif path not in done:
            done.add(path)
            for item in shown[path].items:
                by = field.attribution
                by = replace(by, change=None) if by is not None else None  # it is of one field
                shown_field = FieldChange(
                    item.path, item.live, item.desired, ABSENT, field.cause, by
                )
                yield ChangeRow(
                    shown_field,
                    _choose_sign(shown_field, drift=drift),
                    _describe_moves(item, drift=drift),
                )


def _is_whole(listed: ListChange, change: Change) -> bool:
    """Return whether the change holds all that differs in the list, moved by one person."""
    fields = [field for field in change.fields if field.path.startswith(f"{listed.path}[")]
    first = fields[0] if fields else None
    return (
        first is not None
        and len(fields) == listed.fields
        and first.cause is not Cause.CONFLICT
        and len({(field.cause, _identify_event(field.attribution)) for field in fields}) == 1
    )


def _identify_event(by: Attribution | None) -> tuple[object, ...]:
    """Identify one act of one person, whatever it moved."""
    return () if by is None else (by.at, by.person, by.approval_class, by.note)


def _describe_moves(item: ItemChange, *, drift: bool) -> str:
    """Return `4 groups move down`; of drift, how they have moved in PostHog."""
    path = parse_path(item.path)
    notes, here = [], path[-1]
    if (was := item.moved_from) is not None and isinstance(here, int):
        way = "up" if (was > here) is not drift else "down"
        notes.append(f"moved {way} {'to' if drift else 'from'} [{was}]" if was != here else _ORDER)
    for number, way in (
        (item.down, "up" if drift else "down"),
        (item.up, "down" if drift else "up"),
    ):
        if number:
            name = str(path[-2])
            noun = choose(number, _make_singular(name), name)
            notes.append(f"{number} {noun} {choose(number, 'moves', 'move')} {way}")
    return "; ".join(notes)


def _make_singular(name: str) -> str:
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")


def _choose_sign(field: FieldChange, *, drift: bool) -> str:
    if not field.path.endswith("]"):
        return ""
    if field.live == field.desired:
        return "~"
    if field.live is ABSENT:
        return "-" if drift else "+"
    if field.desired is ABSENT:
        return "+" if drift else "-"
    return ""
