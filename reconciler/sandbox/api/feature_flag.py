"""Feature flags (contract 9): routes, lists and rendering; the rules are in `rules.flags`."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from reconciler.sandbox.protocol.errors import invalid, not_found
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import check_query_integer, parse_id
from reconciler.sandbox.requests.call import Call, make_page, read_page
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.rules import flag_filters, flags, gate, gated_changes
from reconciler.sandbox.rules.products import access_rules, flag_owners
from reconciler.sandbox.store import clock, people
from reconciler.sandbox.store.clock import format_time
from reconciler.sandbox.store.model import Cohort, Flag
from reconciler.sandbox.store.transaction import Clause, Transaction

_NEWEST = "created_at DESC, seq DESC"
_ORDERS = {
    name: f"{column} {way}, seq {way}"
    for column in ("key", "name", "created_at", "active")
    for name, way in ((column, "ASC"), (f"-{column}", "DESC"))
}
_HIDDEN_CONTEXTS = ("surveys", "product_tours")
_STALE_AFTER = timedelta(days=30)
_FULL = 100
_NEVER = "9999"  # later than any time
_FOR_EXPERIMENTS = range(2, 21)  # variants
_HARD_DELETE = (
    'Hard delete of this model is not allowed. Use a patch API call to set "deleted" to true'
)


def list_flags(call: Call) -> Response:
    """List flags that are neither deleted nor archived, newest first."""
    clauses: list[Clause] = [
        ("project = ?", (call.project.id,)),
        ("deleted = 0", ()),
        ("archived = ?", ((call.get_query("archived") or "").lower() == "true",)),
        ("creation_context IS NOT ? AND creation_context IS NOT ?", _HIDDEN_CONTEXTS),
    ]
    tests = _parse_column_filters(call, clauses) + _parse_value_filters(call)
    keep = (lambda flag: all(test(flag) for test in tests)) if tests else None
    order = _ORDERS.get(call.get_query("order") or "", _NEWEST)
    envelope, page = read_page(call, Flag, clauses, keep=keep, order=order)
    response = make_page(envelope, [render_flag(call, flag) for flag in page])
    if keep is not None:  # what is on the page may depend on the time
        return response
    changes_at = filter(None, (_find_next_status(flag, call.tx) for flag in page))
    return replace(response, stable_until=min(changes_at, default=_NEVER))


FlagFilter = Callable[[Flag], bool]


def _parse_column_filters(call: Call, clauses: list[Clause]) -> list[FlagFilter]:
    """Add the filters that SQL can express; return the others (contract 9.3)."""
    active = call.get_query("active")
    if active in ("true", "false"):
        clauses.append(("active = ?", (active == "true",)))
    if search := call.get_query("search"):
        clauses.append(("instr(lower(key || char(10) || name), ?)", (search.lower(),)))
    if key := call.get_query("key"):
        clauses.append(("lower(key) = ?", (key.lower(),)))
    if runtime := call.get_query("evaluation_runtime"):
        clauses.append(("evaluation_runtime = ?", (runtime,)))
    if author := call.get_query("created_by_id"):
        clauses.append(("created_by = ?", (check_query_integer(author, "created_by_id"),)))
    if active == "STALE":
        return [lambda flag: find_status(flag, call.tx) == "STALE"]
    return []


def _parse_value_filters(call: Call) -> list[FlagFilter]:
    """Return the filters that look into the flag."""
    tests: list[FlagFilter] = []
    if kind := call.get_query("type"):
        tests.append(lambda flag: _find_type(call.tx, flag) == kind)
    if tags := _parse_list(call, "tags"):
        tests.append(lambda flag: bool(tags & set(flag.tags)))
    if excluded := _parse_list(call, "excluded_tags"):
        tests.append(lambda flag: not excluded & set(flag.tags))
    if contexts := call.get_query("has_evaluation_contexts"):
        wanted = contexts.lower() == "true"
        tests.append(lambda flag: bool(flag.evaluation_contexts) is wanted)
    if call.get_query("eligible_for_experiment") == "true":
        tests.append(lambda flag: _count_variants(flag) in _FOR_EXPERIMENTS)
    if properties := _parse_list(call, "excluded_properties"):
        tests.append(lambda flag: not properties & _list_property_keys(flag))
    return tests


def _parse_list(call: Call, name: str) -> set[str]:
    text = call.get_query(name)
    if not text:
        return set()
    try:
        words = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise invalid("Must be a JSON list.", name) from error
    if not isinstance(words, list):
        raise invalid("Must be a JSON list.", name)
    return {str(word) for word in words}


def _list_property_keys(flag: Flag) -> set[str]:
    return {str(item.get("key")) for item in flag_filters.iter_properties(flag.filters)}


def _count_variants(flag: Flag) -> int:
    return len((flag.filters.get("multivariate") or {}).get("variants") or ())


def _find_type(tx: Transaction, flag: Flag) -> str:
    if flag_owners.list_experiment_ids(tx, flag):
        return "experiment"
    if flag.is_remote_configuration:
        return "remote_config"
    return "multivariant" if _count_variants(flag) else "boolean"


def create_flag(call: Call) -> Response:
    """Create a flag, unless a policy requires approval."""
    access_rules.require_editor(call)
    values = flags.validate_write(
        call.tx,
        call.profile,
        call.project,
        call.data,
        flag=None,
        partial=False,
        applies_rules=True,
    )
    attempt = gated_changes.FlagWrite(None, values["key"], values, call.data, method="POST")
    held = gate.check_write(call, attempt)
    if held is not None:
        return held
    return Response(
        201, render_flag(call, flags.create_flag(call.tx, call.actor, call.project, values))
    )


def retrieve_flag(call: Call) -> Response:
    """Return one flag, deleted or not."""
    return Response(200, render_flag(call, find_flag(call)))


def update_flag(call: Call) -> Response:
    """Change a flag, unless a policy requires approval."""
    flag, method = find_flag(call), call.incoming.method
    return _write_flag(call, flag, call.data, method=method)


def _write_flag(call: Call, flag: Flag, data: Any, *, method: str, tidies: bool = True) -> Response:
    access_rules.require_editor(call, flag)
    values = flags.validate_write(
        call.tx,
        call.profile,
        call.project,
        data,
        flag=flag,
        partial=method == "PATCH",
        applies_rules=True,
    )
    attempt = gated_changes.FlagWrite(flag, flag.key, values, data, method=method, tidies=tidies)
    held = gate.check_write(call, attempt)
    if held is not None:
        return held
    kept = flags.resolve_concurrent_write(
        call.tx, call.profile, flag=flag, values=values, data=data
    )
    if tidies and call.profile.merges_filters:
        kept = flags.drop_legacy_filters(flag, kept)
    after = flags.update_flag(call.tx, call.actor, call.project, flag=flag, values=kept)
    return Response(200, render_flag(call, after))


def refuse_delete(call: Call) -> Response:
    """Refuse with 405 and a JSON string: flags are deleted by PATCH (contract 9)."""
    find_flag(call)
    return Response(405, _HARD_DELETE)


def enable_flag(call: Call) -> Response:
    """Enable a flag; gated like the PATCH."""
    return _switch_flag(call, {"active": True}, "enabling it")


def disable_flag(call: Call) -> Response:
    """Disable a flag; gated like the PATCH."""
    return _switch_flag(call, {"active": False}, "disabling it")


def archive_flag(call: Call) -> Response:
    """Archive a flag; an active one is also disabled, which is gated."""
    change = {"archived": True}
    if find_flag(call).active:
        change = {"active": False, **change}
    return _switch_flag(call, change, "archiving it")


def unarchive_flag(call: Call) -> Response:
    """Take a flag out of the archive."""
    return _switch_flag(call, {"archived": False}, "unarchiving it")


def refuse_deleted(what: str) -> Response:
    """Refuse an action on a deleted flag, with a bare body (contract 1.3)."""
    detail = f"This feature flag has been deleted. Restore it before {what}."
    return Response(400, {"success": False, "error": detail})


def _switch_flag(call: Call, change: dict[str, Any], what: str) -> Response:
    flag = find_flag(call)
    if flag.deleted:
        return refuse_deleted(what)
    if all(getattr(flag, name) == value for name, value in change.items()):
        return Response(200, render_flag(call, flag))
    return _write_flag(call, flag, change, method="PATCH", tidies=False)


def find_flag(call: Call) -> Flag:
    """Return the flag of the path; 404 if the project has none with that id."""
    number = parse_id(call.params["id"])
    flag = call.tx.get(Flag, number) if number is not None else None
    if flag is None or flag.project != call.project.id:
        raise not_found()
    return flag


def find_status(flag: Flag, tx: Transaction) -> str:
    """Return `ACTIVE`, `INACTIVE`, `DELETED`, or `STALE`: unused, or on for all, for a month."""
    if flag.deleted:
        return "DELETED"
    if not flag.active:
        return "INACTIVE"
    edge: str = tx.memoize("stale", lambda: clock.format_stored(tx.now - _STALE_AFTER))
    if flag.last_called_at is not None:
        return "STALE" if flag.last_called_at < edge else "ACTIVE"
    return "STALE" if flag.created_at < edge and _is_for_everybody(flag) else "ACTIVE"


def _find_next_status(flag: Flag, tx: Transaction) -> str:
    """Return the time at which a flag becomes stale by itself; empty if it does not."""
    if find_status(flag, tx) != "ACTIVE":
        return ""
    since = flag.last_called_at
    if since is None:
        if not _is_for_everybody(flag):
            return ""
        since = flag.created_at
    return clock.format_stored(clock.parse_stored(since) + _STALE_AFTER)


def _is_for_everybody(flag: Flag) -> bool:
    return any(
        not group.get("properties") and group.get("rollout_percentage") in (None, _FULL)
        for group in flag.filters.get("groups") or ()
    )


def render_flag(call: Call, flag: Flag) -> dict[str, Any]:
    """Return a flag as the API shows it (contract 9.1)."""
    tx, member = call.tx, call.membership
    may_edit = member is not None and people.may_edit_object(
        tx, call.project, member, "feature_flag", flag
    )
    rendered = {
        "id": flag.id,
        "name": flag.name,
        "key": flag.key,
        "filters": _render_filters(call, flag),
        "deleted": flag.deleted,
        "active": flag.active,
        "archived": flag.archived,
        "created_by": people.render_user(tx, flag.created_by),
        "created_at": format_time(flag.created_at),
        "updated_at": format_time(flag.updated_at),
        "version": flag.version,
        "last_modified_by": people.render_user(tx, flag.last_modified_by),
        "ensure_experience_continuity": flag.ensure_experience_continuity,
        "experiment_set": flag_owners.list_experiment_ids(tx, flag),
        "experiment_set_metadata": flag_owners.list_experiment_metadata(tx, flag),
        "surveys": flag_owners.list_surveys(tx, flag),
        "features": flag_owners.list_features(tx, flag),
        "can_edit": may_edit,
        "tags": flag.tags,
        "evaluation_contexts": flag.evaluation_contexts,
        "usage_dashboard": flag.usage_dashboard,
        "analytics_dashboards": flag.analytics_dashboards,
        "has_enriched_analytics": flag.has_enriched_analytics,
        "user_access_level": "editor" if may_edit else "viewer",
        "is_remote_configuration": flag.is_remote_configuration,
        "has_encrypted_payloads": flag.has_encrypted_payloads,
        "status": find_status(flag, tx),
        "evaluation_runtime": flag.evaluation_runtime,
        "bucketing_identifier": flag.bucketing_identifier,
        "last_called_at": format_time(flag.last_called_at),
        "is_used_in_replay_settings": flag_owners.is_used_by_replay(tx, flag),
    }
    if call.profile.has_later_fields:
        rendered["is_eligible_for_experiment"] = _count_variants(flag) in _FOR_EXPERIMENTS
    if call.profile.has_rollbacks:
        rendered |= {"rollback_conditions": None, "performed_rollback": False}
    if not call.profile.has_archive:
        del rendered["archived"]
        rendered["evaluation_tags"] = rendered.pop("evaluation_contexts")
    return rendered


def _render_filters(call: Call, flag: Flag) -> Any:
    """Return filters with display-only keys; payloads are decrypted for keys only (9.1, 9.2)."""
    filters = flag.filters
    if flag.has_encrypted_payloads and call.fault_effect.session is not None:
        filters = flag_filters.redact_payloads(filters)
    if not any(
        item.get("type") in ("cohort", "flag") for item in flag_filters.iter_properties(filters)
    ):
        return filters
    groups = [
        {
            **group,
            "properties": [_label_property(call, item) for item in group.get("properties") or ()],
        }
        for group in filters.get("groups") or ()
    ]
    return {**filters, "groups": groups}


def _label_property(call: Call, item: dict[str, Any]) -> dict[str, Any]:
    if item.get("type") == "cohort":
        number = parse_id(str(item.get("value")))
        cohort = call.tx.get(Cohort, number) if number is not None else None
        name = cohort.name if cohort else None
        return {**item, "cohort_name": name or f"Cohort {item.get('value')}"}
    if item.get("type") == "flag" and call.profile.merges_filters:
        number = parse_id(str(item.get("key")))
        other = call.tx.get(Flag, number) if number is not None else None
        return {**item, "label": other.key if other else None}
    return item


_COLLECTION = "/api/projects/:project/feature_flags"
_ITEM = f"{_COLLECTION}/:id"
_READ, _WRITE = "feature_flag:read", "feature_flag:write"
_SINCE_G2 = frozenset({"g3", "g2", "docs"})
ROUTES = (
    Route("GET", _COLLECTION, "feature_flags.list", list_flags, _READ),
    Route("POST", _COLLECTION, "feature_flags.create", create_flag, _WRITE),
    Route("GET", _ITEM, "feature_flags.retrieve", retrieve_flag, _READ),
    Route("PATCH", _ITEM, "feature_flags.update", update_flag, _WRITE),
    Route("PUT", _ITEM, "feature_flags.update", update_flag, _WRITE),
    Route("DELETE", _ITEM, "feature_flags.delete", refuse_delete, _WRITE),
    Route(
        "POST",
        f"{_ITEM}/enable",
        "feature_flags.enable",
        enable_flag,
        _WRITE,
        generations=_SINCE_G2,
    ),
    Route(
        "POST",
        f"{_ITEM}/disable",
        "feature_flags.disable",
        disable_flag,
        _WRITE,
        generations=_SINCE_G2,
    ),
    Route(
        "POST",
        f"{_ITEM}/archive",
        "feature_flags.archive",
        archive_flag,
        _WRITE,
        generations=_SINCE_G2,
    ),
    Route(
        "POST",
        f"{_ITEM}/unarchive",
        "feature_flags.unarchive",
        unarchive_flag,
        _WRITE,
        generations=_SINCE_G2,
    ),
)
