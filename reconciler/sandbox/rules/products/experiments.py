"""Experiments: what they write to the flag that they own (contract 17)."""

from collections.abc import Mapping
from typing import Any

from reconciler.sandbox.protocol.errors import invalid
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.rules import flags, gate
from reconciler.sandbox.rules.gated_changes import FlagWrite
from reconciler.sandbox.rules.products import flag_owners
from reconciler.sandbox.store.model import Flag
from reconciler.sandbox.store.products import Experiment, Holdout

_VARIANTS = range(2, 21)
_FULL = 100
_SPLIT = [
    {"key": "control", "name": "Control Group", "rollout_percentage": 50},
    {"key": "test", "name": "Test Variant", "rollout_percentage": 50},
]


def prepare_flag(
    call: Call, key: str, filters: Mapping[str, Any] | None, holdout: Holdout | None
) -> Flag | Response:
    """Return the flag of a new experiment, created if the key is new; or what the gate answers.

    Raises:
        ApiError: 400, the flag does not fit or belongs to another product.
    """
    flag = call.tx.find_first(Flag, project=call.project.id, key=key, deleted=False)
    if flag is None:
        return _create_flag(call, key, filters, holdout)
    if filters is not None:
        raise invalid("The flag exists already: leave its configuration out.", "feature_flag")
    _require_free_flag(call, flag)
    if holdout is None:
        return flag
    return write_flag(call, flag, {"filters": {"holdout": make_block(holdout)}}) or flag


def _require_free_flag(call: Call, flag: Flag) -> None:
    variants = (flag.filters.get("multivariate") or {}).get("variants") or ()
    if len(variants) not in _VARIANTS:
        detail = "Feature flag must have between 2 and 20 variants to be used in an experiment."
        raise invalid(detail, "feature_flag_key")
    if flag_owners.find_owner(call.tx, flag) not in (None, flag_owners.EXPERIMENT):
        raise invalid("This feature flag belongs to another product.", "feature_flag_key")


def _create_flag(
    call: Call, key: str, filters: Mapping[str, Any] | None, holdout: Holdout | None
) -> Flag | Response:
    complete: dict[str, Any] = {
        "groups": [{"properties": [], "rollout_percentage": _FULL}],
        "multivariate": {"variants": _SPLIT},
        **(filters or {}),
    }
    if holdout is not None:
        complete["holdout"] = make_block(holdout)
    data = {"key": key, "active": False, "filters": complete}
    values = flags.validate_write(
        call.tx, call.profile, call.project, data, flag=None, partial=False
    )
    held = gate.check_write(call, FlagWrite(None, key, values, data, method="POST"))
    if held is not None:
        return held
    return flags.create_flag(call.tx, call.actor, call.project, values)


def make_block(holdout: Holdout) -> dict[str, Any]:
    """Return a holdout as the filters of a flag name it."""
    return {"id": holdout.id, "exclusion_percentage": holdout.exclusion}


def write_flag(call: Call, flag: Flag, data: Mapping[str, Any]) -> Response | None:
    """Write the flag of an experiment; return what the gate answers if it holds the write back."""
    values = flags.validate_write(
        call.tx, call.profile, call.project, dict(data), flag=flag, partial=True
    )
    method = call.incoming.method
    held = gate.check_write(
        call, FlagWrite(flag, flag.key, values, data, method=method, tidies=False)
    )
    if held is not None:
        return held
    flags.update_flag(call.tx, call.actor, call.project, flag=flag, values=values)
    return None


def make_shipped_filters(flag: Flag, variant: str) -> dict[str, Any]:
    """Return filters that give one variant to everybody.

    Raises:
        ApiError: 400, the flag has no such variant.
    """
    multivariate = flag.filters.get("multivariate") or {}
    variants = multivariate.get("variants") or ()
    if variant not in {known.get("key") for known in variants}:
        raise invalid(f"Variant '{variant}' does not exist.", "variant_key")
    shipped = [
        {**known, "rollout_percentage": _FULL if known.get("key") == variant else 0}
        for known in variants
    ]
    everybody = {"properties": [], "rollout_percentage": _FULL}
    return {
        "groups": [everybody, *(flag.filters.get("groups") or ())],
        "multivariate": {**multivariate, "variants": shipped},
    }


def find_status(experiment: Experiment, flag: Flag | None) -> str:
    """Return the state of an experiment, which partly follows from its flag."""
    if experiment.start_date is None:
        return "draft"
    if experiment.end_date is not None:
        return "stopped"
    return "running" if flag is not None and flag.active else "paused"
