"""One change in a comment, to unfold: a diff of its fields, its gate, where it is declared."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from reconciler.model import ABSENT, Action, Cause, Change, FieldChange, Verdict
from reconciler.render.markdown.escape import code, code_tag, fence, prose, tag
from reconciler.render.markdown.size_limit import limited
from reconciler.render.shared import attribution, findings, phrases, values
from reconciler.render.shared.change_rows import Row, rows
from reconciler.render.shared.phrases import Phrase
from reconciler.render.shared.sanitize import page

_DOTS: Final = {"+": "🟢", "~": "🟡", "-": "🔴", " ": "⚪"}
_WAITING: Final = frozenset({Verdict.APPROVAL, Verdict.SPLIT, Verdict.PENDING})
_LINES: Final = 150  # of one change
_SHORT: Final = 160  # characters of both sides that are shown on two lines


def folded(one: Change, *, drift: bool, opened: bool, host: str = "") -> str:
    """One change as `<details>`."""
    said = None if drift else phrases.gate(one)
    title = f"{_dot(one, drift=drift)} {code_tag(str(one.address))} "
    title += phrases.drifted(one.action) if drift else one.action.value
    moved = {field.cause for field in one.fields}
    for cause in (Cause.DRIFT, Cause.CONFLICT):
        title += f", {cause.value}" if cause in moved and not drift else ""
    if said is not None:
        title += f", {tag(said.short)}"
    return "\n\n".join(
        (
            f"<details{' open' if opened else ''}><summary>{title}</summary>",
            *_body(one, host, drift=drift),
            "</details>",
        )
    )


def row(one: Change, *, drift: bool) -> str:
    """One change as a row of a list, where there is no room to unfold it."""
    what = phrases.drifted(one.action) if drift else one.action.value
    return f"- {_dot(one, drift=drift)} {code(str(one.address))} {what}"


def _dot(one: Change, *, drift: bool) -> str:
    return _DOTS[phrases.sign(one.action, drift=drift)]


def _body(one: Change, host: str, *, drift: bool) -> Iterator[str]:
    lines = list(islice(_diff(one, drift=drift), _LINES + 1))
    if len(lines) > _LINES:
        lines[_LINES:] = ["  … more lines: --format json has all"]
    if lines:
        yield fence(limited(lines), "diff")
    if drift and (rows := [_told(said, host) for said in _who(one)]):
        yield "\n".join(rows)
    said = None if drift else phrases.gate(one)
    if said is not None:
        notes = (f"  - {prose(note)}" for note in said.more)
        yield "\n".join((f"- {said.mark} {_gate(one, said)}", *notes))
    for warning in () if drift else one.warnings[:3]:
        yield fence(limited(findings.plain_lines(warning), 4_000))
    if one.source is not None:
        yield f"Declared in {code(f'{one.source.file}:{one.source.line}')}"


def _told(said: Phrase, host: str) -> str:
    """Who did it, and where to look at that."""
    link = f" [look]({said.page})" if said.page and page(said.page, host) else ""
    return f"- {said.mark} {prose(said.text)}{link}"


def _gate(one: Change, said: Phrase) -> str:
    """What the gate does; who has to agree was said above, once a policy."""
    if one.gate.verdict in _WAITING and one.gate.policy:
        return f"{prose(said.short)} under {code(one.gate.policy)}"
    return prose(said.text)


def _who(one: Change) -> Iterator[Phrase]:
    """Who did it: a line for each act, and the fields that it moved where there are several."""
    fields = [row.field for row in rows(one, drift=True)]
    acts = [(at, said) for at in range(len(fields)) if (said := attribution.after(fields, at))]
    start = 0
    for at, said in acts if one.action is Action.UPDATE else ():
        paths = ", ".join(field.path for field in fields[start : at + 1])
        yield replace(said, text=f"{paths}: {said.text}") if len(acts) > 1 else said
        start = at + 1
    yield from attribution.about(one)


def _diff(one: Change, *, drift: bool) -> Iterator[str]:
    """The fields as lines of a diff, a sign in the first column."""
    if one.action is Action.CREATE:
        spec = {} if drift else {field.path: field.desired for field in one.fields}
        yield from (f"+ {line}" for line in values.block(spec, 90) if spec)
        return
    for row in rows(one, drift=drift):
        yield from _item(row, drift=drift) if row.sign else _field(row.field, drift=drift)


def _item(row: Row, *, drift: bool) -> Iterator[str]:
    """Show an item of a list that was added, removed or moved."""
    value = row.field.desired if row.field.live is ABSENT else row.field.live
    shown = "" if row.is_moved else f": {values.flow(value)}"
    sign = " " if row.is_moved else row.sign
    note = f"  ({row.note})" if row.note else ""
    yield f"{sign} {row.field.path}{shown}{note}{'' if drift else phrases.cause(row.field.cause)}"


def _field(one: FieldChange, *, drift: bool) -> Iterator[str]:
    old, new = (one.desired, one.live) if drift else (one.live, one.desired)
    cause = "" if drift else phrases.cause(one.cause)
    before, after = values.flow(old), values.flow(new)
    if len(before) + len(after) <= _SHORT:  # two short lines say it best
        yield f"- {one.path}: {before}{cause}"
        yield f"+ {one.path}: {after}"
        return
    found = values.difference(old, new, 90)
    yield f"  {one.path}:{cause}{f'  ({found.note})' if found.note else ''}"
    for sign, text in found.pieces:
        yield f"{sign or ' '}   {text}"
