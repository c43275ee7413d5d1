"""The emulated API as an OpenAPI 3.1 document, made from the routes that are really served."""

import re
from typing import Any

from reconciler.sandbox.routes import Route, Table

_PARAMETER = re.compile(r":(\w+)")
_ERROR = {
    "type": "object",
    "required": ["type", "code", "detail", "attr"],
    "properties": {
        "type": {"type": "string"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "attr": {"type": ["string", "null"]},
    },
}
_PAGE = {
    "type": "object",
    "required": ["next", "previous", "results"],
    "properties": {
        "count": {"type": "integer"},
        "next": {"type": ["string", "null"], "format": "uri"},
        "previous": {"type": ["string", "null"], "format": "uri"},
        "results": {"type": "array", "items": {"type": "object"}},
    },
}


def document(table: Table) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in table.routes:
        path = _PARAMETER.sub(r"{\1}", route.path) + "/"
        paths.setdefault(path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "PostHog, as the sandbox emulates it", "version": "1"},
        "security": [{"personal_api_key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"personal_api_key": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _ERROR, "Page": _PAGE},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    resource, _, action = route.name.partition(".")
    operation: dict[str, Any] = {
        "operationId": re.sub(
            r"\W+", "_", f"{route.method.lower()}{_PARAMETER.sub('', route.path)}_{action}"
        ),
        "tags": [resource],
        "summary": route.summary,
        "x-scope": route.scope,
        "parameters": _parameters(route),
        "responses": _responses(route, action),
    }
    if route.method in ("POST", "PUT", "PATCH"):
        body = {"application/json": {"schema": {"type": "object"}}}
        operation["requestBody"] = {"required": False, "content": body}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    found = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"},
        }
        for name in _PARAMETER.findall(route.path)
    ]
    if route.name.endswith(".list"):
        found += [
            {"name": name, "in": "query", "required": False, "schema": {"type": "integer"}}
            for name in ("limit", "offset")
        ]
    return found


def _responses(route: Route, action: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    if action == "list":
        schema = {"$ref": "#/components/schemas/Page"}
    success = {"POST": "201" if action == "create" else "200", "DELETE": "204"}
    code = success.get(route.method, "200")
    answer: dict[str, Any] = {"description": route.summary}
    if code != "204":
        answer["content"] = {"application/json": {"schema": schema}}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    refused = {
        status: {"description": text, "content": error}
        for status, text in (("401", "no valid key"), ("403", "not allowed"), ("404", "not found"))
    }
    if route.name in ("feature_flags.create", "feature_flags.update"):
        held = {"description": "held back by an approval policy, or a lost concurrency check"}
        refused["409"] = {**held, "content": error}
    return {code: answer, **refused}
