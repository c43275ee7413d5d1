"""Copying a flag to other projects of its organization (contract 19)."""

from dataclasses import replace
from typing import Any

from reconciler.sandbox.api.feature_flag import render_flag
from reconciler.sandbox.protocol.errors import ApiError, NotModelled, invalid
from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.protocol.validators import (
    Field,
    check_boolean,
    check_integer,
    make_list_check,
    make_text_check,
    read_fields,
)
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.rules.products import flag_copies
from reconciler.sandbox.rules.products.flag_copies import FlagCopy
from reconciler.sandbox.store import people
from reconciler.sandbox.store.model import Flag, Project

_MOST_TARGETS = 50
_SOURCE_MISSING = {"error": "Feature flag to copy does not exist."}


def _check_targets(value: Any, name: str) -> list[int]:
    targets: list[int] = make_list_check(check_integer)(value, name)
    if not targets:
        raise invalid("This list may not be empty.", name, code="empty")
    if len(targets) > _MOST_TARGETS:
        detail = f"Ensure this field has no more than {_MOST_TARGETS} elements."
        raise invalid(detail, name, code="max_length")
    return targets


WRITABLE = (
    Field("feature_flag_key", make_text_check(), required=True),
    Field("from_project", check_integer, required=True),
    Field("target_project_ids", _check_targets, required=True),
    Field("copy_schedule", check_boolean),
    Field("disable_copied_flag", check_boolean),
    Field("copy_dependencies", check_boolean),
)


def copy_flags(call: Call) -> Response:
    """Copy a flag to other projects; each project succeeds or fails on its own."""
    values = read_fields(call.data, WRITABLE, partial=False)
    if values.get("copy_dependencies"):
        raise NotModelled
    source = _find_source(call, values["from_project"], values["feature_flag_key"])
    if source is None:
        return Response(400, _SOURCE_MISSING)
    body: dict[str, list[Any]] = {"success": [], "failed": []}
    for number in values["target_project_ids"]:
        row = _copy_to(call, source, number, values)
        body["failed" if "error_message" in row else "success"].append(row)
    return Response(200, body)


def _find_source(call: Call, number: int, key: str) -> Flag | None:
    project = _find_project(call, number)
    if project is None:
        return None
    return call.tx.find_first(Flag, project=project.id, key=key, deleted=False)


def _copy_to(call: Call, source: Flag, number: int, values: dict[str, Any]) -> dict[str, Any]:
    """Return the row of one project: the copied flag, or the reason of the failure."""
    project = _find_project(call, number)
    if project is None:
        return {"project_id": number, "error_message": "Project not found."}
    target = replace(call, in_project=project)
    disable = values.get("disable_copied_flag", False)
    try:
        with call.tx.savepoint():
            copied = flag_copies.copy_flag(target, source, disable=disable)
    except ApiError as error:
        return {"project_id": number, "error_message": error.detail}
    if copied.flag is None:
        return _describe_held(target, copied)
    if values.get("copy_schedule") and call.profile.schedules_changes and not copied.warnings:
        flag_copies.copy_schedules(target, source, copied.flag)
    row = {**render_flag(target, copied.flag), "team_id": project.id}
    return {**row, "flag_dependency_warnings": copied.warnings} if copied.warnings else row


def _describe_held(call: Call, copied: FlagCopy) -> dict[str, Any]:
    """Return the failure of a copy that waits for approval, or that policies refuse."""
    answer = copied.held.body if copied.held is not None else {}
    message = answer.get("message") or answer.get("error") or answer.get("detail")
    row = {"project_id": call.project.id, "error_message": message}
    if "change_request_id" not in answer or not call.profile.names_copy_requests:
        return row
    return {**row, "approval_pending": True, "change_request_id": answer["change_request_id"]}


def _find_project(call: Call, number: int) -> Project | None:
    """Return a project of the organization that the caller may enter."""
    project = call.tx.get(Project, number)
    if project is None or project.organization != call.organization.id:
        return None
    if call.membership is None or not people.can_enter(project, call.membership):
        return None
    return project


ROUTES = (
    Route(
        "POST",
        "/api/organizations/:organization/feature_flags/copy_flags",
        "feature_flags.copy_flags",
        copy_flags,
        "feature_flag:write",
        generations=frozenset({"g3", "g2", "docs"}),
    ),
)
