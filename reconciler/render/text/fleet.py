"""The report of a fleet on the terminal: targets, requests by expiry, drift by cause, totals."""

from collections.abc import Iterator, Sequence
from typing import Final

from reconciler.model import (
    DriftCause,
    FleetMode,
    FleetReport,
    TargetResult,
    WaitingRequest,
    format_time,
)
from reconciler.render.shared import fleet as shared
from reconciler.render.shared.fleet import LoadDetails, State, TargetView
from reconciler.render.shared.options import RenderOptions, Zoom
from reconciler.render.shared.phrases import count
from reconciler.render.shared.sanitize import clip, count_columns, escape
from reconciler.render.text.terminal import paint, wrap

_STYLES: Final = {
    State.FAILED: "alarm",
    State.REFUSED: "alarm",
    State.INTERRUPTED: "alarm",
    State.SKIPPED: "yellow",
    State.WAITING: "cyan",
    State.CHANGES: "yellow",
    State.HELD: "green",
    State.CLEAN: "green",
}
_NAME: Final = 32  # columns of the names of targets
_SENTENCE: Final = 500  # columns of why and fix
_FOLDED: Final = 12  # so many clean targets are listed one by one
_LISTED: Final = 30  # requests and causes


def fleet(
    report: FleetReport,
    options: RenderOptions,
    load: LoadDetails,  # noqa: ARG001  a terminal has no space for them
) -> str:
    """Return targets, requests by expiry, drift by cause, and the totals."""
    if options.zoom is Zoom.TOTALS:
        return _format_totals(report, options)
    blocks = [
        [paint(escape(shared.describe_title(report)), "bold", on=options.color)],
        list(_format_targets(shared.list_views(report), report, options)),
        list(_format_waiting(report.waiting, options)),
        list(_format_causes(report.causes, options)),
        [_format_totals(report, options)],
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def format_ended(mode: FleetMode, result: TargetResult, *, color: bool) -> str:
    """Return the line of a target that has ended: its result, seconds and requests."""
    state, text = shared.classify(mode, result), shared.describe_result(mode, result)
    sent = result.requests.reads + result.requests.writes
    facts = (
        "" if result.exit_code is None else f" ({result.seconds:.1f} s, {count(sent, 'request')})"
    )
    mark = paint(shared.MARKS[state], _STYLES[state], on=color)
    return f"{mark} {escape(result.target)}: {clip(escape(text), _SENTENCE)}{facts}"


def _format_targets(
    views: Sequence[TargetView], report: FleetReport, options: RenderOptions
) -> Iterator[str]:
    """Yield a line per target; many clean ones take one line together."""
    clean = [view for view in views if view.state is State.CLEAN]
    is_folded = len(clean) > _FOLDED and not options.verbose
    shown = [view for view in views if not (is_folded and view.state is State.CLEAN)]
    column = min(_NAME, max((count_columns(view.result.target) for view in shown), default=0))
    advice: tuple[str, ...] = ()  # printed last; many targets can fail for one reason
    for view in shown:
        yield _format_target(view, column, options)
        problem = view.result.error
        if problem is not None and advice != (problem.why, problem.state, problem.fix):
            advice = (problem.why, problem.state, problem.fix)
            yield from _format_advice(advice, options)
    if is_folded:
        words = shared.describe_state(report.mode, State.CLEAN)
        line = f"✓ {count(len(clean), 'target')} {words} (-v lists them)"
        yield f"  {paint(line, _STYLES[State.CLEAN], on=options.color)}"


def _format_target(view: TargetView, column: int, options: RenderOptions) -> str:
    """Return the name of a target and what became of it, on one or more lines."""
    name = clip(escape(view.result.target), column)
    gap = " " * (column - count_columns(name))
    style = _STYLES[view.state]
    head = f"  {paint(view.mark, style, on=options.color)} {name}{gap}  "
    room = max(20, options.width - column - 6)
    first, *others = wrap(clip(escape(view.text), _SENTENCE), indent="", width=room, hang="")
    painted = paint(first, style if view.state is not State.CLEAN else "", on=options.color)
    return "\n".join((head + painted, *(f"{' ' * (column + 6)}{line}" for line in others)))


def _format_advice(sentences: tuple[str, ...], options: RenderOptions) -> Iterator[str]:
    """Yield why a target failed, the state, and the next step."""
    for label, text in zip(("why:  ", "state:", "fix:  "), sentences, strict=True):
        if text:
            shown = clip(escape(text), _SENTENCE)
            first, *others = wrap(shown, indent="", width=options.width - 13, hang="")
            yield f"      {paint(label, 'dim', on=options.color)} {first}"
            yield from (f"             {line}" for line in others)


def _format_waiting(waiting: Sequence[WaitingRequest], options: RenderOptions) -> Iterator[str]:
    """Yield what waits for whom, the first to expire first."""
    if not waiting:
        return
    yield paint(
        f"Waiting for approval ({len(waiting):,}), first to expire first", "bold", on=options.color
    )
    shown = waiting if options.verbose else waiting[:_LISTED]
    for request in shown:
        when = f"expires {format_time(request.expires_at)}" if request.expires_at else ""
        facts = [request.target, shared.describe_request(request), *filter(None, (when,))]
        address = paint(escape(str(request.address)), "cyan", on=options.color)
        yield f"  {address}"
        yield from wrap(escape(", ".join(facts)), indent="    ", width=options.width)
        yield from wrap(
            escape(shared.describe_waiting(request)), indent="    ", width=options.width
        )
    yield from _format_rest(len(waiting) - len(shown))


def _format_causes(causes: Sequence[DriftCause], options: RenderOptions) -> Iterator[str]:
    """Yield who changed what, and where: the same edit in many targets once."""
    if not causes:
        return
    yield paint(f"Drift by cause ({len(causes):,})", "bold", on=options.color)
    shown = causes if options.verbose else causes[:_LISTED]
    for cause in shown:
        text = clip(escape(shared.describe_cause(cause)), _SENTENCE)
        yield from wrap(text, indent="  ", width=options.width)
        yield from wrap(escape(shared.describe_extent(cause)), indent="    ", width=options.width)
    yield from _format_rest(len(causes) - len(shown))


def _format_rest(number: int) -> Iterator[str]:
    if number > 0:
        yield f"  … {number:,} more (-v lists them)"


def _format_totals(report: FleetReport, options: RenderOptions) -> str:
    worst = next(iter(shared.count_states(report)), (State.CLEAN, 0))[0]
    lines = wrap(shared.describe_totals(report), indent="", width=options.width)
    painted = [paint(line, _STYLES[worst], on=options.color) for line in lines]
    step = shared.describe_next_step(report)
    if step and options.zoom is not Zoom.TOTALS:
        painted += wrap(step, indent="", width=options.width)
    return "\n".join(painted)
