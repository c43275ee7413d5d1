"""Detect keys that see only some members of an organization (contract 8.4).

A short list looks like any other response; only the organization's own count shows it. Such a list
proves nothing about people: neither that somebody is not a member, nor who has a role.
"""

from collections.abc import Container, Iterator, Mapping
from typing import Final

from reconciler.kinds import KINDS
from reconciler.live.key_access import Directory
from reconciler.live.listed_payload import read_id
from reconciler.model import LEVELS, Payload, Unreadable

_Payloads = Mapping[tuple[str, tuple[str, ...]], tuple[Payload, ...]]

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


def find_hidden_people(
    directory: Directory, payloads: _Payloads, read_singly: Container[tuple[str, tuple[str, ...]]]
) -> Iterator[Unreadable]:
    """Yield a gap for each organization that shows only some of its members.

    Members that were read one by one are not counted.
    """
    for (kind, scope), items in payloads.items():
        if kind != "Member":
            continue
        shown = None if (kind, scope) in read_singly else len(items)
        for organization in directory.organizations.get(scope[0], ()):
            if reason := explain_shortfall(organization, shown):
                yield Unreadable("Member", scope, reason, None, FIX)


def find_short_listings(directory: Directory, payloads: _Payloads) -> Iterator[Unreadable]:
    """Yield a gap for each listing that lacks projects which the organization itself names."""
    for slug, projects in directory.projects.items():
        listed = payloads.get(("Project", (slug,)))
        if listed is None:
            continue
        known = {read_id(KINDS["Project"], payload) for payload in listed}
        missing = sorted({id_ for ids in projects.values() for id_ in ids} - known)
        if missing:
            reason = f"the listing lacks projects that the organization has: {missing[:5]}"
            fix = "run the command again; if it repeats, the server is at fault"
            yield Unreadable("Project", (slug,), reason, None, fix)
