"""Experiments, as far as they own flags (contract 17): no metrics, no results."""

from dataclasses import replace
from functools import partial
from typing import Any

from reconciler.sandbox.api.products.experiment_holdout import render_holdout
from reconciler.sandbox.api.products.scheduled_change import check_time
from reconciler.sandbox.protocol.errors import invalid, not_found, required
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import (
    Field,
    check_boolean,
    check_integer,
    check_object,
    make_choice_check,
    make_text_check,
    parse_id,
    read_fields,
)
from reconciler.sandbox.requests.call import Call, make_page, read_page
from reconciler.sandbox.requests.routes import make_newest_route
from reconciler.sandbox.rules.products import experiments
from reconciler.sandbox.store import people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import Flag
from reconciler.sandbox.store.products import Experiment, Holdout
from reconciler.sandbox.store.transaction import Clause

_LONGEST_NAME, _LONGEST_TEXT, _LONGEST_COMMENT = 400, 3000, 4000
_CONCLUSIONS = ("won", "lost", "inconclusive", "stopped_early", "invalid")


WRITABLE = (
    Field("name", make_text_check(longest=_LONGEST_NAME), required=True),
    Field("description", make_text_check(longest=_LONGEST_TEXT, blank=True)),
    Field("feature_flag_key", make_text_check(), required=True),
    Field("feature_flag", check_object, nullable=True),
    Field("update_feature_flag_params", check_boolean),
    Field("parameters", check_object, nullable=True),
    Field("holdout_id", check_integer, nullable=True),
    Field("archived", check_boolean),
    Field("deleted", check_boolean),
    Field("start_date", check_time, nullable=True),
    Field("end_date", check_time, nullable=True),
    Field("conclusion", make_choice_check(*_CONCLUSIONS), nullable=True),
    Field("conclusion_comment", make_text_check(longest=_LONGEST_COMMENT, blank=True)),
)
_STORED = (
    *("name", "description", "archived", "deleted", "start_date", "end_date", "conclusion"),
    "conclusion_comment",
)


def list_experiments(call: Call) -> Response:
    """List live experiments, newest first."""
    archived = (call.get_query("archived") or "").lower() == "true"
    clauses: list[Clause] = [
        ("project = ?", (call.project.id,)),
        ("deleted = 0", ()),
        ("archived = ?", (archived,)),
    ]
    if search := call.get_query("search"):
        clauses.append(("instr(lower(name), ?)", (search.lower(),)))
    envelope, page = read_page(call, Experiment, clauses)
    return make_page(envelope, [_render_experiment(call, experiment) for experiment in page])


def create_experiment(call: Call) -> Response:
    """Create an experiment and, if its key is new, its flag; the flag may need approval."""
    values = read_fields(call.data, WRITABLE, partial=False)
    holdout = _find_holdout(call, values.get("holdout_id"))
    key = values["feature_flag_key"]
    if call.tx.find_first(Flag, project=call.project.id, key=key, deleted=False) is not None:
        values.pop("parameters", None)  # they are for a flag that is created
    filters = _read_flag_filters(values) or None
    flag = experiments.prepare_flag(call, key, filters, holdout)
    if isinstance(flag, Response):
        return flag
    experiment = call.tx.insert(
        Experiment(
            id=call.tx.make_id(Experiment),
            project=call.project.id,
            flag=flag.id,
            holdout=holdout.id if holdout else None,
            created_at=call.tx.at,
            updated_at=call.tx.at,
            created_by=call.user.id,
            **{name: values[name] for name in _STORED if name in values},
        )
    )
    return Response(201, _render_experiment(call, experiment))


def retrieve_experiment(call: Call) -> Response:
    """Return one experiment."""
    return Response(200, _render_experiment(call, _find_experiment(call)))


def update_experiment(call: Call) -> Response:
    """Change an experiment; what concerns its flag may need approval."""
    experiment = _find_experiment(call)
    values = read_fields(call.data, WRITABLE, partial=True)
    changes = {name: values[name] for name in _STORED if name in values}
    flag_change = _read_flag_filters(values)
    if _repeats_variants(call, experiment, flag_change):
        flag_change = {}
    if flag_change and experiment.start_date and not values.get("update_feature_flag_params"):
        raise invalid("The flag of a running experiment is not changed.", "feature_flag")
    if "holdout_id" in values:
        holdout = _find_holdout(call, values["holdout_id"])
        changes["holdout"] = holdout.id if holdout else None
        flag_change["holdout"] = experiments.make_block(holdout) if holdout else None
    data: dict[str, Any] = {"filters": flag_change} if flag_change else {}
    return _change_experiment(call, experiment, data, changes)


def _read_flag_filters(values: dict[str, Any]) -> dict[str, Any]:
    """Return the filters of the flag that a body names, also under the older `parameters`."""
    filters: dict[str, Any] = dict((values.get("feature_flag") or {}).get("filters") or {})
    variants = (values.get("parameters") or {}).get("feature_flag_variants")
    return {"multivariate": {"variants": variants}, **filters} if variants else filters


def _repeats_variants(call: Call, experiment: Experiment, filters: dict[str, Any]) -> bool:
    """Return whether filters only repeat the variants of the flag, as an editor sends them."""
    flag = call.tx.require(Flag, experiment.flag)
    return filters == {"multivariate": flag.filters.get("multivariate")}


