"""The report of a fleet as one comment: what needs attention first, then what there is room for."""

from collections.abc import Iterator, Sequence
from typing import Final

from reconciler.model import DriftCause, FleetMode, FleetReport, WaitingRequest, format_time
from reconciler.render.markdown.comment import format_changes
from reconciler.render.markdown.escape import escape_prose, escape_tag, format_code, format_code_tag
from reconciler.render.markdown.size_limit import CAP, list_fitting, measure, take_fitting
from reconciler.render.shared import fleet as shared
from reconciler.render.shared.fleet import LoadDetails, State, TargetView
from reconciler.render.shared.phrases import count

_SPARE: Final = 2_500  # for headings, counts, and where the whole is
_MOST: Final = 200  # rows of one list
_LEAST: Final = 400  # room below which a target has no changes
_REST: Final = 60  # room for the number of changes that are left out
_PLANNED: Final = frozenset({FleetMode.PLAN, FleetMode.DRIFT})
_DOTS: Final = {
    State.FAILED: "🔴",
    State.REFUSED: "🔴",
    State.INTERRUPTED: "🔴",
    State.SKIPPED: "⚪",
    State.WAITING: "🔵",
    State.CHANGES: "🟡",
    State.HELD: "🟢",
    State.CLEAN: "🟢",
}


def format_fleet(report: FleetReport, load: LoadDetails) -> str:
    """Return the comment: totals, problems, who has to approve, drift by cause, targets, changes.

    Each list takes a share of the room; what does not fit is counted.
    """
    views = shared.list_views(report)
    top = [
        f"### reconciler {escape_prose(shared.describe_title(report))}",
        f"**{escape_prose(shared.describe_totals(report))}**",
    ]
    room = CAP - _SPARE - sum(map(measure, top))
    for blocks in (
        _format_problems(views, room // 3),
        _format_waiting(report.waiting, room // 4),
        _format_causes(report.causes, room // 4),
    ):
        top += blocks
    room = CAP - _SPARE - sum(map(measure, top))
    table = list(_format_table(views, room // 2))
    room -= sum(map(measure, table))
    changes = _format_plans(views, report.mode, load, room)
    return "\n\n".join((*top, *table, *changes)) + "\n"


def _format_problems(views: Sequence[TargetView], room: int) -> Iterator[str]:
    """Yield the targets that failed or were refused, with the next step."""

    def draw(view: TargetView) -> str:
        problem = view.result.error
        head = f"- {_DOTS[view.state]} {format_code(view.result.target)}: {escape_prose(view.text)}"
        if problem is None:
            return head
        texts = {"why": problem.why, "state": problem.state, "fix": problem.fix}
        rows = (f"  - {label}: {escape_prose(text)}" for label, text in texts.items() if text)
        return "\n".join((head, *rows))

    failed = [view for view in views if view.result.error is not None]
    if failed:
        title = count(len(failed), "target") + " with errors"
        rows = list_fitting(failed, draw, room, _MOST)
        yield "\n".join((f"> [!CAUTION]\n> **{title}**", "", *rows))


def _format_waiting(waiting: Sequence[WaitingRequest], room: int) -> Iterator[str]:
    """Yield what waits for whom, the first to expire first."""

    def draw(request: WaitingRequest) -> str:
        page = shared.find_page(request)
        what = shared.describe_request(request)
        shown = f"[{escape_prose(what)}]({page})" if page else escape_prose(what)
        expiry = request.expires_at
        when = f", expires {escape_prose(format_time(expiry))}" if expiry else ""
        people = escape_prose(shared.describe_waiting(request))
        where = f"{format_code(request.target)} {format_code(str(request.address))}"
        return f"- ⏸ {where}: {shown}{when}; {people}"

    if waiting:
        yield "\n".join(
            ("#### Waiting for approval", "", *list_fitting(waiting, draw, room, _MOST))
        )


def _format_causes(causes: Sequence[DriftCause], room: int) -> Iterator[str]:
    """Yield who changed what, and where: the same edit in many targets once."""

    def draw(cause: DriftCause) -> str:
        text, extent = shared.describe_cause(cause), shared.describe_extent(cause)
        return f"- {escape_prose(text)}\n  - {escape_prose(extent)}"

    if causes:
        yield "\n".join(("#### Drift by cause", "", *list_fitting(causes, draw, room, _MOST)))


def _format_table(views: Sequence[TargetView], room: int) -> Iterator[str]:
    """Yield every target as a row of a table to unfold; those without a result to read last."""
    order = sorted(views, key=lambda view: view.state is State.CLEAN)
    rows = (
        f"| {_DOTS[view.state]} {_format_cell(view.result.target)} "
        f"| {escape_prose(view.text)} | {_format_code(view)} "
        f"| {view.result.requests.reads + view.result.requests.writes:,} "
        f"| {view.result.seconds:,.1f} s |"
        for view in order
    )
    kept = take_fitting(rows, room)
    more = len(views) - len(kept)
    if not kept:
        return
    head = "| target | result | exit code | requests | time |\n| --- | --- | --- | ---: | ---: |"
    title = f"<summary>{count(len(views), 'target')}</summary>"
    rest = f"\n\n… and {count(more, 'more target')}: a comment holds no more." if more else ""
    table = "\n".join((head, *kept))
    yield f"<details>{title}\n\n{table}{rest}\n\n</details>"


def _format_plans(
    views: Sequence[TargetView], mode: FleetMode, load: LoadDetails, room: int
) -> Iterator[str]:
    """Yield the changes of each target to unfold, as far as there is room for them."""
    left = [view for view in views if mode in _PLANNED and _has_changes(view)]
    drift = mode is FleetMode.DRIFT
    for number, view in enumerate(left):
        share = room // (len(left) - number)
        if share < _LEAST:
            more = count(len(left) - number, "more target")
            yield f"… and the changes of {more}: a comment holds no more."
            return
        plan = load(view.result.target).plan
        if plan is None or not plan.writes:
            continue
        name = format_code_tag(view.result.target)
        title = f"<details><summary>{name} {escape_tag(view.text)}</summary>"
        end = "</details>"
        space = share - measure(title) - measure(end) - _REST
        blocks, missing = format_changes(plan.writes, space, plan.host, drift=drift)
        rest = [f"… and {count(missing, 'more change')}"] if missing else []
        block = "\n\n".join((title, *blocks, *rest, end))
        room -= measure(block)
        yield block


def _has_changes(view: TargetView) -> bool:
    """Return whether the totals of a target count any change."""
    return any(view.result.summary.get(action) for action in ("create", "update", "delete"))


def _format_cell(name: str) -> str:
    """Return a name as code in a table, where a bar ends a cell even inside of code."""
    return format_code(name).replace("|", "\\|")


def _format_code(view: TargetView) -> str:
    code = view.result.exit_code
    return "-" if code is None else str(code)
