"""The fields of one change: before and after, side by side, and why they differ or who did it."""

from collections.abc import Iterator
from typing import Final

from reconciler.model import ABSENT, Action, Attribution, Cause, Change, FieldChange
from reconciler.render.html.components import box, link_after, text
from reconciler.render.shared import attribution, values
from reconciler.render.shared.change_rows import Row, rows
from reconciler.render.shared.phrases import Phrase

_ROOM: Final = 60  # characters of a value that fits into a cell
_WIDE: Final = 90  # characters of a line
_MOST: Final = 600  # lines of one value that are shown
_SIGNS: Final = {"+": "ins", "-": "del"}


def fields(one: Change, host: str, *, drift: bool) -> Iterator[str]:
    """A table of what moves; for a create the whole resource."""
    if one.action is Action.CREATE:
        if not drift and one.fields:
            spec = {field.path: field.desired for field in one.fields}
            yield f'<pre class="new">{_lines(spec)}</pre>'
        return
    if not one.fields:
        return
    heads = ("field", "files", "live") if drift else ("field", "live", "files", "cause")
    shown = "".join(f'<th scope="col">{name}</th>' for name in heads)
    yield f"<table><thead><tr>{shown}</tr></thead><tbody>"
    shown_rows = rows(one, drift=drift)
    moved = [row.field for row in shown_rows]
    for index, row in enumerate(shown_rows):
        yield _field(row, drift=drift)
        if drift and (told := attribution.after(moved, index)) is not None:
            yield _who(told, row.field.attribution, host)
    yield "</tbody></table>"


def _lines(spec: object) -> str:
    shown = list(values.block(spec, _WIDE))
    more = len(shown) - _MOST
    cut = [] if more <= 0 else [f"… {more:,} more lines: --format json has all"]
    return "\n".join(text(line) for line in (*shown[:_MOST], *cut))


def _field(row: Row, *, drift: bool) -> str:
    one = row.field
    sides = (one.desired, one.live) if drift else (one.live, one.desired)
    why = "" if drift else _why(one)
    name = text(f"{row.sign} {one.path}" if row.sign else one.path)
    note = f' <span class="label">{text(row.note)}</span>' if row.note else ""
    shown = '<td colspan="2"></td>' if row.is_moved else _values(*sides)
    return f'<tr><th scope="row">{name}{note}</th>{shown}{why}</tr>'


def _values(old: object, new: object) -> str:
    """Two cells, or a diff in one where they are long."""
    before, after = values.flow(old), values.flow(new)
    if max(len(before), len(after)) <= _ROOM:
        return f"<td>{_side(old, before, 'del')}</td><td>{_side(new, after, 'ins')}</td>"
    found = values.difference(old, new, _ROOM)
    rows = (_row(sign, line) for sign, line in found.pieces[:_MOST])
    note = f'<span class="label">{text(found.note)}</span>' if found.note else ""
    more = len(found.pieces) - _MOST
    cut = f"\n… {more:,} more lines: --format json has all" if more > 0 else ""
    return f'<td colspan="2">{note}<pre>{chr(10).join(rows)}{cut}</pre></td>'


def _side(value: object, shown: str, tag: str) -> str:
    """What is not there is said, but it is neither taken away nor added."""
    if value is ABSENT:
        return '<span class="absent">not set</span>'
    return f"<{tag}>{text(shown)}</{tag}>"


def _row(sign: str, line: str) -> str:
    shown = f"{sign or ' '} {text(line)}"
    return f"<{_SIGNS[sign]}>{shown}</{_SIGNS[sign]}>" if sign else shown


def _why(one: FieldChange) -> str:
    """Which side moved; where both did, also from what."""
    if one.cause is Cause.UNKNOWN:
        return "<td></td>"
    base = values.flow(one.base)
    kept = base if len(base) <= _ROOM else f"{base[:_ROOM]}…"
    both = one.cause is Cause.CONFLICT
    said = f' <span class="label">base {text(kept)}</span>' if both else ""
    return f'<td><i class="badge {one.cause.value}">{one.cause.value}</i>{said}</td>'


def _who(told: Phrase, found: Attribution | None, host: str) -> str:
    """Who did it, below what was done."""
    url = found.url if found is not None else None
    more = link_after("look", url, host)
    return f'<tr class="told"><td colspan="3">{box(told, more=more)}</td></tr>'
