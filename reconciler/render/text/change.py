"""One change on the terminal: what it is, its fields, its gate, what to watch out for."""

from collections.abc import Iterator
from typing import Final

from reconciler.model import ABSENT, Action, Cause, Change, FieldChange, get_root
from reconciler.render.shared import attribution, findings, phrases, schedules, values
from reconciler.render.shared.change_rows import ChangeRow, list_rows
from reconciler.render.shared.phrases import Phrase, Tone
from reconciler.render.shared.sanitize import clip, count_columns, escape
from reconciler.render.text.style import (
    INDENT,
    SIGNS,
    TONES,
    TextStyle,
    cut_lines,
    format_difference,
)
from reconciler.render.text.terminal import format_beside, wrap

_WIDEST: Final = 110  # a place further to the right is out of sight
_BASE: Final = 60  # columns that a marker may take


def format_change(change: Change, look: TextStyle) -> Iterator[str]:
    """Yield the lines of one change."""
    yield _format_head(change, look)
    if change.action is Action.CREATE:
        yield from () if look.drift else cut_lines(_format_created(change, look), look)
    else:
        yield from _format_fields(change, look)
    if look.verbose:
        yield from _format_details(change, look)
    if look.drift:
        for phrase in attribution.describe_change(change):
            yield from _format_attribution(phrase, look)
    else:
        yield from _format_phrase(phrases.describe_gate(change), look)
    for phrase in schedules.describe_schedules(change):
        yield from _format_phrase(phrase, look)
    for warning in change.warnings:
        yield from (
            f"{INDENT}{line}" for line in findings.format_finding(warning, paint=look.paint)
        )


def _format_head(change: Change, look: TextStyle) -> str:
    sign = phrases.choose_sign(change.action, drift=look.drift)
    name = escape(str(change.address))
    note = f"  {phrases.describe_drift(change.action)}" if look.drift else ""
    title = look.link(look.paint(name, "bold"), change.url)
    shown = look.paint(f"  {sign} ", SIGNS[sign]) + title + note
    if change.source is None:
        return shown
    place = escape(f"{change.source.file}:{change.source.line}")
    return format_beside(
        f"  {sign} {name}{note}",
        place,
        painted=shown,
        dim=look.paint(place, "dim"),
        width=min(look.width, _WIDEST),
    )


def _format_created(change: Change, look: TextStyle) -> Iterator[str]:
    spec = {field.path: field.desired for field in change.fields}
    for line in values.format_block(spec, look.room) if spec else ():
        yield INDENT + look.clip(escape(line))


def _format_fields(change: Change, look: TextStyle) -> Iterator[str]:
    shown = list_rows(change, drift=look.drift)
    fields = [row.field for row in shown]
    gated = frozenset() if look.drift else phrases.find_gated_fields(change)
    wide = [count_columns(escape(row.field.path)) for row in shown if not row.sign]
    column = max((width for width in wide if width <= look.paths), default=look.paths)
    for index, (row, field) in enumerate(zip(shown, fields, strict=True)):
        marker = "" if look.drift else _format_marker(field, gated)
        style = _choose_style(field.cause)
        if row.sign:
            yield from _format_item(row, look, marker=marker, style=style)
        else:
            yield from _format_field(field, column, look, marker=marker, style=style)
        if look.drift:
            yield from _format_attribution(attribution.describe_after_field(fields, index), look)


def _format_field(
    field: FieldChange, column: int, look: TextStyle, *, marker: str, style: str
) -> Iterator[str]:
    sides = (field.desired, field.live) if look.drift else (field.live, field.desired)
    yield from format_difference(field.path, sides, column, look, marker=marker, style=style)


def _format_item(row: ChangeRow, look: TextStyle, *, marker: str, style: str) -> Iterator[str]:
    """Show an item that was added, removed or moved: one entry, its value below if long."""
    tail = f"  {look.paint(marker, style)}" if marker else ""
    note = f"  ({escape(row.note)})" if row.note else ""
    head = f"{INDENT}{look.paint(row.sign, SIGNS[row.sign])} {escape(row.field.path)}"
    value = row.field.desired if row.field.live is ABSENT else row.field.live
    short = "" if row.is_moved else f"  {escape(values.format_flow(value))}"
    plain = f"{row.sign} {row.field.path}{short}{note}{marker}"
    if row.is_moved or count_columns(plain) + 2 <= look.room:
        yield f"{head}{short}{note}{tail}"
        return
    yield f"{head}{note}{tail}"
    lines = (
        f"{INDENT}    {look.clip(escape(line))}" for line in values.format_block(value, look.room)
    )
    yield from cut_lines(lines, look)


def _format_attribution(phrase: Phrase | None, look: TextStyle) -> Iterator[str]:
    """Yield who changed it, below what was changed."""
    if phrase is not None:
        indent = f"{INDENT}  "
        for line in wrap(f"{phrase.mark} {escape(phrase.text)}", indent=indent, width=look.width):
            yield look.paint(line, "loud" if phrase.tone is Tone.LOUD else "dim")
        if look.verbose and phrase.page:
            yield f"{indent}  {look.paint(escape(phrase.page), 'dim')}"


def _format_marker(field: FieldChange, gated: frozenset[str]) -> str:
    """Return whether a field needs approval, and why it differs if the files did not change it."""
    mark = "⏸" if get_root(field.path) in gated else ""
    base = f", base {values.format_flow(field.base)}" if field.cause is Cause.CONFLICT else ""
    shown = field.cause not in {Cause.INTENT, Cause.UNKNOWN}
    cause = f"[{clip(escape(f'{field.cause}{base}'), _BASE)}]" if shown else ""
    return "  ".join(text for text in (mark, cause) if text)


def _choose_style(cause: Cause) -> str:
    return {Cause.DRIFT: "magenta", Cause.CONFLICT: "alarm"}.get(cause, "dim")


def _format_details(change: Change, look: TextStyle) -> Iterator[str]:
    after = ", ".join(str(address) for address in (*change.depends_on, *change.late))
    for label, text in (("id", change.live_id), ("after", after)):
        if text:
            yield INDENT + look.paint(f"{label}: {escape(text)}", "dim")


def _format_phrase(phrase: Phrase | None, look: TextStyle) -> Iterator[str]:
    """Yield what the gate or a schedule does, or nothing."""
    if phrase is None:
        return
    for line in wrap(f"{phrase.mark} {escape(phrase.text)}", indent=INDENT, width=look.width):
        yield look.paint(line, TONES[phrase.tone])
    for note in phrase.more:
        for line in wrap(escape(note), indent=f"{INDENT}  ", width=look.width, hang=""):
            yield look.paint(line, "loud") if phrase.tone is Tone.LOUD else line
