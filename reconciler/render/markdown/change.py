"""One change in a comment, to unfold: a diff of its fields, its gate, where it is declared."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from reconciler.model import ABSENT, Action, Cause, Change, FieldChange, Verdict
from reconciler.render.markdown.escape import (
    escape_prose,
    escape_tag,
    format_code,
    format_code_tag,
    format_fence,
)
from reconciler.render.markdown.size_limit import limit_lines
from reconciler.render.shared import attribution, findings, phrases, values
from reconciler.render.shared.change_rows import ChangeRow, list_rows
from reconciler.render.shared.phrases import Phrase
from reconciler.render.shared.sanitize import is_page_of

_DOTS: Final = {"+": "🟢", "~": "🟡", "-": "🔴", " ": "⚪"}
_WAITING: Final = frozenset({Verdict.APPROVAL, Verdict.SPLIT, Verdict.PENDING, Verdict.BLOCKED})
_LINES: Final = 150  # of one change
_SHORT: Final = 160  # characters of both sides that are shown on two lines


def format_change(change: Change, *, drift: bool, opened: bool, host: str = "") -> str:
    """Return one change as `<details>`."""
    gate = None if drift else phrases.describe_gate(change)
    title = f"{_choose_dot(change, drift=drift)} {format_code_tag(str(change.address))} "
    title += phrases.describe_drift(change.action) if drift else change.action.value
    moved = {field.cause for field in change.fields}
    for cause in (Cause.DRIFT, Cause.CONFLICT):
        title += f", {cause.value}" if cause in moved and not drift else ""
    if gate is not None:
        title += f", {escape_tag(gate.short)}"
    return "\n\n".join(
        (
            f"<details{' open' if opened else ''}><summary>{title}</summary>",
            *_format_body(change, host, drift=drift),
            "</details>",
        )
    )


def format_row(change: Change, *, drift: bool) -> str:
    """Return one change as a row of a list, where there is not enough room to unfold it."""
    what = phrases.describe_drift(change.action) if drift else change.action.value
    return f"- {_choose_dot(change, drift=drift)} {format_code(str(change.address))} {what}"


def _choose_dot(change: Change, *, drift: bool) -> str:
    return _DOTS[phrases.choose_sign(change.action, drift=drift)]


def _format_body(change: Change, host: str, *, drift: bool) -> Iterator[str]:
    lines = list(islice(_format_diff(change, drift=drift), _LINES + 1))
    if len(lines) > _LINES:
        lines[_LINES:] = ["  … more lines: --format json has all"]
    if lines:
        yield format_fence(limit_lines(lines), "diff")
    if drift and (
        rows := [_format_attribution(phrase, host) for phrase in _describe_authors(change)]
    ):
        yield "\n".join(rows)
    phrase = None if drift else phrases.describe_gate(change)
    if phrase is not None:
        notes = (f"  - {escape_prose(note)}" for note in phrase.more)
        yield "\n".join((f"- {phrase.mark} {_format_gate(change, phrase)}", *notes))
    for warning in () if drift else change.warnings[:3]:
        yield format_fence(limit_lines(findings.format_finding(warning), 4_000))
    if change.source is not None:
        yield f"Declared in {format_code(f'{change.source.file}:{change.source.line}')}"


def _format_attribution(phrase: Phrase, host: str) -> str:
    """Return who changed it, and a link to the entry of the log."""
    link = f" [look]({phrase.page})" if phrase.page and is_page_of(phrase.page, host) else ""
    return f"- {phrase.mark} {escape_prose(phrase.text)}{link}"


def _format_gate(change: Change, phrase: Phrase) -> str:
    """Return what the gate does; the people were named above, each once."""
    if change.gate.verdict in _WAITING and change.gate.policy:
        return f"{escape_prose(phrase.short)} under {format_code(change.gate.policy)}"
    return escape_prose(phrase.text)


def _describe_authors(change: Change) -> Iterator[Phrase]:
    """Yield who changed it: a phrase for each event, with its fields where there are several."""
    fields = [row.field for row in list_rows(change, drift=True)]
    acts = [
        (at, phrase)
        for at in range(len(fields))
        if (phrase := attribution.describe_after_field(fields, at))
    ]
    start = 0
    for at, phrase in acts if change.action is Action.UPDATE else ():
        paths = ", ".join(field.path for field in fields[start : at + 1])
        yield replace(phrase, text=f"{paths}: {phrase.text}") if len(acts) > 1 else phrase
        start = at + 1
    yield from attribution.describe_change(change)


def _format_diff(change: Change, *, drift: bool) -> Iterator[str]:
    """Yield the fields as lines of a diff, a sign in the first column."""
    if change.action is Action.CREATE:
        spec = {} if drift else {field.path: field.desired for field in change.fields}
        yield from (f"+ {line}" for line in values.format_block(spec, 90) if spec)
        return
    for row in list_rows(change, drift=drift):
        yield from (
            _format_item(row, drift=drift) if row.sign else _format_field(row.field, drift=drift)
        )


def _format_item(row: ChangeRow, *, drift: bool) -> Iterator[str]:
    """Show an item of a list that was added, removed or moved."""
    value = row.field.desired if row.field.live is ABSENT else row.field.live
    shown = "" if row.is_moved else f": {values.format_flow(value)}"
    sign = " " if row.is_moved else row.sign
    note = f"  ({row.note})" if row.note else ""
    cause = "" if drift else phrases.mark_cause(row.field.cause)
    yield f"{sign} {row.field.path}{shown}{note}{cause}"


def _format_field(field: FieldChange, *, drift: bool) -> Iterator[str]:
    old, new = (field.desired, field.live) if drift else (field.live, field.desired)
    cause = "" if drift else phrases.mark_cause(field.cause)
    before, after = values.format_flow(old), values.format_flow(new)
    if len(before) + len(after) <= _SHORT:  # two short lines say it best
        yield f"- {field.path}: {before}{cause}"
        yield f"+ {field.path}: {after}"
        return
    difference = values.compare_values(old, new, 90)
    yield f"  {field.path}:{cause}{f'  ({difference.note})' if difference.note else ''}"
    for sign, text in difference.pieces:
        yield f"{sign or ' '}   {text}"
