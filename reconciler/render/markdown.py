"""Values → Markdown for a comment on a pull request. Nothing foreign leaves its code span or fence.

Outside of fences `prose`, in tags `tag`, in backticks `code`: each begins with `visible`, and
there is no other way to print what a file or a server said.
"""

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

from reconciler.model import Action, Change, FieldChange, Plan, Verdict
from reconciler.render import account, values, who, words
from reconciler.render.text import sentences
from reconciler.render.view import View
from reconciler.render.visible import clip, visible
from reconciler.render.words import Said

CAP: Final = 65_000  # GitHub refuses a comment of more than 65,536 characters

_DOTS: Final = {"+": "🟢", "~": "🟡", "-": "🔴", " ": "⚪"}
_MARKUP: Final = re.compile(r"([\\`*_\[\]#|~:$.])")
_START: Final = re.compile(r"^(\d*)([-+=)])")  # where a line begins, these make a list or a rule
_PINGS: Final = re.compile(r"([@#])(?=\S)")
_ODD: Final = re.compile(r"[^A-Za-z0-9]")  # never what ends a comment
_RUN: Final = re.compile("`+")
_NAME, _LINE, _LINES, _LISTED, _PART = 200, 400, 150, 30, 12_000  # how much of each is shown
_OPEN: Final = 3  # a plan of so many changes shows them at once


def plan(plan: Plan, view: View | None = None) -> str:  # noqa: ARG001
    """The plan as a comment: totals, what is loud, who has to approve, each change to unfold."""
    return _page(plan, drift=False)


def drift(plan: Plan, view: View | None = None) -> str:  # noqa: ARG001
    """What differs from the files of a commit, as a comment or an issue."""
    return _page(plan, drift=True)


