"""The changes: a tree to find them by, and each resource before and after."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.model import Action, Address, Cause, Change, Plan, Verdict, root
from reconciler.render.html import filters
from reconciler.render.html.components import box, link, link_after, text, tone
from reconciler.render.html.fields import fields
from reconciler.render.html.findings import card
from reconciler.render.shared import attribution, phrases

MOST: Final = 20_000  # changes of one page: about 20 MB
_UNFOLDED: Final = 12  # so many changes are shown unfolded
_OPEN: Final = 300  # groups of a page with so many changes are open


@dataclass(frozen=True, slots=True)
class _Group:
    """Changes of one kind in one place."""

    number: int
    scope: tuple[str, ...]  # organization, and project if there is one
    kind: str
    steps: tuple[tuple[int, Change], ...]  # each with its place in the order of apply


@dataclass(frozen=True, slots=True)
class _Around:
    """What every change is drawn with, found out once."""

    drift: bool
    host: str
    pages: Mapping[str, str | None]  # of change requests, by id
    opened: str  # the attribute of what is shown unfolded


def numbers(plan: Plan) -> Mapping[Address, int]:
    """The place of each change in the order of apply: `c7` is what a link to it names."""
    return {one.address: number for number, one in enumerate(plan.writes[:MOST], 1)}


def to(address: Address, numbered: Mapping[Address, int]) -> str:
    """An address that leads to its change, if there is one."""
    shown = f"<code>{text(address)}</code>"
    return f'<a href="#c{numbered[address]}">{shown}</a>' if address in numbered else shown


def section(plan: Plan, *, drift: bool) -> Iterator[str]:
    """All of them, by organization, project and kind."""
    groups = _groups(plan)
    yield f'<section id="changes"><h2>{"Drift" if drift else "Changes"}</h2>'
    if not groups:
        said = "Everything is as the files declare it." if drift else "There is nothing to do."
        yield f'<p class="clean">{said}</p></section>'
        return
    if (rest := len(plan.writes) - MOST) > 0:
        yield (
            f'<p class="doubt">{phrases.count(rest, "more change")} of later steps would make this '
            "page too large: narrow it with --select, or see the JSON.</p>"
        )
    yield from filters.bar(plan.writes[:MOST], drift=drift)
    yield f'<div class="columns"><nav aria-label="Changes by place">{"".join(_tree(groups))}</nav>'
    yield "<div>"
    every = sum(len(group.steps) for group in groups)
    opened = " open" if every <= _OPEN else ""
    pages = {asked.id: asked.url for asked in plan.change_requests}
    around = _Around(drift, plan.host, pages, " open" if every <= _UNFOLDED else "")
    before: tuple[str, ...] = ()
    for group in groups:
        if group.scope != before:
            yield f"<h3>{text(' / '.join(group.scope))}</h3>"
            before = group.scope
        yield f'<details class="group" id="g{group.number}"{opened}><summary>{text(group.kind)} '
        yield f'<span class="number">{len(group.steps):,}</span></summary>'
        for number, one in group.steps:
            yield from _change(one, number, around)
        yield "</details>"
    yield "</div></div></section>"


def _groups(plan: Plan) -> tuple[_Group, ...]:
    """Organizations, their projects and kinds, in the order in which apply comes to them."""
    found: dict[str, dict[tuple[str, ...], dict[str, list[tuple[int, Change]]]]] = {}
    for number, one in enumerate(plan.writes[:MOST], 1):
        scope = one.address.parts[:-1] or one.address.parts
        kinds = found.setdefault(one.address.organization, {}).setdefault(scope, {})
        kinds.setdefault(one.address.kind, []).append((number, one))
    made: list[_Group] = []
    for scopes in found.values():
        for scope in sorted(scopes, key=len):  # what belongs to no project first
            for kind, steps in scopes[scope].items():
                made.append(_Group(len(made) + 1, scope, kind, tuple(steps)))
    return tuple(made)


def _tree(groups: Iterable[_Group]) -> Iterator[str]:
    """Where to find what: organization, project, kind."""
    before: tuple[str, ...] = ()
    for group in groups:
        if group.scope[:1] != before[:1]:
            yield f'<p class="outer">{text(group.scope[0])}</p>'
        if group.scope != before and len(group.scope) > 1:
            yield f'<p class="inner">{text(group.scope[1])}</p>'
        before = group.scope
        yield f'<a href="#g{group.number}">{text(group.kind)} '
        yield f'<span class="number">{len(group.steps):,}</span></a>'


def _change(one: Change, number: int, around: _Around) -> Iterator[str]:
    drift = around.drift
    sign = phrases.sign(one.action, drift=drift)
    kind = {"+": "create", "-": "delete"}.get(sign, "update")
    yield (
        f'<details class="c {kind}" id="c{number}" {filters.attributes(one, drift=drift)}'
        f'{around.opened}><summary><span class="sign">{sign}</span> '
        f'<span class="name">{text(one.address.name)}</span> '
        f'<span class="moves">{text(_moves(one, drift=drift))}</span>'
        f'<span class="badges">{"".join(_badges(one, drift=drift))}</span></summary><div>'
    )
    yield from fields(one, around.host, drift=drift)
    yield from _said(one, around)
    yield f'<p class="about">{" · ".join(_about(one, number, around))}</p>'
    yield "</div></details>"


def _moves(one: Change, *, drift: bool) -> str:
    """Which fields move, for a row that is folded."""
    if one.action is Action.UPDATE:
        return ", ".join(dict.fromkeys(root(field.path) for field in one.fields))
    return phrases.drifted(one.action) if drift else ""


def _badges(one: Change, *, drift: bool) -> Iterator[str]:
    """What is worth knowing before it is unfolded."""
    if drift:
        if one.hold is not None:
            yield '<i class="badge wait">held</i>'
        return
    for cause in (Cause.DRIFT, Cause.CONFLICT):
        if any(field.cause is cause for field in one.fields):
            yield f'<i class="badge {cause.value}">{cause.value}</i>'
    said = phrases.gate(one)
    if said is not None:
        doubt = one.gate.verdict is Verdict.NONE
        name = "may wait" if doubt else filters.GATES[one.gate.verdict]
        yield f'<i class="badge {tone(said.tone)}">{name}</i>'
    if one.warnings:
        yield f'<i class="badge loud">{phrases.count(len(one.warnings), "warning")}</i>'


def _said(one: Change, around: _Around) -> Iterator[str]:
    """What its gate does, what to watch out for; for drift, who did it."""
    if around.drift:
        yield from map(box, attribution.about(one))
        return
    said = phrases.gate(one)
    if said is not None:
        url = around.pages.get(one.gate.change_request or "")
        yield box(said, more=link_after("open the request", url, around.host))
    yield from map(card, one.warnings)


def _about(one: Change, number: int, around: _Around) -> Iterator[str]:
    """Its address and place; its id and what goes before it."""
    yield link(f"<code>{text(one.address)}</code>", one.url, around.host)
    if one.source is not None:
        yield f'<span class="place">{text(f"{one.source.file}:{one.source.line}")}</span>'
    if one.live_id:
        yield text(f"id {one.live_id}")
    if around.drift:
        return
    yield f"step {number:,}"
    if after := (*one.depends_on, *one.late):
        yield text(f"after {', '.join(map(str, after))}")
