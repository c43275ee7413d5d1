"""The fields of one change: before and after, side by side, why they differ, who changed them."""

from collections.abc import Iterator
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import ABSENT, Action, Cause, Change, FieldChange
from reconciler.render.shared import attribution, values
from reconciler.render.shared.change_rows import list_rows
from reconciler.render.shared.phrases import Phrase

_ROOM: Final = 60  # characters of a value that fits into a cell
_WIDE: Final = 90  # characters of a line
_MOST: Final = 600  # lines of one value that are shown
_MORE: Final = "… {:,} more lines: --format json has all"


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One row: two sides, or the lines of a diff where the sides are long."""

    name: str
    note: str
    is_moved: bool
    sides: tuple[str | None, str | None]  # None: not set
    pieces: tuple[tuple[str, str], ...] | None = None  # a sign and a line
    label: str = ""  # what the pieces are of
    cause: str = ""
    base: str = ""
    phrase: Phrase | None = None
    url: str | None = None  # of the entry of the activity log that the phrase is about


@dataclass(frozen=True, slots=True)
class FieldTable:
    """What changes: a resource to create as YAML, else rows."""

    created: tuple[str, ...] = ()
    rows: tuple[FieldRow, ...] = ()


def make_field_table(change: Change, *, drift: bool) -> FieldTable:
    """Return the rows of a change; for a create the whole resource."""
    if change.action is not Action.CREATE:
        return FieldTable(rows=tuple(_list_rows(change, drift=drift)))
    if drift or not change.fields:
        return FieldTable()
    lines = list(values.format_block({field.path: field.desired for field in change.fields}, _WIDE))
    more = [_MORE.format(len(lines) - _MOST)] if len(lines) > _MOST else []
    return FieldTable(created=(*lines[:_MOST], *more))


def _list_rows(change: Change, *, drift: bool) -> Iterator[FieldRow]:
    shown = list_rows(change, drift=drift)
    fields = [row.field for row in shown]
    for index, row in enumerate(shown):
        field = row.field
        old, new = (field.desired, field.live) if drift else (field.live, field.desired)
        before, after = values.format_flow(old), values.format_flow(new)
        sides = (None if old is ABSENT else before, None if new is ABSENT else after)
        pieces, label = None, ""
        if max(len(before), len(after)) > _ROOM and not row.is_moved:
            pieces, label = _compare(old, new)
        author = field.attribution
        yield FieldRow(
            name=f"{row.sign} {field.path}" if row.sign else field.path,
            note=row.note,
            is_moved=row.is_moved,
            sides=sides,
            pieces=pieces,
            label=label,
            cause="" if field.cause in {Cause.INTENT, Cause.UNKNOWN} else field.cause.value,
            base=_format_base(field),
            phrase=attribution.describe_after_field(fields, index) if drift else None,
            url=author.url if author is not None else None,
        )


def _compare(old: object, new: object) -> tuple[tuple[tuple[str, str], ...], str]:
    """Return the lines of a diff, and what they are lines of."""
    difference = values.compare_values(old, new, _ROOM)
    more = len(difference.pieces) - _MOST
    rest = (("", _MORE.format(more)),) if more > 0 else ()
    return (*difference.pieces[:_MOST], *rest), difference.note


def _format_base(field: FieldChange) -> str:
    """Return what both sides changed, of a conflict."""
    if field.cause is not Cause.CONFLICT:
        return ""
    base = values.format_flow(field.base)
    return base if len(base) <= _ROOM else f"{base[:_ROOM]}…"
