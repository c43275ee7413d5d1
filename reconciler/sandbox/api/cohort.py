"""Cohorts (contract 9.8): listed, so that a name can be turned into an id. Nothing else."""

from typing import Any

from reconciler.sandbox.protocol import validators
from reconciler.sandbox.protocol.messages import Answer
from reconciler.sandbox.requests.call import Call, page_answer, paged
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import shown
from reconciler.sandbox.store.model import Cohort
from reconciler.sandbox.store.transaction import Clause


def list_cohorts(call: Call) -> Answer:
    """Return live cohorts, newest first; `basic=true` leaves the criteria out."""
    clauses: list[Clause] = [("project = ?", (call.project.id,)), ("deleted = 0", ())]
    kind = call.query("type")
    if kind in ("static", "dynamic"):
        clauses.append(("is_static = ?", (kind == "static",)))
    if search := call.query("search"):
        clauses.append(("instr(lower(name), ?)", (search.lower(),)))
    if author := call.query("created_by_id"):
        clauses.append(("created_by = ?", (validators.query_integer(author, "created_by_id"),)))
    basic = (call.query("basic") or "").lower() in ("true", "1")
    envelope, found = paged(call, Cohort, clauses)
    return page_answer(envelope, [_shape(call, one, basic=basic) for one in found])


def _shape(call: Call, cohort: Cohort, *, basic: bool) -> dict[str, Any]:
    shaped = {
        "id": cohort.id,
        "name": cohort.name,
        "description": cohort.description,
        "deleted": cohort.deleted,
        "is_calculating": False,
        "is_static": cohort.is_static,
        "count": cohort.count,
        "created_by": people.basic(call.tx, cohort.created_by),
        "created_at": shown(cohort.created_at),
    }
    return shaped if basic else {**shaped, "filters": cohort.filters, "query": None, "groups": []}


ROUTES = (
    Route(
        "GET",
        "/api/projects/:project/cohorts",
        "cohorts.list",
        list_cohorts,
        "cohort:read",
    ),
)