def launch_experiment(call: Call) -> Response:
    """Start a draft: its flag is enabled, unless a policy requires approval."""
    experiment = _require_status(call, "draft")
    return _change_experiment(call, experiment, {"active": True}, {"start_date": call.tx.at})


def pause_experiment(call: Call) -> Response:
    """Disable the flag of a running experiment, unless a policy requires approval."""
    return _change_experiment(call, _require_status(call, "running"), {"active": False}, {})


def resume_experiment(call: Call) -> Response:
    """Enable the flag of a paused experiment, unless a policy requires approval."""
    return _change_experiment(call, _require_status(call, "paused"), {"active": True}, {})


def end_experiment(call: Call) -> Response:
    """End an experiment; its flag keeps serving."""
    experiment = _require_status(call, "running", "paused")
    return _change_experiment(call, experiment, {}, {"end_date": call.tx.at})


def ship_variant(call: Call) -> Response:
    """Give one variant to everybody and end the experiment, unless a policy requires approval."""
    experiment = _require_status(call, "running", "paused", "stopped")
    variant = call.data.get("variant_key") if isinstance(call.data, dict) else None
    if not isinstance(variant, str):
        raise required("variant_key")
    flag = call.tx.require(Flag, experiment.flag)
    data = {"filters": experiments.make_shipped_filters(flag, variant)}
    end = experiment.end_date or call.tx.at
    return _change_experiment(call, experiment, data, {"end_date": end})


def _change_experiment(
    call: Call, experiment: Experiment, flag_change: dict[str, Any], changes: dict[str, Any]
) -> Response:
    """Write the flag first; if the gate holds it back, the experiment does not change either."""
    flag = call.tx.require(Flag, experiment.flag)
    if flag_change and any(
        name == "filters" or getattr(flag, name) != value for name, value in flag_change.items()
    ):
        held = experiments.write_flag(call, flag, flag_change)
        if held is not None:
            return held
    after = call.tx.update(replace(experiment, **changes, updated_at=call.tx.at))
    return Response(200, _render_experiment(call, after))


def _require_status(call: Call, *allowed: str) -> Experiment:
    experiment = _find_experiment(call)
    status = experiments.find_status(experiment, call.tx.get(Flag, experiment.flag))
    if status not in allowed:
        raise invalid(f"An experiment that is {status} does not allow this.")
    return experiment


def _find_experiment(call: Call) -> Experiment:
    number = parse_id(call.params["id"])
    experiment = call.tx.get(Experiment, number) if number is not None else None
    if experiment is None or experiment.project != call.project.id:
        raise not_found()
    return experiment


def _find_holdout(call: Call, number: int | None) -> Holdout | None:
    if number is None:
        return None
    holdout = call.tx.get(Holdout, number)
    if holdout is None or holdout.project != call.project.id:
        detail = f'Invalid pk "{number}" - object does not exist.'
        raise invalid(detail, "holdout_id", code="does_not_exist")
    return holdout


def _render_experiment(call: Call, experiment: Experiment) -> dict[str, Any]:
    tx = call.tx
    flag = tx.get(Flag, experiment.flag)
    holdout = tx.get(Holdout, experiment.holdout) if experiment.holdout is not None else None
    return {
        "id": experiment.id,
        "name": experiment.name,
        "description": experiment.description,
        "start_date": format_time(experiment.start_date),
        "end_date": format_time(experiment.end_date),
        "feature_flag_key": flag.key if flag else None,
        "feature_flag": _render_flag(flag) if flag else None,
        "holdout": render_holdout(tx, holdout) if holdout else None,
        "holdout_id": experiment.holdout,
        "archived": experiment.archived,
        "deleted": experiment.deleted,
        "conclusion": experiment.conclusion,
        "conclusion_comment": experiment.conclusion_comment,
        "status": experiments.find_status(experiment, flag),
        "created_by": people.render_user(tx, experiment.created_by),
        "created_at": format_time(experiment.created_at),
        "updated_at": format_time(experiment.updated_at),
        "user_access_level": "editor",
    }


def _render_flag(flag: Flag) -> dict[str, Any]:
    shown = ("id", "key", "name", "filters", "active", "deleted", "version")
    return {name: getattr(flag, name) for name in shown}


_make_route = partial(make_newest_route, resource="experiments", scope="experiment")
_COLLECTION = "/api/projects/:project/experiments"
_ITEM = f"{_COLLECTION}/:id"
ROUTES = (
    _make_route("GET", _COLLECTION, "list", list_experiments),
    _make_route("POST", _COLLECTION, "create", create_experiment),
    _make_route("GET", _ITEM, "retrieve", retrieve_experiment),
    _make_route("PATCH", _ITEM, "update", update_experiment),
    _make_route("POST", f"{_ITEM}/launch", "launch", launch_experiment),
    _make_route("POST", f"{_ITEM}/pause", "pause", pause_experiment),
    _make_route("POST", f"{_ITEM}/resume", "resume", resume_experiment),
    _make_route("POST", f"{_ITEM}/end", "end", end_experiment),
    _make_route("POST", f"{_ITEM}/ship_variant", "ship_variant", ship_variant),
)
