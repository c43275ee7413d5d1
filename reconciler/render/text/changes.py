"""One change on the terminal: what it is, its fields, its gate, what to watch out for."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from reconciler.model import Action, Cause, Change, FieldChange
from reconciler.render import values, words
from reconciler.render.text import sentences
from reconciler.render.text.screen import beside, escape, paint, wrap
from reconciler.render.visible import clip, columns
from reconciler.render.words import Tone

COLOURS: Final = {
    Action.CREATE: "green",
    Action.UPDATE: "yellow",
    Action.DELETE: "red",
    Action.NONE: "dim",
}
_TONES: Final = {Tone.CALM: "dim", Tone.WAIT: "cyan", Tone.LOUD: "loud", Tone.STOP: "alarm"}
_SIGNS: Final = {"+": "green", "-": "red", "": ""}
_INDENT: Final = " " * 6
_PATHS: Final = 40  # columns that paths may take before their value moves to the next line
_LINES: Final = 24  # lines of one value or one creation that are shown


@dataclass(frozen=True, slots=True)
class Look:
    """How things are to be drawn."""

    color: bool
    width: int
    verbose: int = 0
    drift: bool = False  # the files on the left, the live side on the right

    @property
    def room(self) -> int:
        """Columns for a value of its own line."""
        return 10_000 if self.verbose else max(20, self.width - len(_INDENT) - 2)

    def paint(self, text: str, style: str) -> str:
        """Escaped text in colour, if there is any."""
        return paint(text, style, on=self.color)


def change(one: Change, look: Look) -> Iterator[str]:
    """The lines of one change."""
    yield _head(one, look)
    if one.action is Action.CREATE and not look.drift:
        yield from _cut(_created(one, look), look)
    else:
        yield from _fields(one, look)
    if look.verbose:
        yield from _details(one, look)
    if not look.drift:
        yield from _gate(one, look)
    for warning in one.warnings:
        yield from (f"{_INDENT}{line}" for line in sentences.lines(warning, color=look.color))


def _head(one: Change, look: Look) -> str:
    sign, style = words.SIGNS[one.action], COLOURS[one.action]
    name = escape(str(one.address))
    note = words.drifted(one.action) if look.drift else ""
    shown = look.paint(f"  {sign} ", style) + look.paint(name, "bold") + note
    if one.source is None:
        return shown
    place = escape(f"{one.source.file}:{one.source.line}")
    dim = look.paint(place, "dim")
    return beside(f"  {sign} {name}{note}", place, painted=shown, dim=dim, width=look.width)


def _created(one: Change, look: Look) -> Iterator[str]:
    spec = {field.path: field.desired for field in one.fields}
    if spec:
        for line in values.block(spec, look.room):
            yield _INDENT + clip(escape(line), look.room)


def _fields(one: Change, look: Look) -> Iterator[str]:
    if not one.fields:
        return
    shown = [columns(escape(field.path)) for field in one.fields]
    column = max((width for width in shown if width <= _PATHS), default=_PATHS)
    for field in one.fields:
        yield from _field(field, column, look)


def _field(one: FieldChange, column: int, look: Look) -> Iterator[str]:
    path = escape(one.path)
    gap = column - columns(path)
    marker = _marker(one, look)
    room = look.room - column - 3 - columns(marker)
    old, new = (one.desired, one.live) if look.drift else (one.live, one.desired)
    found = values.difference(old, new, room)
    tail = f"  {look.paint(marker, _cause_style(one.cause))}" if marker else ""
    if found.inline and gap >= 0:
        pieces = (_piece(sign, text, look) for sign, text in found.pieces)
        yield f"{_INDENT}{path}{' ' * gap}   {'  '.join(pieces)}{tail}"
        return
    yield f"{_INDENT}{path}{tail}"
    rows = (f"{_INDENT}  {_row(sign, text, look)}" for sign, text in found.pieces)
    yield from _cut(rows, look)


def _piece(sign: str, text: str, look: Look) -> str:
    shown = escape(text)
    return look.paint(f"{sign} {shown}", _SIGNS[sign]) if sign else shown


def _row(sign: str, text: str, look: Look) -> str:
    return look.paint(clip(f"{sign or ' '} {escape(text)}", look.room), _SIGNS[sign])


def _marker(one: FieldChange, look: Look) -> str:
    """Why the field differs; with the base where neither side has it."""
    if look.drift:
        return ""
    base = f", base {values.flow(one.base)}" if one.cause is Cause.CONFLICT else ""
    return escape(clip(f"[{one.cause}{base}]", 60)) if words.cause(one.cause) else ""


def _cause_style(found: Cause) -> str:
    return {Cause.DRIFT: "magenta", Cause.CONFLICT: "alarm"}.get(found, "dim")


def _cut(lines: Iterator[str], look: Look) -> Iterator[str]:
    """The first lines of many, and how many are left out."""
    every = list(lines)
    if look.verbose or len(every) <= _LINES + 1:
        yield from every
        return
    yield from every[:_LINES]
    yield _INDENT + look.paint(f"… {len(every) - _LINES} more lines", "dim")


def _details(one: Change, look: Look) -> Iterator[str]:
    after = ", ".join(str(address) for address in (*one.depends_on, *one.late))
    for label, text in (("id", one.live_id), ("after", after)):
        if text:
            yield _INDENT + look.paint(f"{label}: {escape(text)}", "dim")


def _gate(one: Change, look: Look) -> Iterator[str]:
    said = words.gate(one)
    if said is None:
        return
    style = _TONES[said.tone]
    for line in wrap(f"{said.mark} {escape(said.text)}", indent=_INDENT, width=look.width):
        yield look.paint(line, style)
    for note in said.more:
        for line in wrap(escape(note), indent=f"{_INDENT}  ", width=look.width, hang=""):
            yield look.paint(line, "loud") if said.tone is Tone.LOUD else line
