"""Findings and errors on the terminal: what, why, state of the world, fix."""

from collections.abc import Iterable, Iterator
from typing import Final

from reconciler.errors import ApiError, ConfigError, GuardrailError, ReconcilerError
from reconciler.model import Finding, Severity
from reconciler.render import words
from reconciler.render.text.screen import escape, paint
from reconciler.render.visible import clip, columns, masked

_STYLES: Final = {Severity.ERROR: "alarm", Severity.WARNING: "loud", Severity.NOTICE: "blue"}
_ORDER: Final = tuple(Severity)  # worst first
_LONGEST: Final = 500  # characters of a cause: servers answer with whole pages
_EXCERPT: Final = 160  # characters of a line of a file


def findings(found: Iterable[Finding], *, color: bool, state: str = "nothing was written") -> str:
    """Findings by place, in the four sentences; no newline at the end."""
    ordered = sorted(found, key=lambda one: one.sort_key)
    shown = ["\n".join(lines(one, color=color, state=state)) for one in ordered]
    apart = "\n\n" if any("\n" in one for one in shown) else "\n"
    return apart.join(shown)


def error(exc: ReconcilerError, *, color: bool) -> str:
    """An error in the four sentences; one of the files with everything that was found."""
    found = exc.findings if isinstance(exc, ConfigError | GuardrailError) else ()
    if found:
        listed = findings(found, color=color, state=exc.state)
        if isinstance(exc, GuardrailError):
            said = (f"{exc.what}: {exc.state}", *sentences("", "", exc.fix, color=color))
            return "\n\n".join((listed, "\n".join(said)))
        return f"{listed}\n\n{paint(_counted(found), 'bold', on=color)}"
    why = exc.why
    if not why and isinstance(exc, ApiError):
        parts = (f"HTTP {exc.status}" if exc.status else "", exc.code, exc.detail)
        why = " ".join(part for part in parts if part)
    head = f"{paint('error:', 'alarm', on=color)} {escape(exc.what)}"
    return "\n".join((head, *sentences(why, exc.state, exc.fix, color=color)))


def _counted(found: Iterable[Finding]) -> str:
    """`3 errors, 1 warning in 2 files`."""
    every = tuple(found)
    numbers = [(one, sum(item.severity is one for item in every)) for one in _ORDER]
    files = len({one.source.file for one in every if one.source})
    where = f" in {words.count(files, 'file')}" if files else ""
    return ", ".join(words.count(number, one) for one, number in numbers if number) + where


def lines(one: Finding, *, color: bool, state: str = "nothing was written") -> Iterator[str]:
    """One finding: place and message, the line of the file, why, state, fix."""
    place = f"{escape(str(one.source))}: " if one.source else ""
    label = paint(f"{one.severity}:", _STYLES[one.severity], on=color)
    yield f"{label} {paint(place, 'bold', on=color)}{escape(one.message)}"
    yield from excerpt(one, color=color)
    said = state if one.severity is Severity.ERROR else ""
    yield from sentences(one.why, said, one.fix, color=color)


def sentences(why: str, state: str, fix: str, *, color: bool) -> Iterator[str]:
    """The last three of the four; what is empty is left out."""
    for label, text in (("why:  ", why), ("state:", state), ("fix:  ", fix)):
        if text:
            yield f"  {paint(label, 'dim', on=color)} {clip(escape(text), _LONGEST)}"


def excerpt(one: Finding, *, color: bool = False) -> Iterator[str]:
    """The line of the file, and a caret below what is meant; nothing where it is not at hand."""
    place = one.source
    if place is None or not one.excerpt:
        return
    start = max(0, place.column - 1)
    left = max(0, start + min(one.width, _EXCERPT // 2) - _EXCERPT)
    line = masked(one.excerpt)  # before it is cut, or half a key would be left
    cut = line[left : left + _EXCERPT]
    lead = "…" if left else ""
    tail = "…" if left + _EXCERPT < len(line) else ""
    meant = cut[start - left : start - left + one.width]
    before = len(lead) + columns(escape(cut[: start - left]))
    number = f"{place.line:>5}"
    yield f"{paint(f'{number} |', 'dim', on=color)} {lead}{escape(cut)}{tail}"
    caret = paint("^" * max(1, columns(escape(meant))), "alarm", on=color)
    yield f"{paint(' ' * len(number) + ' |', 'dim', on=color)} {' ' * before}{caret}"
