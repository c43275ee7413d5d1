"""The shape of an answer, checked before anything relies on it.

An answer of another shape is an error that names the call, and what is missing from it or has
the wrong type. Only what the program uses is asked for: PostHog may add to its answers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from reconciler.errors import UnreadableError
from reconciler.model import Kind, Payload
from reconciler.posthog.redaction import cut, redact

FIX: Final = "run the command again; if it repeats, this PostHog is newer than the program"
# What functions of a kind raise over a payload of another shape.
ODD: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)
_SHOWN: Final = 40  # characters of a wrong value that an error quotes


class Plain(Enum):
    """A value without parts. The enum's own value is how an error calls it."""

    TEXT = "text"
    NUMBER = "a whole number"
    ID = "text or a whole number"
    FLAG = "true or false"
    OBJECT = "an object"


@dataclass(frozen=True, slots=True)
class Maybe:
    """What may be null or missing."""

    shape: "Shape"


@dataclass(frozen=True, slots=True)
class Each:
    """A list, and what each of its items has to be."""

    shape: "Shape"


Shape: TypeAlias = "Plain | Maybe | Each | Mapping[str, Shape]"

_TYPES: Final[Mapping[Plain, tuple[type, ...]]] = {  # exact: true is not a number
    Plain.TEXT: (str,),
    Plain.NUMBER: (int,),
    Plain.ID: (str, int),
    Plain.FLAG: (bool,),
    Plain.OBJECT: (dict,),
}


def need(path: str, value: Any, shape: Shape, *, method: str = "GET") -> Any:
    """Return the value of an answer that has the shape; else raise an error with the call."""
    if odd := oddity(value, shape):
        raise unlike(path, odd, method=method)
    return value


def need_object(kind: Kind, path: str, value: Any, *, method: str = "GET") -> Payload:
    """Return an object of a kind; raise an error that names the call for anything else."""
    if not isinstance(value, Mapping):
        raise unlike(path, _wrong("", "an object", value), method=method)
    try:
        kind.identify(value), kind.identity(value)
        kind.canonical(kind.to_spec(value))
    except ODD as error:
        raise unlike(path, describe(error), method=method) from error
    return value


def unlike(path: str, why: str, *, method: str = "GET") -> UnreadableError:
    """Return the error of an answer that is not what was asked for."""
    return UnreadableError(
        redact(f"{method} {path}: the answer is not what was asked for"),
        method=method,
        path=redact(path),
        why=cut(why),
        fix=FIX,
    )


def describe(error: Exception) -> str:
    """Return what an exception over a payload says of it."""
    if isinstance(error, KeyError) and error.args:
        return f"{error.args[0]} is missing"
    return str(error)


def oddity(value: Any, shape: Shape, at: str = "") -> str:
    """Return what is first found to be of another shape, and where; empty if nothing is."""
    match shape:
        case Maybe():
            return "" if value is None else oddity(value, shape.shape, at)
        case Each():
            if type(value) is not list:
                return _wrong(at, "a list", value)
            found = (oddity(one, shape.shape, f"{at}[{n}]") for n, one in enumerate(value))
        case Plain():
            good = type(value) in _TYPES[shape]
            return "" if good else _wrong(at, shape.value, value)
        case _:
            if not isinstance(value, dict):
                return _wrong(at, "an object", value)
            found = (oddity(value.get(k), part, f"{at}.{k}") for k, part in shape.items())
    return next(filter(None, found), "")


def _wrong(at: str, expected: str, value: Any) -> str:
    place = at.lstrip(".") or "the answer"
    if value is None and at:
        return f"{place} is missing"
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) < _SHOWN else f"{shown[:_SHOWN]}…"
    return f"{place} should be {expected}, not {shown}"


# What is used of PostHog's answers, but for the kinds that the files declare (contract 1.7, 6, 7).
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
# As the 409 of a gated write has it, which is read again wherever that is possible (5.3).
FILED: Final[Shape] = {**CHANGE_REQUEST, "state": Maybe(Plain.TEXT)}
