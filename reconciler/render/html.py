"""Values → one self-contained page: no script, nothing loaded, every string through `text`."""

from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby
from typing import Final

from reconciler import planfile
from reconciler.evidence import Attribution
from reconciler.model import Action, Address, Cause, Change, FieldChange, Plan, Verdict
from reconciler.render import account, values, who, words
from reconciler.render.style import CSS
from reconciler.render.text import sentences
from reconciler.render.view import View
from reconciler.render.visible import visible
from reconciler.render.words import Said, Tone

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_PLAN: Final = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "none": "unchanged",
    "gated": "gated",
    "drift": "drift",
    "conflict": "conflict",
    "unmanaged": "unmanaged",
}
_DRIFT: Final = {
    "update": "changed",
    "create": "not there",
    "delete": "there again",
    "none": "as declared",
    "unmanaged": "unmanaged",
}
_ROOM: Final = 60  # characters of a value that fits into a cell
_OPEN: Final = 50  # a page with so many changes shows them unfolded
_SIGNS: Final = {"+": ' class="add"', "-": ' class="cut"', "": ""}


def plan(plan: Plan, view: View | None = None) -> str:  # noqa: ARG001
    """The plan as a page: totals, who has to approve, each resource before and after."""
    return _page(plan, drift=False)


def drift(plan: Plan, view: View | None = None) -> str:  # noqa: ARG001
    """What differs from the files of a commit, as a page."""
    return _page(plan, drift=True)


def text(value: object) -> str:
    """The one escape function: for text between tags and for attribute values in quotes."""
    return escape(visible(str(value)), quote=True)


def _page(plan: Plan, *, drift: bool) -> str:
    name = "drift" if drift else "plan"
    parts = (
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>reconciler {name}: {text(plan.target)}</title><style>{CSS}</style></head><body>",
        f"<header><h1>reconciler {name}: target {text(plan.target)}</h1>",
        *_head(plan, drift=drift),
        "</header><main>",
        *(() if drift else _gates(plan)),
        *_findings(plan),
        *_changes(plan, drift=drift),
        *_notices(plan),
        f"</main><footer>Files {text(plan.desired_digest or 'without a digest')}</footer>",
        "</body></html>",
    )
    return "\n".join(parts) + "\n"


def _head(plan: Plan, *, drift: bool) -> Iterator[str]:
    about = (
        plan.host,
        account.base(plan, drift=drift),
        f"made {plan.created_at}" if plan.created_at else "",
        f"{words.count(plan.requests.reads, 'request')} sent",
    )
    yield f'<p class="meta">{" · ".join(text(one) for one in about if one)}</p>'
    line = " ".join(account.totals(plan, drift=drift))
    yield f'<p class="total">{text(line)}</p><ul class="numbers">'
    counted = planfile.summary(plan)
    for name, label in (_DRIFT if drift else _PLAN).items():
        zero = "" if counted[name] else ' class="zero"'
        yield f"<li{zero}><b>{counted[name]:,}</b>{label}</li>"
    yield "</ul>"


def _gates(plan: Plan) -> Iterator[str]:
    """Who has to agree to what, and what nobody is asked about."""
    held = [
        (one, said)
        for one in plan.writes
        if one.gate.verdict is not Verdict.NONE and (said := words.gate(one))
    ]
    if held:
        yield '<section id="gates"><h2>Approvals</h2>'
        for one, said in held:
            yield _gate(said, f"<p><b>{text(one.address)}</b></p>")
        yield "</section>"


def _gate(said: Said, title: str = "") -> str:
    notes = "".join(f'<p class="place">{text(note)}</p>' for note in said.more)
    return (
        f'<div class="box {said.tone.value}">{title}'
        f"<p>{text(said.mark)} {text(said.text)}</p>{notes}</div>"
    )


def _findings(plan: Plan) -> Iterator[str]:
    found = account.findings(plan)
    if found:
        yield '<section id="findings"><h2>Findings</h2>'
        for one in found:
            yield f'<div class="box"><pre>{_lines(sentences.lines(one, color=False))}</pre></div>'
        yield "</section>"


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(map(text, lines))


