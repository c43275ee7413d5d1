"""Check the shape of a response before anything relies on it.

A response of another shape is an error that names the call, and what is missing or has the wrong
type. Only what the program uses is checked: PostHog may add fields.
"""

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, TypeAlias

from reconciler.errors import UnreadableError
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Kind, Payload
from reconciler.posthog.redaction import cut_line, redact

FIX: Final = "run the command again; if it repeats, this PostHog is newer than the program"
# Exceptions that functions of a kind raise for a payload of another shape.
MALFORMED: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)
_SHOWN: Final = 40  # characters of a wrong value that an error quotes


class Plain(Enum):
    """Name a value without parts, in the words of an error."""

    TEXT = "text"
    NUMBER = "a whole number"
    ID = "text or a whole number"
    FLAG = "true or false"
    OBJECT = "an object"


@dataclass(frozen=True, slots=True)
class Maybe:
    """Accept null or a missing value besides a shape."""

    shape: "Shape"


@dataclass(frozen=True, slots=True)
class Each:
    """Require a list, and a shape of each of its items."""

    shape: "Shape"


Shape: TypeAlias = "Plain | Maybe | Each | Mapping[str, Shape]"

_TYPES: Final[Mapping[Plain, tuple[type, ...]]] = {  # exact: true is not a number
    Plain.TEXT: (str,),
    Plain.NUMBER: (int,),
    Plain.ID: (str, int),
    Plain.FLAG: (bool,),
    Plain.OBJECT: (dict,),
}


def require_shape(path: str, value: Any, shape: Shape, *, method: str = "GET") -> Any:
    """Return a value that has the shape; else raise an error that names the call."""
    if mismatch := find_mismatch(value, shape):
        raise build_shape_error(path, mismatch, method=method)
    return value


def require_object(kind: Kind, path: str, value: Any, *, method: str = "GET") -> Payload:
    """Return an object of a kind; raise an error that names the call for anything else."""
    if not isinstance(value, Mapping):
        raise build_shape_error(path, _describe_mismatch("", "an object", value), method=method)
    try:
        kind.identify(value), kind.identity(value)
        kind.canonical(kind.to_spec(value))
    except MALFORMED as error:
        raise build_shape_error(path, describe_error(error), method=method) from error
    return value


def build_shape_error(path: str, why: str, *, method: str = "GET") -> UnreadableError:
    """Return the error of a response with another shape."""
    return UnreadableError(
        redact(f"{method} {path}: the response has an unexpected shape"),
        method=method,
        path=redact(path),
        why=cut_line(why),
        fix=FIX,
    )


def describe_error(error: Exception) -> str:
    """Describe an exception that a payload raised."""
    if isinstance(error, KeyError) and error.args:
        return f"{error.args[0]} is missing"
    return str(error)


def find_mismatch(value: Any, shape: Shape, field: str = "") -> str:
    """Return the first value of another shape, and where; empty if there is none."""
    match shape:
        case Maybe():
            return "" if value is None else find_mismatch(value, shape.shape, field)
        case Each():
            if type(value) is not list:
                return _describe_mismatch(field, "a list", value)
            mismatches = (
                find_mismatch(item, shape.shape, f"{field}[{position}]")
                for position, item in enumerate(value)
            )
        case Plain():
            good = type(value) in _TYPES[shape]
            return "" if good else _describe_mismatch(field, shape.value, value)
        case _:
            if not isinstance(value, Mapping):
                return _describe_mismatch(field, "an object", value)
            mismatches = (
                find_mismatch(value.get(key), part, f"{field}.{key}") for key, part in shape.items()
            )
    return next(filter(None, mismatches), "")


def _describe_mismatch(field: str, expected: str, value: Any) -> str:
    name = field.lstrip(".") or "the response"
    if value is None and field:
        return f"{name} is missing"
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) < _SHOWN else f"{shown[:_SHOWN]}…"
    return f"{name} should be {expected}, not {shown}"


# Fields of PostHog's responses that the program uses, besides those of kinds (contract 1.7, 6, 7).
PERSON: Final[Shape] = {"id": Maybe(Plain.NUMBER), "email": Maybe(Plain.TEXT)}
MEMBER: Final[Mapping[str, Shape]] = {
    "user": {"id": Plain.NUMBER, "uuid": Plain.TEXT, "email": Plain.TEXT},
}
ROLE: Final[Shape] = {"id": Plain.ID, "name": Plain.TEXT, "members": Maybe(Each(MEMBER))}
ME: Final[Shape] = {
    "id": Plain.NUMBER,
    "uuid": Plain.TEXT,
    "email": Plain.TEXT,
    "organization": Maybe({"membership_level": Maybe(Plain.NUMBER)}),
}
PROJECT: Final[Shape] = {"id": Plain.NUMBER, "name": Plain.TEXT}
ORGANIZATION: Final[Shape] = {
    "id": Plain.ID,
    "slug": Plain.TEXT,
    "membership_level": Maybe(Plain.NUMBER),
    "teams": Maybe(Each(PROJECT)),
    "projects": Maybe(Each(PROJECT)),
    "available_product_features": Maybe(Each({"key": Maybe(Plain.TEXT)})),
}
_RESULT: Final[Shape] = {"resource_id": Maybe(Plain.ID), "resource_version": Maybe(Plain.NUMBER)}
_VOTE: Final[Shape] = {
    "created_by": Maybe(PERSON),
    "decision": Plain.TEXT,
    "reason": Maybe(Plain.TEXT),
    "created_at": Maybe(Plain.TEXT),
}
_INTENT: Final[Shape] = {
    "flag_key": Maybe(Plain.TEXT),
    "full_request_data": Maybe(Plain.OBJECT),
    "gated_changes": Maybe(Plain.OBJECT),
    "preconditions": Maybe(Plain.OBJECT),
}
_SNAPSHOT: Final[Shape] = {"users": Maybe(Each(Plain.ID)), "roles": Maybe(Each(Plain.ID))}
CHANGE_REQUEST: Final[Mapping[str, Shape]] = {
    "id": Plain.TEXT,
    "state": Plain.TEXT,
    "validation_status": Maybe(Plain.TEXT),
    "action_key": Maybe(Plain.TEXT),
    "resource_id": Maybe(Plain.ID),
    "created_by": Maybe(PERSON),
    "created_at": Maybe(Plain.TEXT),
    "updated_at": Maybe(Plain.TEXT),
    "expires_at": Maybe(Plain.TEXT),
    "intent": Maybe(_INTENT),
    "policy_snapshot": Maybe(_SNAPSHOT),
    "result_data": Maybe(_RESULT),
    "approvals": Maybe(Each(_VOTE)),
}
# In the 409 of a gated write (contract 5.3); the request is read again where possible.
FILED: Final[Shape] = {**CHANGE_REQUEST, "state": Maybe(Plain.TEXT)}
