"""Copying a flag to other projects: ids in conditions are mapped by name (contract 19)."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import parse_id
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.rules import flag_filters, flags, gate
from reconciler.sandbox.rules.gated_changes import FlagWrite
from reconciler.sandbox.rules.products import scheduled_changes
from reconciler.sandbox.store.model import Cohort, Flag
from reconciler.sandbox.store.products import ScheduledChange

_COPIED = (
    *("name", "ensure_experience_continuity", "evaluation_runtime", "bucketing_identifier"),
    *("is_remote_configuration", "has_encrypted_payloads"),
)
_EVERYBODY = (
    "A condition group now has no remaining constraints and will match all users at its rollout"
    " percentage — review and re-gate it before re-enabling this flag."
)


@dataclass(frozen=True, slots=True)
class FlagCopy:
    """A copied flag, or what the gate answered instead."""

    flag: Flag | None = None
    held: Response | None = None
    warnings: list[str] = field(default_factory=list)


def copy_flag(call: Call, source: Flag, *, disable: bool) -> FlagCopy:
    """Copy a flag to the project of the call, onto a flag with the same key if there is one.

    Raises:
        ApiError: 400, the copy is invalid there.
    """
    filters = copy.deepcopy(source.filters)
    _map_cohorts(call, filters)
    warnings = _map_dependencies(call, source, filters)
    data = {
        "key": source.key,
        "filters": filters,
        "active": source.active and not disable and not warnings,
        "deleted": False,
        **{name: getattr(source, name) for name in _COPIED},
    }
    tx, project = call.tx, call.project
    existing = tx.find_first(Flag, project=project.id, key=source.key, deleted=False)
    values = flags.validate_write(
        tx, call.profile, project, data, flag=existing, partial=existing is not None
    )
    method = "PATCH" if existing is not None else "POST"
    held = gate.check_write(call, FlagWrite(existing, source.key, values, data, method=method))
    if held is not None:
        return FlagCopy(held=held)
    if existing is None:
        return FlagCopy(flags.create_flag(tx, call.actor, project, values), warnings=warnings)
    changed = flags.update_flag(tx, call.actor, project, flag=existing, values=values)
    return FlagCopy(changed, warnings=warnings)


def _map_cohorts(call: Call, filters: dict[str, Any]) -> None:
    """Refer to the cohorts with the same names; create those that are missing."""
    for item in _iter_conditions(filters, "cohort"):
        number = parse_id(str(item.get("value")))
        cohort = call.tx.get(Cohort, number) if number is not None else None
        if cohort is None or cohort.deleted or cohort.name is None:
            continue
        namesake = call.tx.find_first(
            Cohort, project=call.project.id, name=cohort.name, deleted=False
        ) or call.tx.insert(
            replace(
                cohort,
                id=call.tx.make_id(Cohort),
                project=call.project.id,
                created_at=call.tx.at,
                created_by=call.user.id,
            )
        )
        item["value"] = namesake.id


def _map_dependencies(call: Call, source: Flag, filters: dict[str, Any]) -> list[str]:
    """Refer to the active flags with the same keys; drop other dependencies, with a warning."""
    warnings: list[str] = []
    for group in filters.get("groups") or ():
        kept: list[Any] = []
        dropped = False
        for item in group.get("properties") or ():
            problem = _map_dependency(call, source, item) if item.get("type") == "flag" else None
            if problem is None:
                kept.append(item)
            else:
                dropped = True
                warnings.append(problem)
        if dropped:
            group["properties"] = kept
            warnings += [] if kept else [_EVERYBODY]
    return warnings


def _map_dependency(call: Call, source: Flag, item: dict[str, Any]) -> str | None:
    """Set the id of a dependency to that of the target project; return why there is none."""
    number = parse_id(str(item.get("key")))
    needed = call.tx.get(Flag, number) if number is not None else None
    if needed is None or needed.deleted or needed.project != source.project:
        return (
            f"Removed a flag dependency (source flag reference {item.get('key')}) because the"
            " dependency flag could not be resolved in the source project."
        )
    if not needed.active:
        return (
            f"Removed dependency on flag '{needed.key}' because that flag is disabled in the source"
            " project."
        )
    target = call.tx.find_first(Flag, project=call.project.id, key=needed.key, deleted=False)
    if target is None:
        return (
            f"Removed dependency on flag '{needed.key}' because no flag with that key exists in the"
            " target project."
        )
    if not target.active:
        return (
            f"Removed dependency on flag '{needed.key}' because that flag is disabled in the target"
            " project."
        )
    item["key"] = str(target.id)
    return None


def _iter_conditions(filters: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    return (item for item in flag_filters.iter_properties(filters) if item.get("type") == kind)


def copy_schedules(call: Call, source: Flag, flag: Flag) -> None:
    """Copy what is scheduled; what cannot get a request of its own is left out."""
    for change in call.tx.find_all(ScheduledChange, flag=source.id, executed_at=None):
        payload = copy.deepcopy(change.payload)
        gated = scheduled_changes.check_schedule(call, flag, payload)
        if gated.refusal is not None:
            continue
        call.tx.insert(
            replace(
                change,
                id=call.tx.make_id(ScheduledChange),
                project=call.project.id,
                flag=flag.id,
                payload=payload,
                created_at=call.tx.at,
                updated_at=call.tx.at,
                created_by=call.user.id,
                change_request=gated.change_request,
                failure_reason=None,
                failure_count=0,
                last_executed_at=None,
            )
        )
