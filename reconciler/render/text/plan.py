"""A whole plan on the terminal: header, changes in the order of apply, notices, totals."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from reconciler.model import Change, Plan
from reconciler.model.units import format_time
from reconciler.render.shared import attribution, findings, phrases, summary
from reconciler.render.shared.options import RenderOptions, Zoom
from reconciler.render.shared.sanitize import count_columns, escape
from reconciler.render.text import resource_list
from reconciler.render.text.change import format_change
from reconciler.render.text.style import TextStyle
from reconciler.render.text.terminal import wrap

_LISTED: Final = 10  # of a long list, unless --verbose


def plan(plan: Plan, options: RenderOptions) -> str:
    """Return the plan for a person at a terminal: what, why, and who has to approve it."""
    look = _make_style(plan, options)
    zoom = options.near(len(plan.writes))
    if zoom is Zoom.TOTALS:
        return _format_totals_line(plan, look)
    shown = [change for change in plan.changes if change.is_shown]
    totals, ending = (
        summary.list_totals(plan),
        tuple(summary.describe_refusal(plan)),
    )  # the end is the last line
    parts = [
        "\n".join(_format_header(options.command, summary.describe_base(plan), plan, look)),
        *_format_changes(shown, zoom, look),
        *(resource_list.list_gates(plan, look) if zoom is Zoom.RESOURCES else ()),
        *_format_notices(plan, look),
        *_format_findings(plan, look),
        _format_totals(totals[: len(totals) - len(ending)], look),
    ]
    hint = _format_hint("\n".join(parts), zoom, look)
    last = (look.paint(sentence, "bold") for sentence in ending)
    return "\n".join(("\n\n".join(parts) + hint, *last))


def drift(plan: Plan, options: RenderOptions) -> str:
    """Return what differs from the files of a commit: left of the arrow the files, right live."""
    look = replace(_make_style(plan, options), drift=True)
    zoom = options.near(len(plan.writes))
    if zoom is Zoom.TOTALS:
        return _format_totals_line(plan, look)
    parts = [
        "\n".join(_format_header("drift", summary.describe_base(plan, drift=True), plan, look)),
        *_format_changes([change for change in plan.changes if change.is_shown], zoom, look),
        *_format_notices(plan, look),
        *_format_findings(plan, look),
        _format_totals(summary.list_totals(plan, drift=True), look),
    ]
    return "\n\n".join(parts) + _format_hint("\n".join(parts), zoom, look)


def _make_style(plan: Plan, options: RenderOptions) -> TextStyle:
    return TextStyle(
        options.color, options.width, options.verbose, links=plan.host if options.links else ""
    )


def _format_changes(changes: Sequence[Change], zoom: Zoom, look: TextStyle) -> Iterator[str]:
    if zoom is Zoom.RESOURCES:
        yield from resource_list.list_resources(changes, look)
    else:
        yield from ("\n".join(format_change(change, look)) for change in changes)


def _format_hint(shown: str, zoom: Zoom, look: TextStyle) -> str:
    """Return what was left out, and how to see it."""
    if look.verbose:
        return ""
    if zoom is Zoom.RESOURCES:
        hint = "One line a resource: --zoom fields shows what changes in each."
    elif "…" in shown:
        hint = "… shortened: --verbose shows more, --format json shows all"
    else:
        return ""
    return f"\n{look.paint(hint, 'dim')}"


def _format_totals_line(plan: Plan, look: TextStyle) -> str:
    """Return the totals, on one line whatever its length."""
    return look.paint(" ".join(summary.list_totals(plan, drift=look.drift)), "bold")


def _format_totals(sentences: Sequence[str], look: TextStyle) -> str:
    """Return the sentences on one line, or on as many as it takes."""
    first, *rest = sentences
    lines = [first]
    for sentence in rest:
        if count_columns(lines[-1]) + 1 + count_columns(sentence) <= look.width:
            lines[-1] += f" {sentence}"
        else:
            lines.append(sentence)
    return "\n".join(look.paint(line, "bold") for line in lines)


def _format_header(name: str, base: str, plan: Plan, look: TextStyle) -> Iterator[str]:
    host = f" ({escape(plan.host)})" if plan.host else ""
    yield f"{look.paint(f'reconciler {name}:', 'bold')} target {escape(plan.target)}{host}"
    if base:
        for line in wrap(escape(base), indent="", width=look.width, hang=""):
            yield look.paint(line, "dim")
    if look.verbose:
        creation = f"made {format_time(plan.created_at)}, " if plan.created_at else ""
        sent = phrases.count(plan.requests.reads, "request")
        yield look.paint(escape(f"{creation}{sent} sent; files {plan.desired_digest}"), "dim")


def _format_notices(plan: Plan, look: TextStyle) -> Iterator[str]:
    """Yield what is worth knowing and changes nothing, one paragraph each."""
    for notice in summary.list_notices(plan):
        if notice.quiet and not look.verbose:
            them = phrases.choose(len(notice.rows), "it", "them")
            yield look.paint(f"{notice.title}; --verbose lists {them}", "dim")
        else:
            yield _format_list(f"{notice.title}:", notice.rows, look)
    if look.drift and (advice := attribution.advise(plan)):
        yield look.paint(advice, "dim")
    for doubt in () if look.drift else summary.list_doubts(plan):
        lines = wrap(escape(" ".join(doubt)), indent="", width=look.width)
        yield "\n".join(look.paint(line, "dim") for line in lines)


def _format_list(title: str, rows: Iterable[str], look: TextStyle) -> str:
    every = list(rows)
    most = len(every) if look.verbose or len(every) <= _LISTED + 1 else _LISTED
    shown = [f"  {look.clip(escape(row))}" for row in every[:most]]
    if rest := len(every) - most:
        shown.append(look.paint(f"  … and {rest:,} more", "dim"))
    return "\n".join((title, *shown))


def _format_findings(plan: Plan, look: TextStyle) -> Iterator[str]:
    """Yield the worst last: nearest to where a person looks first."""
    for finding in reversed(summary.list_findings(plan)):
        yield "\n".join(findings.format_finding(finding, state="", paint=look.paint))
