"""The notation in which the schemas of the OpenAPI document are written."""

from typing import Any

Schema = dict[str, Any]

_TYPES: dict[str, Schema] = {
    "any": {},
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "list": {"type": "array"},
    "object": {"type": "object"},
    "uuid": {"type": "string", "format": "uuid"},
    "time": {"type": "string", "format": "date-time"},
    "num": {"type": "number"},
    "ints": {"type": "array", "items": {"type": "integer"}},
    "words": {"type": "array", "items": {"type": "string"}},
    "duration": {"type": ["string", "number"]},
    "span": {"type": "string", "pattern": r"^(-?\d+ )?\d\d:\d\d:\d\d(\.\d{6})?$"},
    "key": {"type": "string", "pattern": "^[a-zA-Z0-9_-]+$", "maxLength": 400},
    "filters": {
        "type": "object",
        "properties": {
            "groups": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "properties": {"type": "array", "maxItems": 0},
                        "rollout_percentage": {
                            "type": ["number", "null"],
                            "minimum": 0,
                            "maximum": 100,
                        },
                    },
                },
            }
        },
    },
    "holdout_groups": {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": ["rollout_percentage"],
            "properties": {
                "rollout_percentage": {"type": "number", "minimum": 0, "maximum": 100},
            },
        },
    },
    "approvers": {
        "type": "object",
        "required": ["quorum"],
        "properties": {
            "quorum": {"type": "integer", "minimum": 1},
            "users": {"type": "array", "items": {"type": "integer"}},
            "roles": {"type": "array", "items": {"type": "string", "format": "uuid"}},
        },
    },
    "level": {"enum": [1, 8, 15]},
    "model": {"enum": ["FeatureFlag"]},
    "runtime": {"enum": ["server", "client", "all"]},
    "bucketing": {"enum": ["distinct_id", "device_id", None]},
    "method": {"enum": ["bayesian", "frequentist", None]},
    "decision": {"enum": ["approved", "rejected"]},
    "format": {"enum": ["csv", "xlsx"]},
    "validity": {"enum": ["valid", "invalid", "stale", "expired"]},
    "state": {"enum": ["pending", "approved", "applied", "rejected", "expired", "failed"]},
    "outcome": {"enum": ["approved", "applied", "failed", "rejected", "canceled"]},
}


def parse_type(word: str) -> Schema:
    """Return the schema of `int`, `?int` (or null), `Name` (a component), `[Name]` (a list)."""
    if word.startswith("?"):
        return {"anyOf": [parse_type(word[1:]), {"type": "null"}]}
    if word.startswith("["):
        return {"type": "array", "items": parse_type(word[1:-1])}
    return _TYPES.get(word, {"$ref": f"#/components/schemas/{word}"})


def _parse_properties(text: str) -> dict[str, Schema]:
    """Return lines of `type: name name` as properties."""
    properties: dict[str, Schema] = {}
    for line in text.strip().splitlines():
        word, _, names = line.partition(":")
        properties |= {name: parse_type(word.strip()) for name in names.split()}
    return properties


def make_object(text: str, *, optional: str = "") -> Schema:
    """Return an object with these properties, all required except those of `optional`."""
    properties = _parse_properties(text)
    return {
        "type": "object",
        "required": list(properties),
        "properties": {**properties, **_parse_properties(optional)},
        "additionalProperties": False,
    }


def make_body(text: str, *, required: tuple[str, ...] = ()) -> Schema:
    """Return a body with these properties; others are ignored."""
    schema: Schema = {"type": "object", "properties": _parse_properties(text)}
    return {**schema, "required": list(required)} if required else schema
