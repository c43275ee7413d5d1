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
from reconciler.render.shared.change_rows import Row, list_rows
from reconciler.render.shared.phrases import Phrase
from reconciler.render.shared.sanitize import is_page_of

_DOTS: Final = {"+": "🟢", "~": "🟡", "-": "🔴", " ": "⚪"}
_WAITING: Final = frozenset({Verdict.APPROVAL, Verdict.SPLIT, Verdict.PENDING})
_LINES: Final = 150  # of one change
_SHORT: Final = 160  # characters of both sides that are shown on two lines


def format_change(one: Change, *, drift: bool, opened: bool, host: str = "") -> str:
    """One change as `<details>`."""
    said = None if drift else phrases.describe_gate(one)
    title = f"{_choose_dot(one, drift=drift)} {format_code_tag(str(one.address))} "
    title += phrases.describe_drift(one.action) if drift else one.action.value
    moved = {field.cause for field in one.fields}
    for cause in (Cause.DRIFT, Cause.CONFLICT):
        title += f", {cause.value}" if cause in moved and not drift else ""
    if said is not None:
        title += f", {escape_tag(said.short)}"
    return "\n\n".join(
        (
            f"<details{' open' if opened else ''}><summary>{title}</summary>",
            *_format_body(one, host, drift=drift),
            "</details>",
        )
    )


def format_row(one: Change, *, drift: bool) -> str:
    """One change as a row of a list, where there is no room to unfold it."""
    what = phrases.describe_drift(one.action) if drift else one.action.value
    return f"- {_choose_dot(one, drift=drift)} {format_code(str(one.address))} {what}"


def _choose_dot(one: Change, *, drift: bool) -> str:
    return _DOTS[phrases.choose_sign(one.action, drift=drift)]


def _format_body(one: Change, host: str, *, drift: bool) -> Iterator[str]:
    lines = list(islice(_format_diff(one, drift=drift), _LINES + 1))
    if len(lines) > _LINES:
        lines[_LINES:] = ["  … more lines: --format json has all"]
    if lines:
        yield format_fence(limit_lines(lines), "diff")
    if drift and (rows := [_format_attribution(said, host) for said in _describe_authors(one)]):
        yield "\n".join(rows)
    said = None if drift else phrases.describe_gate(one)
    if said is not None:
        notes = (f"  - {escape_prose(note)}" for note in said.more)
        yield "\n".join((f"- {said.mark} {_format_gate(one, said)}", *notes))
    for warning in () if drift else one.warnings[:3]:
        yield format_fence(limit_lines(findings.format_finding(warning), 4_000))
    if one.source is not None:
        yield f"Declared in {format_code(f'{one.source.file}:{one.source.line}')}"


def _format_attribution(said: Phrase, host: str) -> str:
    """Who did it, and where to look at that."""
    link = f" [look]({said.page})" if said.page and is_page_of(said.page, host) else ""
    return f"- {said.mark} {escape_prose(said.text)}{link}"


def _format_gate(one: Change, said: Phrase) -> str:
    """What the gate does; who has to agree was said above, once a policy."""
    if one.gate.verdict in _WAITING and one.gate.policy:
        return f"{escape_prose(said.short)} under {format_code(one.gate.policy)}"
    return escape_prose(said.text)


def _describe_authors(one: Change) -> Iterator[Phrase]:
    """Who did it: a line for each act, and the fields that it moved where there are several."""
    fields = [row.field for row in list_rows(one, drift=True)]
    acts = [
        (at, said)
        for at in range(len(fields))
        if (said := attribution.describe_after_field(fields, at))
    ]
    start = 0
    for at, said in acts if one.action is Action.UPDATE else ():
        paths = ", ".join(field.path for field in fields[start : at + 1])
        yield replace(said, text=f"{paths}: {said.text}") if len(acts) > 1 else said
        start = at + 1
    yield from attribution.describe_change(one)


def _format_diff(one: Change, *, drift: bool) -> Iterator[str]:
    """The fields as lines of a diff, a sign in the first column."""
    if one.action is Action.CREATE:
        spec = {} if drift else {field.path: field.desired for field in one.fields}
        yield from (f"+ {line}" for line in values.format_block(spec, 90) if spec)
        return
    for row in list_rows(one, drift=drift):
        yield from (
            _format_item(row, drift=drift) if row.sign else _format_field(row.field, drift=drift)
        )


def _format_item(row: Row, *, drift: bool) -> Iterator[str]:
    """Show an item of a list that was added, removed or moved."""
    value = row.field.desired if row.field.live is ABSENT else row.field.live
    shown = "" if row.is_moved else f": {values.format_flow(value)}"
    sign = " " if row.is_moved else row.sign
    note = f"  ({row.note})" if row.note else ""
    cause = "" if drift else phrases.mark_cause(row.field.cause)
    yield f"{sign} {row.field.path}{shown}{note}{cause}"


def _format_field(one: FieldChange, *, drift: bool) -> Iterator[str]:
    old, new = (one.desired, one.live) if drift else (one.live, one.desired)
    cause = "" if drift else phrases.mark_cause(one.cause)
    before, after = values.format_flow(old), values.format_flow(new)
    if len(before) + len(after) <= _SHORT:  # two short lines say it best
        yield f"- {one.path}: {before}{cause}"
        yield f"+ {one.path}: {after}"
        return
    found = values.compare_values(old, new, 90)
    yield f"  {one.path}:{cause}{f'  ({found.note})' if found.note else ''}"
    for sign, text in found.pieces:
        yield f"{sign or ' '}   {text}"
