"""Whether a listing holds what it should: a row without its key must not pass for no row."""

from collections.abc import Iterable, Mapping
from typing import Final

from reconciler.kinds import READ
from reconciler.model import Payload
from reconciler.posthog import shapes
from reconciler.posthog.shapes import FIX, ODD, Shape

__all__ = ["FIX", "ODD", "oddity", "reason"]

_PEOPLE: Final[Mapping[str, Shape]] = {
    "Member": {**shapes.MEMBER, "level": shapes.Plain.NUMBER},
    "Role": {"members": shapes.Maybe(shapes.Each(shapes.MEMBER))},
}


def oddity(kind_name: str, items: Iterable[Payload]) -> str:
    """What is wrong with the first row that is not of its kind's shape; empty if none is.

    Looked at are the rows' key and id, and the people in them.
    """
    kind, people = READ.get(kind_name), _PEOPLE.get(kind_name)
    for payload in items:
        try:
            if kind is not None:
                kind.identify(payload), kind.identity(payload)
            if people is not None and (odd := shapes.oddity(payload, people)):
                return _said(kind_name, odd)
        except ODD as error:
            return reason(kind_name, error)
    return ""


def reason(kind_name: str, error: Exception) -> str:
    """What an exception over a row says of the listing."""
    return _said(kind_name, shapes.describe(error))


def _said(kind_name: str, odd: str) -> str:
    return f"an item of the listing is not a {kind_name} as this program knows it: {odd}"
