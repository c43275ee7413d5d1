"""The page of a fleet: targets with filters, requests by expiry, drift by cause, and each target.

A section shows a target as its own page shows it. Details are loaded for one target at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from reconciler import __version__
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Address,
    Change,
    DriftCause,
    Finding,
    FleetMode,
    FleetReport,
    Outcome,
    Problem,
    Result,
    TargetDetails,
    WaitingRequest,
    format_time,
    shorten_commit,
)
from reconciler.render.html import page
from reconciler.render.html.components import load_environment, render_part
from reconciler.render.html.facets import make_query
from reconciler.render.shared import fleet as shared
from reconciler.render.shared import phrases
from reconciler.render.shared.fleet import LoadDetails, State, TargetView

_CHANGES: Final = 5_000  # of all targets together: about 5 MB
_LEAST: Final = 20  # changes of one target that are shown in any case
_FINDINGS: Final = 20  # of one target
_WHOLE: Final = "the report of the target in the folder of --out has all"
_COLORS: Final = {
    State.FAILED: "delete",
    State.REFUSED: "delete",
    State.INTERRUPTED: "delete",
    State.SKIPPED: "update",
    State.WAITING: "gated",
    State.CHANGES: "update",
    State.HELD: "create",
    State.CLEAN: "create",
}
_BADGES: Final = {
    State.FAILED: "stop",
    State.REFUSED: "stop",
    State.INTERRUPTED: "stop",
    State.SKIPPED: "loud",
    State.WAITING: "wait",
    State.CHANGES: "loud",
    State.HELD: "fine",
    State.CLEAN: "fine",
}


@dataclass(frozen=True, slots=True)
class StateTile:
    """How many targets are in a state, and the filter that shows them."""

    state: State
    color: str
    words: str
    number: int
    query: str


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target in the table; its section has the id `anchor`."""

    anchor: str
    view: TargetView
    words: str
    badge: str
    text: str  # beside the badge


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """What became of one change."""

    outcome: Outcome
    mark: str
    words: str
    approval: str


@dataclass(frozen=True, slots=True)
class TargetSection:
    """Everything about one target below its heading."""

    row: TargetRow
    problem: Problem | None
    outcomes: tuple[OutcomeRow, ...]
    findings: tuple[Finding, ...]
    more_findings: int
    status: Mapping[str, Any] | None
    plan: str  # as `plan.html` shows it; empty if there is none


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A change that waits, and where it is on the page."""

    request: WaitingRequest
    anchor: str
    expires: str
    what: str
    people: str
    page: str


@dataclass(frozen=True, slots=True)
class CauseRow:
    """An edit, and the targets in which somebody has made it."""

    cause: DriftCause
    text: str
    extent: str
    targets: tuple[tuple[str, str], ...]  # name and anchor


def render_fleet(report: FleetReport, load: LoadDetails) -> str:
    """Return the whole page."""
    style = page.read_asset("page.css") + page.read_asset("fleet.css")
    script = page.read_script("fleet.js")
    rows = tuple(_list_rows(report))
    anchors = {row.view.result.target: row.anchor for row in rows}
    return (
        load_environment()
        .get_template("fleet.html")
        .render(
            report=report,
            title=shared.describe_title(report),
            style=style,
            script=script,
            policy=page.make_policy(style, script),
            facts=tuple(_list_facts(report)),
            totals=shared.describe_requests(report),
            tiles=tuple(_list_tiles(report)),
            rows=rows,
            requests=tuple(_list_requests(report.waiting, anchors)),
            causes=tuple(_list_causes(report.causes, anchors)),
            sections=_draw_sections(report, rows, load),
            version=__version__,
        )
    )


def _list_facts(report: FleetReport) -> Iterator[str]:
    if report.commit:
        yield f"files of commit {shorten_commit(report.commit)}"
    if report.shard is not None:
        yield f"shard {report.shard.index} of {report.shard.count}"
    yield f"exit code {report.exit_code}"


def _list_tiles(report: FleetReport) -> Iterator[StateTile]:
    for state, number in shared.count_states(report):
        words = shared.describe_state(report.mode, state)
        query = make_query(state=state.value)
        yield StateTile(state, _COLORS[state], words, number, query)


def _list_rows(report: FleetReport) -> Iterator[TargetRow]:
    """Yield the targets, those that need attention first."""
    order = tuple(State)
    views = sorted(shared.list_views(report), key=lambda view: order.index(view.state))
    for number, view in enumerate(views, 1):
        words = shared.describe_state(report.mode, view.state)
        text = view.result.skipped_because or view.text
        yield TargetRow(f"t{number}", view, words, _BADGES[view.state], text)


def _list_requests(
    waiting: Sequence[WaitingRequest], anchors: Mapping[str, str]
) -> Iterator[RequestRow]:
    for request in waiting:
        yield RequestRow(
            request,
            anchors.get(request.target, ""),
            format_time(request.expires_at) if request.expires_at else "",
            shared.describe_request(request),
            shared.describe_waiting(request),
            shared.find_page(request),
        )


def _list_causes(causes: Sequence[DriftCause], anchors: Mapping[str, str]) -> Iterator[CauseRow]:
    for cause in causes:
        targets = tuple((name, anchors.get(name, "")) for name in cause.targets)
        yield CauseRow(cause, shared.describe_cause(cause), shared.count_resources(cause), targets)


def _draw_sections(
    report: FleetReport, rows: Sequence[TargetRow], load: LoadDetails
) -> Iterator[TargetSection]:
    """Yield a section per target; the report of each is forgotten once its section is drawn."""
    most = max(_LEAST, _CHANGES // max(1, len(rows)))
    for row in rows:
        details = load(row.view.result.target)
        yield TargetSection(
            row=row,
            problem=row.view.result.error,
            outcomes=tuple(_list_outcomes(details)),
            findings=details.findings[:_FINDINGS],
            more_findings=max(0, len(details.findings) - _FINDINGS),
            status=details.status,
            plan=_draw_plan(details, report.mode, row.anchor, most),
        )


def _draw_plan(details: TargetDetails, mode: FleetMode, anchor: str, most: int) -> str:
    """Return a plan as its own page shows it; nothing of a plan that says nothing."""
    plan = details.plan
    if plan is None:
        return ""
    printed = page.describe_plan(
        plan,
        drift=mode is FleetMode.DRIFT,
        prefix=f"{anchor}-",
        most=most,
        where_all_is=_WHOLE,
    )
    if not any(printed[name] for name in ("groups", "findings", "notices", "doubts", "people")):
        return ""
    return render_part("plan.html", printed)


def _list_outcomes(details: TargetDetails) -> Iterator[OutcomeRow]:
    """Yield what became of the changes; what needed none is not worth a row."""
    changes: dict[Address, Change] = {}
    if details.plan is not None:
        changes = {change.address: change for change in details.plan.changes}
    for outcome in details.outcomes:
        if outcome.result is Result.UNCHANGED and not outcome.attempts:
            continue
        mark, words = phrases.describe_outcome(outcome)
        approval = ""
        if outcome.result is Result.WAITING and outcome.problem is None:
            approval = phrases.describe_approval(outcome, changes.get(outcome.address))
        yield OutcomeRow(outcome, mark, words, approval)
