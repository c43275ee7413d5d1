"""Cohorts (contract 9.8): only listed, so that a client can find the id of a name."""

from typing import Any

from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import check_query_integer
from reconciler.sandbox.requests.call import Call, make_page, read_page
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import Cohort
from reconciler.sandbox.store.transaction import Clause


def list_cohorts(call: Call) -> Response:
    """Return live cohorts, newest first; `basic=true` leaves the criteria out."""
    clauses: list[Clause] = [("project = ?", (call.project.id,)), ("deleted = 0", ())]
    kind = call.get_query("type")
    if kind in ("static", "dynamic"):
        clauses.append(("is_static = ?", (kind == "static",)))
    if search := call.get_query("search"):
        clauses.append(("instr(lower(name), ?)", (search.lower(),)))
    if author := call.get_query("created_by_id"):
        clauses.append(("created_by = ?", (check_query_integer(author, "created_by_id"),)))
    basic = (call.get_query("basic") or "").lower() in ("true", "1")
    envelope, cohorts = read_page(call, Cohort, clauses)
    return make_page(envelope, [_render_cohort(call, cohort, basic=basic) for cohort in cohorts])


def _render_cohort(call: Call, cohort: Cohort, *, basic: bool) -> dict[str, Any]:
    rendered = {
        "id": cohort.id,
        "name": cohort.name,
        "description": cohort.description,
        "deleted": cohort.deleted,
        "is_calculating": False,
        "is_static": cohort.is_static,
        "count": cohort.count,
        "created_by": people.render_user(call.tx, cohort.created_by),
        "created_at": format_time(cohort.created_at),
    }
    return (
        rendered if basic else {**rendered, "filters": cohort.filters, "query": None, "groups": []}
    )


ROUTES = (
    Route(
        "GET",
        "/api/projects/:project/cohorts",
        "cohorts.list",
        list_cohorts,
        "cohort:read",
    ),
)
