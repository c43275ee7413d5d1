"""How people are named in a report: in full, by their initials, or not at all."""

import re
from typing import Final

IDENTITIES: Final = ("full", "initials", "none")
SYSTEM: Final = "PostHog"  # no person, so always named


def named(person: str | None, identities: str) -> str | None:
    """`dana.smith@acme.test` as it is, as `D.S.`, or None."""
    if person is None or person == SYSTEM or identities == "full":
        return person
    if identities == "none":
        return None
    words = re.split(r"[\W_]+", person.partition("@")[0])
    return "".join(f"{word[0].upper()}." for word in words if word) or None