def prose(text: str) -> str:
    """Foreign text in a sentence: no markup, no tags, nobody is mentioned, nothing is linked."""
    shown = html.escape(clip(visible(text).strip(), 2 * _LINE), quote=False)
    return _quiet(_START.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", shown)))


def tag(text: str) -> str:
    """Foreign text between HTML tags, never inside of one."""
    return _quiet(html.escape(clip(visible(text), _NAME), quote=False))


def _quiet(text: str) -> str:
    """A zero-width joiner behind what would mention a person or link an issue."""
    return _PINGS.sub("\\1\u200d", text)


def code(text: str) -> str:
    """Foreign text as a code span, whatever backticks it holds."""
    shown = clip(visible(text), _NAME)
    ticks = "`" * (_longest(shown) + 1)
    pad = " " if not shown or "`" in (shown[0], shown[-1]) or shown.isspace() else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def fence(lines: Iterable[str], info: str = "") -> str:
    """Foreign lines in a fence that is longer than any run of backticks in them."""
    shown = [clip(visible(line), _LINE) for line in lines]
    ticks = "`" * max(3, _longest("\n".join(shown)) + 1)
    return "\n".join((f"{ticks}{info}", *shown, ticks))


def _longest(text: str) -> int:
    return max(map(len, _RUN.findall(text)), default=0)


def _page(plan: Plan, *, drift: bool) -> str:
    """Everything that must be there; then as many changes as there is room for."""
    top = [*_head(plan, drift=drift), *(() if drift else _approvals(plan)), *_errors(plan)]
    bottom = [*_findings(plan), *_notices(plan)]
    room = CAP - sum(map(_size, (*top, *bottom))) - 500
    opened = len(plan.writes) <= _OPEN
    shown: list[str] = []
    for one in plan.writes:
        block = _change(one, drift=drift, opened=opened)
        room -= _size(block)
        if room < 0:
            break
        shown.append(block)
    if rest := len(plan.writes) - len(shown):
        shown.append(
            f"**{words.count(rest, 'more change')}** not shown: a comment holds no more. "
            "`--format html` and `reconciler show PLANFILE` show everything."
        )
    return "\n\n".join((*top, *shown, *bottom)) + "\n"


def _size(block: str) -> int:
    """Characters as GitHub counts them, and the blank line behind."""
    return len(block.encode("utf-16-le")) // 2 + 2


def _head(plan: Plan, *, drift: bool) -> Iterator[str]:
    name = "drift" if drift else "plan"
    target = _ODD.sub("_", visible(plan.target))[:_NAME]
    yield f"<!-- reconciler:{name}:{target} -->"
    host = f" ({code(plan.host)})" if plan.host else ""
    yield f"### reconciler {name}: target {code(plan.target)}{host}"
    yield f"**{' '.join(account.totals(plan, drift=drift))}**"
    if base := account.base(plan, drift=drift):
        yield prose(base)
    if drift:
        if advice := who.advice(plan):
            yield prose(advice)
        return
    yield from _alert(
        plan, Verdict.BYPASS, "WARNING", "to be written WITHOUT the approval of its policy"
    )
    yield from _alert(plan, Verdict.BLOCKED, "CAUTION", "blocked by another change request")


def _alert(plan: Plan, verdict: Verdict, kind: str, what: str) -> Iterator[str]:
    found = [one.address for one in plan.writes if one.gate.verdict is verdict]
    if found:
        names = ", ".join(code(str(address)) for address in found[:_LISTED])
        more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        yield f"> [!{kind}]\n> **{words.count(len(found), 'change')} {what}:** {names}{more}"


def _approvals(plan: Plan) -> Iterator[str]:
    """Who has to agree to what: the reason for this comment."""
    rows = [
        f"- {code(str(one.address))}: {prose(said.text)}"
        for one in plan.writes
        if one.gate.verdict not in {Verdict.NONE, Verdict.BYPASS} and (said := words.gate(one))
    ]
    if rows:
        yield "\n".join(("#### Approvals", "", *_capped(rows)))


def _capped(rows: list[str]) -> list[str]:
    more = len(rows) - _LISTED
    return rows if more <= 0 else [*rows[:_LISTED], f"- … and {more:,} more"]


def _change(one: Change, *, drift: bool, opened: bool) -> str:
    said = None if drift else words.gate(one)
    what = words.drifted(one.action) if drift else one.action.value
    dot = _DOTS[words.sign(one.action, drift=drift)]
    title = f"{dot} <code>{tag(str(one.address))}</code> {what}"
    if said is not None:
        title += f", {tag(said.text.partition(':')[0])}"
    return "\n\n".join(
        (
            f"<details{' open' if opened else ''}><summary>{title}</summary>",
            *_body(one, drift=drift),
            "</details>",
        )
    )


def _body(one: Change, *, drift: bool) -> Iterator[str]:
    lines = list(islice(_diff(one, drift=drift), _LINES + 1))
    if len(lines) > _LINES:
        lines[_LINES:] = ["  … more lines: --format json has all"]
    if lines:
        yield fence(_limited(lines), "diff")
    if drift and (rows := [f"- {said.mark} {prose(said.text)}" for said in _who(one)]):
        yield "\n".join(rows)
    said = None if drift else words.gate(one)
    if said is not None:
        notes = (f"  - {prose(note)}" for note in said.more)
        yield "\n".join((f"- {said.mark} {prose(said.text)}", *notes))
    for warning in () if drift else one.warnings:
        yield fence(_limited(sentences.lines(warning, color=False)))
    if one.source is not None:
        yield f"Declared in {code(f'{one.source.file}:{one.source.line}')}"


def _who(one: Change) -> Iterator[Said]:
    """Who did it: a line for each act, and the fields that it moved where there are several."""
    acts = [(at, said) for at in range(len(one.fields)) if (said := who.after(one.fields, at))]
    start = 0
    for at, said in acts if one.action is Action.UPDATE else ():
        paths = ", ".join(field.path for field in one.fields[start : at + 1])
        yield replace(said, text=f"{paths}: {said.text}") if len(acts) > 1 else said
        start = at + 1
    yield from who.about(one)


def _diff(one: Change, *, drift: bool) -> Iterator[str]:
    """The fields as lines of a diff, a sign in the first column."""
    if one.action is Action.CREATE:
        spec = {} if drift else {field.path: field.desired for field in one.fields}
        yield from (f"+ {line}" for line in values.block(spec, 90) if spec)
        return
    for field in one.fields:
        yield from _field(field, drift=drift)


def _field(one: FieldChange, *, drift: bool) -> Iterator[str]:
    old, new = (one.desired, one.live) if drift else (one.live, one.desired)
    cause = "" if drift else words.cause(one.cause)
    before, after = values.flow(old), values.flow(new)
    if len(before) + len(after) <= 160:  # noqa: PLR2004  two short lines say it best
        yield f"- {one.path}: {before}{cause}"
        yield f"+ {one.path}: {after}"
        return
    yield f"  {one.path}:{cause}"
    for sign, text in values.difference(old, new, 90).pieces:
        yield f"{sign or ' '}   {text}"


def _limited(lines: Iterable[str]) -> Iterator[str]:
    """As many lines as a part may have characters."""
    room = _PART
    for line in lines:
        room -= min(len(line), _LINE) + 1
        if room < 0:
            yield "…"
            return
        yield line


def _errors(plan: Plan) -> Iterator[str]:
    if plan.errors:
        yield f"> [!CAUTION]\n> **{words.count(len(plan.errors), 'error')}**, listed below."


def _findings(plan: Plan) -> Iterator[str]:
    if found := account.findings(plan):
        rows = (line for one in found for line in sentences.lines(one, color=False))
        yield f"#### Findings\n\n{fence(_limited(rows))}"


def _notices(plan: Plan) -> Iterator[str]:
    for notice in account.notices(plan):
        listed = "\n".join(_capped([f"- {code(row)}" for row in notice.rows]))
        yield f"<details><summary>{tag(notice.title)}</summary>\n\n{listed}\n\n</details>"
