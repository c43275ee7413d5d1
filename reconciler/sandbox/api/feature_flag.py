"""Feature flags (contract 9): routes, lists and the shape; the rules are in `flags`."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from reconciler.sandbox.protocol import validators
from reconciler.sandbox.protocol.errors import invalid, not_found
from reconciler.sandbox.protocol.messages import Answer
from reconciler.sandbox.requests.call import Call, page_answer, paged
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.rules import flag_filters, flags, gate
from reconciler.sandbox.store import clock, people
from reconciler.sandbox.store.clock import shown
from reconciler.sandbox.store.model import Cohort, Flag
from reconciler.sandbox.store.transaction import Clause, Transaction

_NEWEST = "created_at DESC, seq DESC"
_ORDERS = {
    name: f"{column} {way}, seq {way}"
    for column in ("key", "name", "created_at", "active")
    for name, way in ((column, "ASC"), (f"-{column}", "DESC"))
}
_HIDDEN = ("surveys", "product_tours")
_STALE_AFTER = timedelta(days=30)
_FULL = 100
_FOR_EXPERIMENTS = range(2, 21)  # variants
_HARD_DELETE = (
    'Hard delete of this model is not allowed. Use a patch API call to set "deleted" to true'
)


def list_flags(call: Call) -> Answer:
    """Live flags that are not archived, newest first."""
    clauses: list[Clause] = [
        ("project = ?", (call.project.id,)),
        ("deleted = 0", ()),
        ("archived = ?", ((call.query("archived") or "").lower() == "true",)),
        ("creation_context IS NOT ? AND creation_context IS NOT ?", _HIDDEN),
    ]
    tests = _column_filters(call, clauses) + _value_filters(call)
    keep = (lambda flag: all(test(flag) for test in tests)) if tests else None
    order = _ORDERS.get(call.query("order") or "", _NEWEST)
    envelope, found = paged(call, Flag, clauses, keep=keep, order=order)
    return page_answer(envelope, [shape(call, one) for one in found])


Test = Callable[[Flag], bool]


def _column_filters(call: Call, clauses: list[Clause]) -> list[Test]:
    """What SQL can say (contract 9.3)."""
    active = call.query("active")
    if active in ("true", "false"):
        clauses.append(("active = ?", (active == "true",)))
    if search := call.query("search"):
        clauses.append(("instr(lower(key || char(10) || name), ?)", (search.lower(),)))
    if key := call.query("key"):
        clauses.append(("lower(key) = ?", (key.lower(),)))
    if runtime := call.query("evaluation_runtime"):
        clauses.append(("evaluation_runtime = ?", (runtime,)))
    if author := call.query("created_by_id"):
        clauses.append(("created_by = ?", (validators.query_integer(author, "created_by_id"),)))
    if active == "STALE":
        return [lambda flag: status(flag, call.tx) == "STALE"]
    return []


def _value_filters(call: Call) -> list[Test]:
    """What takes a look into the flag."""
    tests: list[Test] = []
    if kind := call.query("type"):
        tests.append(lambda flag: _type(flag) == kind)
    if tags := _words(call, "tags"):
        tests.append(lambda flag: bool(tags & set(flag.tags)))
    if excluded := _words(call, "excluded_tags"):
        tests.append(lambda flag: not excluded & set(flag.tags))
    if contexts := call.query("has_evaluation_contexts"):
        wanted = contexts.lower() == "true"
        tests.append(lambda flag: bool(flag.evaluation_contexts) is wanted)
    if properties := _words(call, "excluded_properties"):
        tests.append(lambda flag: not properties & _property_keys(flag))
    return tests


def _words(call: Call, name: str) -> set[str]:
    text = call.query(name)
    if not text:
        return set()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid("Must be a JSON list.", name) from error
    if not isinstance(found, list):
        raise invalid("Must be a JSON list.", name)
    return {str(one) for one in found}


def _property_keys(flag: Flag) -> set[str]:
    return {str(one.get("key")) for one in flag_filters.properties(flag.filters)}


def _variants(flag: Flag) -> int:
    return len((flag.filters.get("multivariate") or {}).get("variants") or ())


def _type(flag: Flag) -> str:
    if flag.experiment_set:
        return "experiment"
    if flag.is_remote_configuration:
        return "remote_config"
    return "multivariant" if _variants(flag) else "boolean"


def create(call: Call) -> Answer:
    """A new flag, unless the gate holds it back."""
    values = flags.validated(
        call.tx, call.profile, call.project, call.data, flag=None, partial=False
    )
    attempt = gate.Attempt(None, values["key"], values, call.data, method="POST")
    held = gate.check(call, attempt)
    if held is not None:
        return held
    return Answer(201, shape(call, flags.create(call.tx, call.actor, call.project, values)))


def retrieve(call: Call) -> Answer:
    """One flag, deleted or not."""
    return Answer(200, shape(call, _of_path(call)))


def update(call: Call) -> Answer:
    """Change a flag, unless the gate holds it back."""
    flag, method = _of_path(call), call.incoming.method
    return _write(call, flag, call.data, method=method)


def _write(call: Call, flag: Flag, data: Any, *, method: str, tidies: bool = True) -> Answer:
    values = flags.validated(
        call.tx, call.profile, call.project, data, flag=flag, partial=method == "PATCH"
    )
    attempt = gate.Attempt(flag, flag.key, values, data, method=method, tidies=tidies)
    held = gate.check(call, attempt)
    if held is not None:
        return held
    kept = flags.settled(call.tx, call.profile, flag=flag, values=values, data=data)
    if tidies and call.profile.merges_filters:
        kept = flags.tidied(flag, kept)
    after = flags.update(call.tx, call.actor, call.project, flag=flag, values=kept)
    return Answer(200, shape(call, after))


def refuse_delete(call: Call) -> Answer:
    """405 with a JSON string: flags are deleted by PATCH (contract 9)."""
    _of_path(call)
    return Answer(405, _HARD_DELETE)


def enable(call: Call) -> Answer:
    """Switch a flag on; gated like the PATCH."""
    return _switch(call, {"active": True})


def disable(call: Call) -> Answer:
    """Switch a flag off; gated like the PATCH."""
    return _switch(call, {"active": False})


def archive(call: Call) -> Answer:
    """Archive a flag; an active one is switched off with it, which is gated."""
    change = {"archived": True}
    return _switch(call, {"active": False, **change} if _of_path(call).active else change)


def unarchive(call: Call) -> Answer:
    """Take a flag out of the archive."""
    return _switch(call, {"archived": False})


def _switch(call: Call, change: dict[str, Any]) -> Answer:
    flag = _of_path(call)
    if flag.deleted:
        raise invalid("This feature flag has been deleted.")
    if all(getattr(flag, name) == value for name, value in change.items()):
        return Answer(200, shape(call, flag))
    return _write(call, flag, change, method="PATCH", tidies=False)


def _of_path(call: Call) -> Flag:
    number = validators.as_id(call.params["id"])
    flag = call.tx.get(Flag, number) if number is not None else None
    if flag is None or flag.project != call.project.id:
        raise not_found()
    return flag


def status(flag: Flag, tx: Transaction) -> str:
    """`ACTIVE`, `INACTIVE`, `DELETED`, or `STALE`: on for everybody, or not asked for, a month."""
    if flag.deleted:
        return "DELETED"
    if not flag.active:
        return "INACTIVE"
    edge: str = tx.memo("stale", lambda: clock.stamp(tx.now - _STALE_AFTER))
    if flag.last_called_at is not None:
        return "STALE" if flag.last_called_at < edge else "ACTIVE"
    return "STALE" if flag.created_at < edge and _for_everybody(flag) else "ACTIVE"


def _for_everybody(flag: Flag) -> bool:
    return any(
        not group.get("properties") and group.get("rollout_percentage") in (None, _FULL)
        for group in flag.filters.get("groups") or ()
    )


def shape(call: Call, flag: Flag) -> dict[str, Any]:
    """A flag as the API shows it (contract 9.1)."""
    tx = call.tx
    shaped = {
        "id": flag.id,
        "name": flag.name,
        "key": flag.key,
        "filters": _shown_filters(call, flag),
        "deleted": flag.deleted,
        "active": flag.active,
        "archived": flag.archived,
        "created_by": people.basic(tx, flag.created_by),
        "created_at": shown(flag.created_at),
        "updated_at": shown(flag.updated_at),
        "version": flag.version,
        "last_modified_by": people.basic(tx, flag.last_modified_by),
        "ensure_experience_continuity": flag.ensure_experience_continuity,
        "experiment_set": flag.experiment_set,
        "experiment_set_metadata": flag.experiment_set_metadata,
        "surveys": flag.surveys,
        "features": flag.features,
        "can_edit": True,
        "tags": flag.tags,
        "evaluation_contexts": flag.evaluation_contexts,
        "usage_dashboard": flag.usage_dashboard,
        "analytics_dashboards": flag.analytics_dashboards,
        "has_enriched_analytics": flag.has_enriched_analytics,
        "user_access_level": "editor",
        "is_remote_configuration": flag.is_remote_configuration,
        "has_encrypted_payloads": flag.has_encrypted_payloads,
        "status": status(flag, tx),
        "evaluation_runtime": flag.evaluation_runtime,
        "bucketing_identifier": flag.bucketing_identifier,
        "last_called_at": shown(flag.last_called_at),
        "is_used_in_replay_settings": flag.is_used_in_replay_settings,
        "is_eligible_for_experiment": _variants(flag) in _FOR_EXPERIMENTS,
    }
    if not call.profile.has_archive:
        del shaped["archived"]
        shaped["evaluation_tags"] = shaped.pop("evaluation_contexts")
    return shaped


def _shown_filters(call: Call, flag: Flag) -> Any:
    """Filters with the display-only keys of a read, and secrets covered (contract 9.1, 9.2)."""
    filters = flag.filters
    if flag.has_encrypted_payloads:
        filters = flag_filters.redacted(filters)
    if not any(one.get("type") in ("cohort", "flag") for one in flag_filters.properties(filters)):
        return filters
    groups = [
        {
            **group,
            "properties": [_labelled(call, one) for one in group.get("properties") or ()],
        }
        for group in filters.get("groups") or ()
    ]
    return {**filters, "groups": groups}


def _labelled(call: Call, one: dict[str, Any]) -> dict[str, Any]:
    if one.get("type") == "cohort":
        number = validators.as_id(str(one.get("value")))
        cohort = call.tx.get(Cohort, number) if number is not None else None
        name = cohort.name if cohort else None
        return {**one, "cohort_name": name or f"Cohort {one.get('value')}"}
    if one.get("type") == "flag" and call.profile.merges_filters:
        number = validators.as_id(str(one.get("key")))
        other = call.tx.get(Flag, number) if number is not None else None
        return {**one, "label": other.key if other else None}
    return one


_MANY = "/api/projects/:project/feature_flags"
_ONE = f"{_MANY}/:id"
_READ, _WRITE = "feature_flag:read", "feature_flag:write"
_LATE = frozenset({"g2", "docs"})
ROUTES = (
    Route("GET", _MANY, "feature_flags.list", list_flags, _READ),
    Route("POST", _MANY, "feature_flags.create", create, _WRITE),
    Route("GET", _ONE, "feature_flags.retrieve", retrieve, _READ),
    Route("PATCH", _ONE, "feature_flags.update", update, _WRITE),
    Route("PUT", _ONE, "feature_flags.update", update, _WRITE),
    Route("DELETE", _ONE, "feature_flags.delete", refuse_delete, _WRITE),
    Route("POST", f"{_ONE}/enable", "feature_flags.enable", enable, _WRITE, generations=_LATE),
    Route("POST", f"{_ONE}/disable", "feature_flags.disable", disable, _WRITE, generations=_LATE),
    Route("POST", f"{_ONE}/archive", "feature_flags.archive", archive, _WRITE, generations=_LATE),
    Route(
        "POST", f"{_ONE}/unarchive", "feature_flags.unarchive", unarchive, _WRITE, generations=_LATE
    ),
)
