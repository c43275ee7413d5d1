"""Build what an expression sees: the rows of a plan, its summary, and those of tests."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

from reconciler.model import Action, Address, Cause, Change, Plan, RuleTest, parse_time
from reconciler.planfile import codec

_DEFAULT_NOW: Final = "2026-01-01T00:00:00Z"  # of tests: a Thursday
_ORDER: Final = (Cause.CONFLICT, Cause.INTENT, Cause.DRIFT)
_EXAMPLE: Final = Address("FeatureFlag", ("organization", "project", "flag"))


def build_row(change: Change) -> dict[str, Any]:
    """Return `change`: the row of the plan's document, the cause as a whole, and the whole spec.

    `spec` is what the files declare, also where nothing changes; empty for a delete. A list that is
    new or gets longer is one field, so a rule about its items is complete only with it.
    """
    is_kept = change.desired is not None and change.action is not Action.DELETE
    spec = codec.make_plain(change.desired.spec) if change.desired and is_kept else {}
    return {**codec.encode_change(change), "cause": str(find_cause(change)), "spec": spec}


def find_cause(change: Change) -> Cause:
    """Return why a change is planned: the strongest cause of its fields.

    A delete has no fields: the files intend it, except for what --prune deletes.
    """
    causes = {field.cause for field in change.fields}
    if not causes and change.action is Action.DELETE and not change.pruned:
        return Cause.INTENT
    return next((cause for cause in _ORDER if cause in causes), Cause.UNKNOWN)


def build_plan_document(plan: Plan) -> dict[str, Any]:
    """Return `plan`: the summary and the target, as in the plan's document."""
    return {
        "summary": codec.summarize(plan),
        "target": {"name": plan.target, "host": plan.host},
    }


def build_test_row(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a test, with the usual value of each key that is not written."""
    usual = build_row(Change(_EXAMPLE, Action.UPDATE)) | {"cause": str(Cause.INTENT)}
    row = _fill(usual, written)
    if "kind" not in written and "address" in written:
        row["kind"] = str(written["address"]).partition("/")[0]
    if "address" not in written:
        row["address"] = f"{row['kind']}/{'/'.join(_EXAMPLE.parts)}"
    row["fields"] = [
        {"base": None, "live": None, "desired": None, "cause": row["cause"], **field}
        if isinstance(field, Mapping)
        else field
        for field in row["fields"]
    ]
    if "cause" not in written and (causes := _list_causes(row["fields"])):
        row["cause"] = next((str(cause) for cause in _ORDER if cause in causes), "unknown")
    return row


def build_test_plan(test: RuleTest) -> dict[str, Any]:
    """Return `plan` of a test, with the usual value of each key that is not written."""
    return _fill(build_plan_document(Plan(())), test.plan)


def read_test_time(test: RuleTest) -> str:
    """Return `now` of a test as ISO 8601 with a zone."""
    moment = parse_time(test.now or _DEFAULT_NOW)
    return moment.astimezone(UTC).isoformat() if moment is not None else _DEFAULT_NOW


def _list_causes(fields: list[Any]) -> set[Any]:
    return {field.get("cause") for field in fields if isinstance(field, Mapping)}


def _fill(usual: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with the written values over the usual ones, mappings key by key."""
    filled = dict(usual)
    for name, value in written.items():
        below = usual.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and name != "roles":
            filled[name] = _fill(below, value)
        else:
            filled[name] = value
    return filled
