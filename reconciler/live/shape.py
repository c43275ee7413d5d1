"""Whether a listing holds what it should: a row without its key must not pass for no row."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from reconciler.kinds import READ
from reconciler.model import Payload

FIX: Final = "run the command again; if it repeats, this PostHog is newer than the program"
ODD: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def oddity(kind_name: str, items: Iterable[Payload]) -> str:
    """What is wrong with the first row that is not of its kind's shape; empty if none is.

    Looked at are the rows' key and id, and the people in them.
    """
    kind = READ.get(kind_name)
    for payload in items:
        try:
            if kind is None:
                str(payload["id"])
                continue
            kind.identify(payload)
            kind.identity(payload)
            for user in _people(kind_name, payload):
                int(user["id"]), str(user["uuid"]), str(user["email"])
        except ODD as error:
            return reason(kind_name, error)
    return ""


def reason(kind_name: str, error: Exception) -> str:
    """What an exception over a row says of the listing."""
    missing = error.args[0] if isinstance(error, KeyError) and error.args else error
    return f"an item of the listing is no {kind_name} as this program knows it: {missing}"


def _people(kind_name: str, payload: Payload) -> Iterator[Mapping[str, Any]]:
    if kind_name == "Member":
        yield payload["user"]
    elif kind_name == "Role":
        for held in payload.get("members") or ():
            yield held["user"]
