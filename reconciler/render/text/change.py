"""One change on the terminal: what it is, its fields, its gate, what to watch out for."""

from collections.abc import Iterator
from typing import Final

from reconciler.model import ABSENT, Action, Cause, Change, FieldChange
from reconciler.render.shared import attribution, findings, phrases, values
from reconciler.render.shared.change_rows import Row, rows
from reconciler.render.shared.phrases import Phrase, Tone
from reconciler.render.shared.sanitize import clip, columns, escape
from reconciler.render.text.style import INDENT, SIGNS, TONES, TextStyle, cut, difference
from reconciler.render.text.terminal import beside, wrap

_WIDEST: Final = 110  # a place further to the right is out of sight
_BASE: Final = 60  # columns that a marker may take


def change(one: Change, look: TextStyle) -> Iterator[str]:
    """The lines of one change."""
    yield _head(one, look)
    if one.action is Action.CREATE:
        yield from () if look.drift else cut(_created(one, look), look)
    else:
        yield from _fields(one, look)
    if look.verbose:
        yield from _details(one, look)
    if look.drift:
        for told in attribution.about(one):
            yield from _told(told, look)
        return
    yield from _gate(one, look)
    for warning in one.warnings:
        yield from (f"{INDENT}{line}" for line in findings.plain_lines(warning, paint=look.paint))


def _head(one: Change, look: TextStyle) -> str:
    sign = phrases.sign(one.action, drift=look.drift)
    name = escape(str(one.address))
    note = f"  {phrases.drifted(one.action)}" if look.drift else ""
    title = look.link(look.paint(name, "bold"), one.url)
    shown = look.paint(f"  {sign} ", SIGNS[sign]) + title + note
    if one.source is None:
        return shown
    place = escape(f"{one.source.file}:{one.source.line}")
    return beside(
        f"  {sign} {name}{note}",
        place,
        painted=shown,
        dim=look.paint(place, "dim"),
        width=min(look.width, _WIDEST),
    )


def _created(one: Change, look: TextStyle) -> Iterator[str]:
    spec = {field.path: field.desired for field in one.fields}
    for line in values.block(spec, look.room) if spec else ():
        yield INDENT + look.clip(escape(line))


def _fields(one: Change, look: TextStyle) -> Iterator[str]:
    shown = rows(one, drift=look.drift)
    fields = [row.field for row in shown]
    wide = [columns(escape(row.field.path)) for row in shown if not row.sign]
    column = max((width for width in wide if width <= look.paths), default=look.paths)
    for index, (row, field) in enumerate(zip(shown, fields, strict=True)):
        marker = "" if look.drift else _marker(field)
        style = _cause_style(field.cause)
        if row.sign:
            yield from _item(row, look, marker=marker, style=style)
        else:
            yield from _field(field, column, look, marker=marker, style=style)
        if look.drift:
            yield from _told(attribution.after(fields, index), look)


def _field(
    field: FieldChange, column: int, look: TextStyle, *, marker: str, style: str
) -> Iterator[str]:
    sides = (field.desired, field.live) if look.drift else (field.live, field.desired)
    yield from difference(field.path, sides, column, look, marker=marker, style=style)


def _item(row: Row, look: TextStyle, *, marker: str, style: str) -> Iterator[str]:
    """Show an item that was added, removed or moved: one entry, its value below if long."""
    tail = f"  {look.paint(marker, style)}" if marker else ""
    note = f"  ({escape(row.note)})" if row.note else ""
    head = f"{INDENT}{look.paint(row.sign, SIGNS[row.sign])} {escape(row.field.path)}"
    value = row.field.desired if row.field.live is ABSENT else row.field.live
    short = "" if row.is_moved else f"  {escape(values.flow(value))}"
    plain = f"{row.sign} {row.field.path}{short}{note}{marker}"
    if row.is_moved or columns(plain) + 2 <= look.room:
        yield f"{head}{short}{note}{tail}"
        return
    yield f"{head}{note}{tail}"
    lines = (f"{INDENT}    {look.clip(escape(line))}" for line in values.block(value, look.room))
    yield from cut(lines, look)


def _told(said: Phrase | None, look: TextStyle) -> Iterator[str]:
    """Who did it, below what was done."""
    if said is not None:
        indent = f"{INDENT}  "
        for line in wrap(f"{said.mark} {escape(said.text)}", indent=indent, width=look.width):
            yield look.paint(line, "loud" if said.tone is Tone.LOUD else "dim")
        if look.verbose and said.page:
            yield f"{indent}  {look.paint(escape(said.page), 'dim')}"


def _marker(one: FieldChange) -> str:
    """Why the field differs; with the base where it is on neither side."""
    base = f", base {values.flow(one.base)}" if one.cause is Cause.CONFLICT else ""
    known = one.cause is not Cause.UNKNOWN
    return f"[{clip(escape(f'{one.cause}{base}'), _BASE)}]" if known else ""


def _cause_style(found: Cause) -> str:
    return {Cause.DRIFT: "magenta", Cause.CONFLICT: "alarm"}.get(found, "dim")


def _details(one: Change, look: TextStyle) -> Iterator[str]:
    after = ", ".join(str(address) for address in (*one.depends_on, *one.late))
    for label, text in (("id", one.live_id), ("after", after)):
        if text:
            yield INDENT + look.paint(f"{label}: {escape(text)}", "dim")


def _gate(one: Change, look: TextStyle) -> Iterator[str]:
    said = phrases.gate(one)
    if said is None:
        return
    for line in wrap(f"{said.mark} {escape(said.text)}", indent=INDENT, width=look.width):
        yield look.paint(line, TONES[said.tone])
    for note in said.more:
        for line in wrap(escape(note), indent=f"{INDENT}  ", width=look.width, hang=""):
            yield look.paint(line, "loud") if said.tone is Tone.LOUD else line
