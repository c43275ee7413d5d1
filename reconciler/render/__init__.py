"""Values to text: one package or module per format, one escape function each. No decisions."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any, Final, Protocol, cast

from reconciler.model import Finding, FleetReport, Outcome, Payload, Plan, TargetDetails
from reconciler.render.shared import change_requests as shared_change_requests
from reconciler.render.shared import fleet as shared_fleet
from reconciler.render.shared import identities
from reconciler.render.shared.change_requests import People, RequestView, Roles
from reconciler.render.shared.fleet import LoadDetails
from reconciler.render.shared.identities import Initials
from reconciler.render.shared.options import RenderOptions

FORMATS: Final = ("text", "json", "markdown", "html")
_REPORTS: Final = (*FORMATS, "sarif")  # also of drift
_OUTCOMES: Final = ("text", "json", "markdown")
_TABLES: Final = ("text", "json")
_FINDINGS: Final = ("json", "github", "gitlab")  # code hosts by the name of their provider in `ci`


class _Format(Protocol):
    """What the modules of the formats offer, each as far as the tuples above say."""

    def plan(self, plan: Plan, options: RenderOptions) -> str: ...

    def drift(self, plan: Plan, options: RenderOptions) -> str: ...

    def outcomes(
        self, outcomes: Iterable[Outcome], plan: Plan, options: RenderOptions, *, stopped: bool
    ) -> str: ...

    def fleet(self, report: FleetReport, options: RenderOptions, load: LoadDetails) -> str: ...

    def change_requests(self, rows: list[Mapping[str, Any]], options: RenderOptions) -> str: ...

    def inbox(self, rows: list[Mapping[str, Any]], options: RenderOptions) -> str: ...

    def reminders(self, rows: list[Mapping[str, Any]], options: RenderOptions) -> str: ...

    def change_request(self, request: RequestView, options: RenderOptions) -> str: ...

    def activity(self, rows: list[Mapping[str, Any]], options: RenderOptions) -> str: ...

    def activity_filters(self, available: Payload, options: RenderOptions) -> str: ...

    def coverage(
        self, rows: list[Mapping[str, Any]], documents: Iterable[str], options: RenderOptions
    ) -> str: ...

    def listing(self, rows: list[Mapping[str, Any]], options: RenderOptions) -> str: ...

    def status(self, status: Mapping[str, Any], options: RenderOptions) -> str: ...

    def replay(self, document: Mapping[str, Any], options: RenderOptions) -> str: ...

    def findings(self, findings: Iterable[Finding]) -> str: ...


def plan(plan: Plan, *, format: str, options: RenderOptions | None = None, **fields: Any) -> str:
    """Return the plan in one of `FORMATS`; `fields` is short for `RenderOptions`.

    JSON is for programs, and always whole.
    """
    look, shown = options or RenderOptions(**fields), plan
    if format != "json":
        shown = _without_unrelated_drift(plan)
        if look.identities == identities.INITIALS:
            shown = Initials().mask_plan(shown)
    return _load(format, FORMATS).plan(shown, look)


def _without_unrelated_drift(plan: Plan) -> Plan:
    """Return the plan for the reader of a pull request: drift elsewhere is only a notice."""
    if not plan.unrelated_drift:
        return plan
    unrelated = frozenset(plan.unrelated_drift)
    shown = tuple(change for change in plan.changes if change.address not in unrelated)
    return replace(plan, changes=shown)


def drift(plan: Plan, *, format: str, options: RenderOptions | None = None, **fields: Any) -> str:
    """Return a plan that compares a commit with the live side, as a report of drift."""
    return _load(format, _REPORTS).drift(plan, options or RenderOptions(**fields))


def outcomes(
    outcomes: Iterable[Outcome], plan: Plan, *, format: str, stopped: bool = False, **fields: Any
) -> str:
    """Return what became of a plan. `stopped`: somebody interrupted the run."""
    module, look = _load(format, _OUTCOMES), RenderOptions(**fields)
    if format != "json" and look.identities == identities.INITIALS:
        initials = Initials()
        plan = initials.mask_plan(plan)
        outcomes = map(initials.mask_outcome, outcomes)
    return module.outcomes(outcomes, plan, look, stopped=stopped)


def fleet(
    report: FleetReport, load: LoadDetails, *, format: str, options: RenderOptions | None = None
) -> str:
    """Return what became of the targets of a fleet.

    Args:
        report: the results of the targets.
        load: returns the rest of the report of one target; only a page shows it.
        format: one of `FORMATS`.
        options: how to show it.

    """
    look = options or RenderOptions()
    if format == "json" or look.identities != identities.INITIALS:
        return _load(format, FORMATS).fleet(report, look, load)
    initials = Initials()  # the same for all targets: one person has one name on a page

    def load_masked(target: str) -> TargetDetails:
        details = load(target)
        plan = initials.mask_plan(details.plan) if details.plan is not None else None
        outcomes = tuple(map(initials.mask_outcome, details.outcomes))
        return replace(details, plan=plan, outcomes=outcomes)

    masked = shared_fleet.mask_people(report, initials)
    return _load(format, FORMATS).fleet(masked, look, load_masked)


def change_requests(rows: Iterable[Mapping[str, Any]], *, format: str, **fields: Any) -> str:
    """Return a table of `shared.change_requests.summarize` rows."""
    return _load(format, _TABLES).change_requests(list(rows), RenderOptions(**fields))


def inbox(rows: Iterable[Mapping[str, Any]], *, format: str, **fields: Any) -> str:
    """Return the requests that wait for one person: such rows with what they propose."""
    return _load(format, _TABLES).inbox(list(rows), RenderOptions(**fields))


def reminders(rows: Iterable[Mapping[str, Any]], *, format: str, **fields: Any) -> str:
    """Return the requests that expire soon: such rows with what became of the reminder."""
    return _load(format, _TABLES).reminders(list(rows), RenderOptions(**fields))


def coverage(
    rows: Iterable[Mapping[str, Any]], documents: Iterable[str], *, format: str, **fields: Any
) -> str:
    """Return which policies cover which flags.

    Args:
        rows: one per flag: address, owner, now, after, loses.
        documents: YAML of the policies that keep flags of experiments covered.
        format: text or json.
        fields: short for `RenderOptions`.

    """
    module = _load(format, _TABLES)
    return module.coverage(list(rows), documents, RenderOptions(**fields))


def listing(rows: Iterable[Mapping[str, Any]], *, format: str, **fields: Any) -> str:
    """Return resources, one per row: address, kind, source, live_id."""
    return _load(format, _TABLES).listing(list(rows), RenderOptions(**fields))


def status(status: Mapping[str, Any], *, format: str, **fields: Any) -> str:
    """Return the status of a target: base, commits since then, open change requests."""
    return _load(format, _TABLES).status(status, RenderOptions(**fields))


def replay(document: Mapping[str, Any], *, format: str, **fields: Any) -> str:
    """Return which past changes would have waited, as a document of interface section 13."""
    return _load(format, _TABLES).replay(document, RenderOptions(**fields))


def change_request(
    payload: Payload,
    *,
    people: People,
    roles: Roles,
    format: str,
    organization: str = "",
    project: str = "",
    base_url: str = "",
    **fields: Any,
) -> str:
    """Return everything about one change request.

    Args:
        payload: as the API sent it.
        people: emails by user id, as far as the caller could read them.
        roles: names, or names and members, by role id; as above.
        format: text or json.
        organization: slug of its organization.
        project: name of its project.
        base_url: the page of the project's change requests.
        fields: of `RenderOptions`.

    """
    row = shared_change_requests.summarize_request(
        payload, organization=organization, project=project, base_url=base_url
    )
    able = shared_change_requests.list_possible_approvers(payload, people=people, roles=roles)
    request = RequestView(payload, row, able)
    return _load(format, _TABLES).change_request(request, RenderOptions(**fields))


def activity(rows: Iterable[Mapping[str, Any]], *, format: str, **fields: Any) -> str:
    """Return entries of the activity log, as `shared.activity.row` makes them."""
    return _load(format, _TABLES).activity(list(rows), RenderOptions(**fields))


def activity_filters(available: Payload, *, format: str, **fields: Any) -> str:
    """Return the values by which the activity log can be filtered (contract 11.3)."""
    return _load(format, _TABLES).activity_filters(available, RenderOptions(**fields))


def findings(findings: Iterable[Finding], *, format: str) -> str:
    """Return findings for a program or a code host; "" if there is nothing to print."""
    return _load(format, _FINDINGS).findings(findings)


def _load(name: str, offered: tuple[str, ...]) -> _Format:
    """Import the module of one format, and no other: each has its own libraries."""
    if name not in offered:
        raise ValueError(f"no such format: {name!r}")
    return cast(_Format, import_module(f"reconciler.render.{name}"))
