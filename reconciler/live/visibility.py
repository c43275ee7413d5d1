"""Detect keys that see only some members of an organization (contract 8.4).

A short list looks like any other response; only the organization's own count shows it. Such a list
proves nothing about people: neither that somebody is not a member, nor who has a role.
"""

from typing import Final

from reconciler.model import LEVELS, Payload

FIX: Final = (
    "use the key of an admin or owner, or let members see all members in the organization's "
    "settings (members_can_see_org_members)"
)


def explain_shortfall(organization: Payload, shown: int | None) -> str:
    """Return why a list of members is incomplete; empty if it is complete.

    Without a list, or a count of the organization, its settings decide.
    """
    slug, count = organization.get("slug"), organization.get("member_count")
    if shown is not None and isinstance(count, int) and not isinstance(count, bool):
        return f"this key sees {shown} of the {count} people in {slug}" if shown < count else ""
    level = organization.get("membership_level")
    below = isinstance(level, int) and level < LEVELS["admin"]
    if below and organization.get("members_can_see_org_members") is False:
        return f"in {slug} only admins and owners see all people, and this key is a member's"
    return ""