def _changes(plan: Plan, *, drift: bool) -> Iterator[str]:
    """In the order of apply; a heading wherever the scope changes."""
    opened = " open" if len(plan.writes) <= _OPEN else ""
    for scope, group in groupby(plan.writes, key=lambda one: _scope(one.address)):
        yield f"<section><h2>{text(scope)}</h2>"
        for one in group:
            yield from _change(one, drift=drift, opened=opened)
        yield "</section>"


def _scope(address: Address) -> str:
    return " / ".join(address.parts[:-1] or address.parts)


def _change(one: Change, *, drift: bool, opened: str) -> Iterator[str]:
    said = None if drift else words.gate(one)
    sign = words.sign(one.action, drift=drift)
    note = f" {words.drifted(one.action)}" if drift else ""
    badge = ""
    if said is not None:
        short = text(said.text.partition(":")[0])
        badge = f'<span class="badge {said.tone.value}">{said.mark} {short}</span>'
    yield f'<details class="{one.action.value}"{opened}><summary><span class="sign">{sign}</span>'
    yield f"{text(one.address.kind)} {text(one.address.name)}{text(note)}{badge}</summary><div>"
    yield from _fields(one, drift=drift)
    if said is not None:
        yield _gate(said)
    for told in (who.whole(one), who.hold(one)) if drift else ():
        if told is not None:
            yield _gate(told)
    for warning in () if drift else one.warnings:
        lines = _lines(sentences.lines(warning, color=False))
        yield f'<div class="box loud"><pre>{lines}</pre></div>'
    about = (
        str(one.address),
        f"{one.source.file}:{one.source.line}" if one.source else "",
        f"id {one.live_id}" if one.live_id else "",
        f"after {', '.join(map(str, one.depends_on))}" if one.depends_on else "",
    )
    yield f'<p class="place">{" · ".join(text(part) for part in about if part)}</p>'
    yield "</div></details>"


def _fields(one: Change, *, drift: bool) -> Iterator[str]:
    if one.action is Action.CREATE:
        spec = {} if drift else {field.path: field.desired for field in one.fields}
        lines = "\n".join(f"<ins>{text(line)}</ins>" for line in values.block(spec, 90) if spec)
        yield f"<pre>{lines}</pre>"
    elif one.fields:
        left, right = ("files", "live") if drift else ("live", "files")
        last = "who" if any(field.attribution for field in one.fields) else "cause"
        yield f"<table><tr><th>field</th><th>{left}</th><th>{right}</th><th>{last}</th></tr>"
        yield from (_field(field, drift=drift) for field in one.fields)
        yield "</table>"


def _field(one: FieldChange, *, drift: bool) -> str:
    old, new = (one.desired, one.live) if drift else (one.live, one.desired)
    before, after = values.flow(old), values.flow(new)
    if max(len(before), len(after)) <= _ROOM:
        cells = f"<td><del>{text(before)}</del></td><td><ins>{text(after)}</ins></td>"
    else:
        pieces = values.difference(old, new, _ROOM).pieces
        lines = (f"<span{_SIGNS[sign]}>{sign or ' '} {text(line)}</span>" for sign, line in pieces)
        cells = f'<td colspan="2"><pre>{chr(10).join(lines)}</pre></td>'
    if drift and one.attribution is not None:
        return f"<tr><td>{text(one.path)}</td>{cells}{_who(one, one.attribution)}</tr>"
    known = "" if drift or one.cause is Cause.UNKNOWN else one.cause.value
    return f'<tr><td>{text(one.path)}</td>{cells}<td class="{known}">{known}</td></tr>'


def _who(one: FieldChange, found: Attribution) -> str:
    """The cell that says who did it."""
    said = who.said(found, one)
    tone = ' class="conflict"' if said.tone is Tone.LOUD else ""
    link = found.url or ""
    shown = f"{text(said.mark)} {text(said.text)}"
    if link.startswith(("https://", "http://")):
        shown += f' <a href="{text(link)}" rel="noreferrer">look</a>'
    return f"<td{tone}>{shown}</td>"


def _notices(plan: Plan) -> Iterator[str]:
    for notice in account.notices(plan):
        yield f"<details><summary>{text(notice.title)}</summary>"
        yield f"<div><pre>{_lines(notice.rows)}</pre></div></details>"
