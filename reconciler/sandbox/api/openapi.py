"""The emulated API as an OpenAPI 3.1 document, generated from the routes that are served."""

import re
from typing import Any

from reconciler.sandbox.api.openapi_bodies import ACTION_BODIES, BODIES, QUERIES
from reconciler.sandbox.api.openapi_schemas import (
    COMPONENTS,
    make_page_schema,
    make_reference,
)
from reconciler.sandbox.protocol.openapi_types import Schema
from reconciler.sandbox.requests.routes import Route, RouteTable
from reconciler.sandbox.store.generation import Profile

_PARAMETER = re.compile(r":(\w+)")
_KINDS = {
    "users": "Me",
    "personal_api_keys": "Key",
    "organizations": "Organization",
    "domains": "Domain",
    "projects": "Project",
    "members": "Member",
    "roles": "Role",
    "role_memberships": "RoleMembership",
    "approval_policies": "ApprovalPolicy",
    "change_requests": "ChangeRequest",
    "feature_flags": "FeatureFlag",
    "cohorts": "Cohort",
    "experiments": "Experiment",
    "experiment_holdouts": "ExperimentHoldout",
    "scheduled_changes": "ScheduledChange",
    "activity_logs": "LogEntry",
    "access_controls": "AccessRule",
    "access_settings": "StoredAccessRule",
}
_DECISIONS = {"approve", "reject", "cancel"}
_GATED = {
    *("create", "update", "enable", "disable", "archive"),
    *("launch", "pause", "resume", "ship_variant"),
    *("set_release_condition_rollout", "roll_out_to_everyone"),
}
_BARE_ERRORS = {"unarchive", "copy_flags"}  # beside those of gated actions
_GATED_RESOURCES = {"feature_flags", "experiments", "experiment_holdouts", "scheduled_changes"}
_OWN_ANSWERS = {
    "copy_flags": "CopiedFlags",
    "available_filters": "LogFilters",
    "project": "AccessRules",
    "resources": "AccessRules",
    "object": "AccessRules",
    "defaults": "AccessDefaults",
    "roles": "RoleAccess",
    "members": "MemberAccess",
    "accept": "AccessResolution",
}
_GATE_ERRORS = ("Conflict", "Error")
_ERRORS = {
    "400": "refused",
    "401": "no valid key",
    "402": "on Cloud: not included in the plan",
    "403": "not allowed",
    "404": "not found",
    "429": "throttled",
    "500": "a failure that PostHog has, too",
}


def make_document(table: RouteTable, profile: Profile) -> dict[str, Any]:
    """Return the OpenAPI document of the routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in table.routes:
        path = _PARAMETER.sub(r"{\1}", route.path) + "/"
        paths.setdefault(path, {})[route.method.lower()] = _describe_operation(route, profile)
    return {
        "openapi": "3.1.0",
        "info": {"title": "PostHog, as the sandbox emulates it", "version": "1"},
        "security": [{"personal_api_key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"personal_api_key": {"type": "http", "scheme": "bearer"}},
            "schemas": COMPONENTS,
        },
    }


def _describe_operation(route: Route, profile: Profile) -> dict[str, Any]:
    resource, _, action = route.name.partition(".")
    operation: dict[str, Any] = {
        "operationId": re.sub(
            r"\W+", "_", f"{route.method.lower()}{_PARAMETER.sub('', route.path)}_{action}"
        ),
        "tags": [resource],
        "summary": route.summary,
        "x-scope": route.scope,
        "parameters": _describe_parameters(route),
        "responses": _describe_responses(route, profile),
    }
    if route.method in ("POST", "PUT", "PATCH"):
        schema = _describe_body(resource, action, partial=route.method == "PATCH")
        content = {"application/json": {"schema": schema}}
        operation["requestBody"] = {"required": "required" in schema, "content": content}
    return operation


def _describe_body(resource: str, action: str, *, partial: bool) -> Schema:
    schema = BODIES.get(resource, {"type": "object"})
    if (own := ACTION_BODIES.get(f"{resource}.{action}")) is not None:
        return own
    if resource in _GATED_RESOURCES and action not in ("create", "update"):
        return {"type": "object"}
    return {name: value for name, value in schema.items() if not partial or name != "required"}


def _describe_parameters(route: Route) -> list[dict[str, Any]]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]
    names = QUERIES.get(route.name, ())
    if route.name.endswith(".list") and "page" not in names:
        names = (*names, "limit", "offset")
    return parameters + [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
        for name in names
    ]


def _describe_responses(route: Route, profile: Profile) -> dict[str, Any]:
    resource, _, action = route.name.partition(".")
    answers = {
        code: _describe_response(text, _describe_error(resource, action, code))
        for code, text in _ERRORS.items()
    }
    if route.method != "GET":
        answers["415"] = _describe_response("a body that is not JSON", make_reference("Error"))
    if resource in _GATED_RESOURCES and action in _GATED:
        held = {"anyOf": [make_reference("Held"), make_reference("Error")]}
        answers["409"] = _describe_response("approval required, or a version conflict", held)
    if resource == "experiment_holdouts" and action == "delete":
        answers["409"] = _describe_response("approval required", make_reference("HeldByView"))
    if resource == "feature_flags" and action == "delete":
        return {**answers, "405": _describe_response(route.summary, {"type": "string"})}
    if action == "environments":
        return answers
    if resource in {"access_controls", "access_settings"} and route.method == "PUT":
        answers["204"] = _describe_response("the rule is removed", None)
    code, schema = _describe_success(route, profile)
    if resource == "access_settings" and route.method == "PUT":
        answers["201"] = _describe_response("the rule is new", schema)
    return {code: _describe_response(route.summary, schema), **answers}


def _describe_response(text: str, schema: Schema | None) -> dict[str, Any]:
    content = {"content": {"application/json": {"schema": schema}}} if schema is not None else {}
    return {"description": text, **content}


def _describe_error(resource: str, action: str, code: str) -> Schema:
    """Return the schema of an error: the envelope, or the bare bodies of contract 1.3."""
    if action in _DECISIONS and code in ("400", "500"):
        return {"anyOf": [make_reference("BareError"), make_reference("Error")]}
    gated = resource in _GATED_RESOURCES and action in {*_GATED, "delete"}
    if code == "400" and (gated or action in _BARE_ERRORS):
        bodies = ("Conflict", "BareError", "Error") if resource == "feature_flags" else _GATE_ERRORS
        return {"anyOf": [make_reference(name) for name in bodies]}
    return make_reference("Error")


def _describe_success(route: Route, profile: Profile) -> tuple[str, Schema | None]:
    resource, _, action = route.name.partition(".")
    kind = _KINDS[resource]
    if route.method == "DELETE":
        return "204", None
    if action == "list":
        return "200", make_page_schema(kind)
    if action in _DECISIONS:
        return "200", make_reference(kind if profile.bare_decisions else "Decision")
    if action in _OWN_ANSWERS:
        return "200", make_reference(_OWN_ANSWERS[action])
    if action == "export":
        whole = route.path.startswith("/api/organizations/")
        return (
            ("200", {"anyOf": [make_reference(kind), {"type": "object"}]})
            if whole
            else ("202", make_reference("Export"))
        )
    if resource == "projects":
        kind = "FullProject"
    return "201" if action == "create" else "200", make_reference(kind)
