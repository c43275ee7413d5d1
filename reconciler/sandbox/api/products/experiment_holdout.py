"""Experiment holdouts (contract 16)."""

from functools import partial
from typing import Any

from reconciler.sandbox.protocol.errors import invalid, not_found
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import (
    Field,
    make_text_check,
    parse_id,
    read_fields,
    require_storable,
)
from reconciler.sandbox.requests.call import Call, make_page, read_page
from reconciler.sandbox.requests.routes import make_newest_route
from reconciler.sandbox.rules.products import holdout_gate, holdouts
from reconciler.sandbox.rules.products.holdout_gate import HoldoutChange
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.products import Holdout
from reconciler.sandbox.store.transaction import Transaction

_LONGEST_NAME, _LONGEST_DESCRIPTION = 400, 400
_HUNDRED = 100


def _check_groups(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list) or not all(isinstance(group, dict) for group in value):
        raise invalid("Filters must be a list of objects.", name)
    if not value:
        raise invalid("Filters must not be empty.", name)
    for group in value:
        share = group.get("rollout_percentage")
        if share is None:
            raise invalid("Rollout percentage must be present.", name)
        number = isinstance(share, int | float) and not isinstance(share, bool)
        if not number or not 0 <= share <= _HUNDRED:
            raise invalid("Rollout percentage must be between 0 and 100.", name)
    require_storable(value, name)
    return value


WRITABLE = (
    Field("name", make_text_check(longest=_LONGEST_NAME), required=True),
    Field("description", make_text_check(longest=_LONGEST_DESCRIPTION, blank=True), nullable=True),
    Field("filters", _check_groups),
)


def list_holdouts(call: Call) -> Response:
    """List a project's holdouts, newest first."""
    envelope, page = read_page(call, Holdout, [("project = ?", (call.project.id,))])
    return make_page(envelope, [render_holdout(call.tx, holdout) for holdout in page])


def create_holdout(call: Call) -> Response:
    """Create a holdout; this is never gated."""
    sent = call.data
    if isinstance(sent, dict) and sent.get("filters") == []:
        sent = {name: value for name, value in sent.items() if name != "filters"}
    values = read_fields(sent, WRITABLE, partial=False)
    if "filters" not in values:
        raise invalid("Filters are required to create an holdout group")
    holdout = holdouts.create_holdout(call.tx, call.actor, call.project, values)
    return Response(201, render_holdout(call.tx, holdout))


def retrieve_holdout(call: Call) -> Response:
    """Return one holdout."""
    return Response(200, render_holdout(call.tx, _find_holdout(call)))


def update_holdout(call: Call) -> Response:
    """Change a holdout and the flags of its experiments, unless a policy requires approval."""
    holdout = _find_holdout(call)
    values = read_fields(call.data, WRITABLE, partial=call.incoming.method == "PATCH")
    held = holdout_gate.check_change(call, HoldoutChange(holdout, values))
    if held is not None:
        return held
    after = holdouts.update_holdout(
        call.tx, call.actor, call.project, holdout=holdout, values=values
    )
    return Response(200, render_holdout(call.tx, after))


def delete_holdout(call: Call) -> Response:
    """Delete a holdout, unless a policy requires approval."""
    holdout = _find_holdout(call)
    held = holdout_gate.check_change(call, HoldoutChange(holdout))
    if held is not None:
        return held
    holdouts.delete_holdout(call.tx, call.actor, call.project, holdout)
    return Response(204)


def _find_holdout(call: Call) -> Holdout:
    number = parse_id(call.params["id"])
    holdout = call.tx.get(Holdout, number) if number is not None else None
    if holdout is None or holdout.project != call.project.id:
        raise not_found()
    return holdout


def render_holdout(tx: Transaction, holdout: Holdout) -> dict[str, Any]:
    """Return a holdout as the API shows it."""
    return {
        "id": holdout.id,
        "name": holdout.name,
        "description": holdout.description,
        "filters": holdout.filters,
        "created_by": people.render_user(tx, holdout.created_by),
        "created_at": format_time(holdout.created_at),
        "updated_at": format_time(holdout.updated_at),
        "user_access_level": "editor",
    }


_make_route = partial(make_newest_route, resource="experiment_holdouts", scope="experiment_holdout")
_COLLECTION = "/api/projects/:project/experiment_holdouts"
_ITEM = f"{_COLLECTION}/:id"
ROUTES = (
    _make_route("GET", _COLLECTION, "list", list_holdouts),
    _make_route("POST", _COLLECTION, "create", create_holdout),
    _make_route("GET", _ITEM, "retrieve", retrieve_holdout),
    _make_route("PATCH", _ITEM, "update", update_holdout),
    _make_route("PUT", _ITEM, "update", update_holdout),
    _make_route("DELETE", _ITEM, "delete", delete_holdout),
)
