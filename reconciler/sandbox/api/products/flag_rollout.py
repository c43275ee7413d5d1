"""Changes of a rollout that name the version they were made for (contract 9.9)."""

from functools import partial
from typing import Any

from reconciler.sandbox.api.feature_flag import find_flag, refuse_deleted, render_flag
from reconciler.sandbox.protocol.errors import conflict, invalid
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import (
    Field,
    check_integer,
    make_text_check,
    read_fields,
)
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.requests.routes import make_newest_route
from reconciler.sandbox.rules import flags, gate
from reconciler.sandbox.rules.gated_changes import FlagWrite
from reconciler.sandbox.store.model import Flag

_FULL = 100
_EVERYBODY = {"properties": [], "rollout_percentage": _FULL}


def _check_index(value: Any, name: str) -> int:
    index = check_integer(value, name)
    if index < 0:
        detail = "Ensure this value is greater than or equal to 0."
        raise invalid(detail, name, code="min_value")
    return index


def _check_percentage(value: Any, name: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid("A valid number is required.", name)
    if value < 0:
        detail = "Ensure this value is greater than or equal to 0."
        raise invalid(detail, name, code="min_value")
    if value > _FULL:
        detail = "Ensure this value is less than or equal to 100."
        raise invalid(detail, name, code="max_value")
    return value


_VERSION = Field("version", check_integer, required=True, nullable=True)
CONDITION = (
    Field("condition_index", _check_index, required=True),
    Field("rollout_percentage", _check_percentage, required=True),
    _VERSION,
)
EVERYONE = (Field("variant_key", make_text_check(), nullable=True), _VERSION)


def set_condition_rollout(call: Call) -> Response:
    """Set the percentage of one condition set; gated like the PATCH."""
    flag = find_flag(call)
    values = read_fields(call.data, CONDITION, partial=False)
    if flag.deleted:
        return refuse_deleted("changing its rollout")
    _require_version(flag, values["version"])
    groups = list(flag.filters.get("groups") or ())
    index = values["condition_index"]
    if not groups:
        raise invalid("This flag has no release conditions.", "condition_index")
    if index >= len(groups):
        detail = f"This flag has no release condition {index}. It has {len(groups)}."
        raise invalid(detail, "condition_index")
    groups[index] = {**groups[index], "rollout_percentage": values["rollout_percentage"]}
    return _write_filters(call, flag, {**flag.filters, "groups": groups})


def roll_out_to_everyone(call: Call) -> Response:
    """Give a flag, or one of its variants, to everybody; gated like the PATCH."""
    flag = find_flag(call)
    values = read_fields(call.data, EVERYONE, partial=False)
    if flag.deleted:
        return refuse_deleted("rolling it out")
    _require_version(flag, values["version"])
    filters = flag.filters
    if filters.get("feature_enrollment"):
        detail = "This flag is controlled by early access enrollment, which comes before conditions"
        raise invalid(f"{detail}: a condition for everybody would not reach everybody.")
    filters = _give_variant(filters, values.get("variant_key"))
    groups = list(filters.get("groups") or ())
    if not groups or not _is_everybody(groups[0]):
        groups = [_EVERYBODY, *groups]
    return _write_filters(call, flag, {**filters, "groups": groups})


def _is_everybody(group: dict[str, Any]) -> bool:
    narrow = group.get("properties") or group.get("variant")
    return not narrow and group.get("rollout_percentage") == _FULL


def _give_variant(filters: dict[str, Any], key: str | None) -> dict[str, Any]:
    """Return filters in which one variant has the whole distribution."""
    multivariate = filters.get("multivariate") or {}
    variants = multivariate.get("variants") or []
    keys = [variant.get("key") for variant in variants]
    if not variants:
        if key is not None:
            raise invalid("This flag has no variants.", "variant_key")
        return filters
    if key is None:
        listed = ", ".join(keys)
        raise invalid(f"Name the variant that everybody gets: {listed}.", "variant_key")
    if key not in keys:
        raise invalid(f"This flag has no variant '{key}'.", "variant_key")
    shipped = [
        {**variant, "rollout_percentage": _FULL if variant.get("key") == key else 0}
        for variant in variants
    ]
    return {**filters, "multivariate": {**multivariate, "variants": shipped}}


def _require_version(flag: Flag, version: int | None) -> None:
    """Refuse a stale caller before the gate: nothing is filed.

    Raises:
        ApiError: 409 `conflict`.
    """
    if version != flag.version:
        raise conflict(
            f"The feature flag has changed since version {version}: it is at version"
            f" {flag.version}. Read it again, and repeat the change."
        )


def _write_filters(call: Call, flag: Flag, filters: dict[str, Any]) -> Response:
    """Write filters, with the keys that other saves drop; a repetition writes nothing."""
    if filters == flag.filters:
        return Response(200, render_flag(call, flag))
    data = {"filters": filters}
    values = flags.validate_write(
        call.tx, call.profile, call.project, data, flag=flag, partial=True, tidies=False
    )
    attempt = FlagWrite(flag, flag.key, values, data, tidies=False)
    held = gate.check_write(call, attempt)
    if held is not None:
        return held
    after = flags.update_flag(call.tx, call.actor, call.project, flag=flag, values=values)
    return Response(200, render_flag(call, after))


_make_route = partial(make_newest_route, resource="feature_flags", scope="feature_flag")
_ITEM = "/api/projects/:project/feature_flags/:id"
_NAMES = ("set_release_condition_rollout", "roll_out_to_everyone")
ROUTES = (
    _make_route("POST", f"{_ITEM}/{_NAMES[0]}", _NAMES[0], set_condition_rollout),
    _make_route("POST", f"{_ITEM}/{_NAMES[1]}", _NAMES[1], roll_out_to_everyone),
)
