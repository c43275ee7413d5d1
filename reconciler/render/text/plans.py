"""A whole plan on the terminal: header, changes in the order of apply, notices, totals."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from reconciler.model import Action, Change, Plan
from reconciler.render import account, who, words
from reconciler.render.text import lists, sentences
from reconciler.render.text.changes import change
from reconciler.render.text.look import Look
from reconciler.render.text.screen import escape, wrap
from reconciler.render.view import View, Zoom
from reconciler.render.visible import columns

_LISTED: Final = 10  # of a long list, unless --verbose


def plan(plan: Plan, view: View) -> str:
    """The plan for a person at a terminal: what, why, and who will have to approve it."""
    look = _look(plan, view)
    zoom = view.near(len(plan.writes))
    if zoom is Zoom.TOTALS:
        return _line(plan, look)
    shown = [one for one in plan.changes if _shown(one.action, one.warnings)]
    said, ending = account.totals(plan), tuple(account.ending(plan))  # the end is the last line
    parts = [
        "\n".join(_header("plan", account.base(plan), plan, look)),
        *_changes(shown, zoom, look),
        *(lists.gates(plan, look) if zoom is Zoom.RESOURCES else ()),
        *_notices(plan, look),
        *_findings(plan, look),
        _totals(said[: len(said) - len(ending)], look),
    ]
    hint = _hint("\n".join(parts), zoom, look)
    last = (look.paint(sentence, "bold") for sentence in ending)
    return "\n".join(("\n\n".join(parts) + hint, *last))


def drift(plan: Plan, view: View) -> str:
    """What differs from the files of a commit. Left of the arrow the files, right what is live."""
    look = replace(_look(plan, view), drift=True)
    zoom = view.near(len(plan.writes))
    if zoom is Zoom.TOTALS:
        return _line(plan, look)
    parts = [
        "\n".join(_header("drift", account.base(plan, drift=True), plan, look)),
        *_changes(plan.writes, zoom, look),
        *_notices(plan, look),
        *_findings(plan, look),
        _totals(account.totals(plan, drift=True), look),
    ]
    return "\n\n".join(parts) + _hint("\n".join(parts), zoom, look)


def _look(plan: Plan, view: View) -> Look:
    return Look(view.color, view.width, view.verbose, links=plan.host if view.links else "")


def _changes(changes: Sequence[Change], zoom: Zoom, look: Look) -> Iterator[str]:
    if zoom is Zoom.RESOURCES:
        yield from lists.resources(changes, look)
    else:
        yield from ("\n".join(change(one, look)) for one in changes)


def _hint(shown: str, zoom: Zoom, look: Look) -> str:
    """What was left out, and how to see it."""
    if look.verbose:
        return ""
    if zoom is Zoom.RESOURCES:
        hint = "One line a resource: --zoom fields shows what changes in each."
    elif "…" in shown:
        hint = "… shortened: --verbose shows more, --format json shows all"
    else:
        return ""
    return f"\n{look.paint(hint, 'dim')}"


def _line(plan: Plan, look: Look) -> str:
    """The totals, on one line whatever its length."""
    return look.paint(" ".join(account.totals(plan, drift=look.drift)), "bold")


def _totals(said: Sequence[str], look: Look) -> str:
    """The sentences on one line, or on as many as it takes."""
    first, *rest = said
    lines = [first]
    for sentence in rest:
        if columns(lines[-1]) + 1 + columns(sentence) <= look.width:
            lines[-1] += f" {sentence}"
        else:
            lines.append(sentence)
    return "\n".join(look.paint(line, "bold") for line in lines)


def _shown(action: Action, warnings: object) -> bool:
    return action is not Action.NONE or bool(warnings)


def _header(name: str, base: str, plan: Plan, look: Look) -> Iterator[str]:
    host = f" ({escape(plan.host)})" if plan.host else ""
    yield f"{look.paint(f'reconciler {name}:', 'bold')} target {escape(plan.target)}{host}"
    if base:
        yield look.paint(escape(base), "dim")
    if look.verbose:
        made = f"made {plan.created_at}, " if plan.created_at else ""
        sent = words.count(plan.requests.reads, "request")
        yield look.paint(escape(f"{made}{sent} sent; files {plan.desired_digest}"), "dim")


def _notices(plan: Plan, look: Look) -> Iterator[str]:
    """What is worth knowing and changes nothing, one paragraph each."""
    for notice in account.notices(plan):
        if notice.quiet and not look.verbose:
            yield look.paint(f"{notice.title} (--verbose lists them)", "dim")
        else:
            yield _list(f"{notice.title}:", notice.rows, look)
    if look.drift and (advice := who.advice(plan)):
        yield look.paint(advice, "dim")
    for note, number in () if look.drift else account.doubts(plan).items():
        verb = "is" if number == 1 else "are"
        text = f"{words.count(number, 'change')} {verb} taken to pass without approval, but {note}"
        lines = wrap(escape(text), indent="", width=look.width)
        yield "\n".join(look.paint(line, "dim") for line in lines)


def _list(title: str, rows: Iterable[str], look: Look) -> str:
    every = list(rows)
    most = len(every) if look.verbose or len(every) <= _LISTED + 1 else _LISTED
    shown = [f"  {look.clip(escape(row))}" for row in every[:most]]
    if rest := len(every) - most:
        shown.append(look.paint(f"  … and {rest:,} more", "dim"))
    return "\n".join((title, *shown))


def _findings(plan: Plan, look: Look) -> Iterator[str]:
    """Worst last: nearest to where a person looks first."""
    for one in reversed(account.findings(plan)):
        yield "\n".join(sentences.lines(one, color=look.color))
