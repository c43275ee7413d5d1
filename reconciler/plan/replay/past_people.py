"""Find who could bypass a policy at a past time: levels and roles, as far as they are recorded.

The log has changes of levels. It has nothing about who joined or left a role: a role shows since
when its present holders have held it, and those who no longer hold it have left no trace.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Entry, Live, LiveResource, parse_time

NO_LEVEL: Final = 0  # the level of somebody whose level no policy names


@dataclass(frozen=True, slots=True)
class Actor:
    """Who wrote, with the levels and roles that the person may have had then.

    Attributes:
        email: None if the log does not say.
        levels: the possible levels; several if it is not known.
        roles: roles that the person held, in lower case.
        doubtful_roles: roles that the person may have held.

    """

    email: str | None
    levels: tuple[int, ...]
    roles: frozenset[str] = frozenset()
    doubtful_roles: frozenset[str] = frozenset()


class PastPeople:
    """The members and roles of one organization, with what the log has about them."""

    def __init__(
        self, live: Live, organization: str, entries: Iterable[Entry], *, begin: datetime | None
    ) -> None:
        """Index who is what, and what the log says about it.

        Args:
            live: the members and roles of now.
            organization: its slug.
            entries: those of memberships and roles, newest first.
            begin: since when there are all of them; None if the log cannot be read.

        """
        self._begin = begin
        self._members: dict[str, LiveResource] = {}
        self._roles: dict[str, LiveResource] = {}
        for address, resource in live.resources.items():
            if address.organization == organization and address.kind == "Member":
                self._members[address.name.lower()] = resource
            if address.organization == organization and address.kind == "Role":
                self._roles[address.name.casefold()] = resource
        self._knows_roles = not any(
            gap.kind == "Role" and gap.scope == (organization,) for gap in live.unreadable
        )
        self._levels: dict[str, list[tuple[datetime, Any]]] = defaultdict(list)
        self._lost_names: dict[str, datetime] = {}  # of roles: when one was last deleted or renamed
        for entry in entries:
            self._add(entry)

    def _add(self, entry: Entry) -> None:
        if entry.scope == "OrganizationMembership":
            for move in entry.moves:
                if move.field == "level":
                    self._levels[entry.item].append((entry.at, move.before))
            return
        lost = [move.before for move in entry.moves if move.field == "name"]
        if entry.activity == "deleted":
            lost.append(entry.name)
        for name in lost:
            self._lost_names.setdefault(str(name).casefold(), entry.at)

    def find_actor(
        self, email: str | None, at: datetime, levels: Collection[int], roles: Collection[str]
    ) -> Actor:
        """Return what a person was at a time, as far as policies with these bypasses care."""
        held, doubtful = set[str](), set[str]()
        for role in {role.casefold() for role in roles}:
            holds = self._holds(role, email, at)
            if holds:
                held.add(role)
            elif holds is None:
                doubtful.add(role)
        level = self._find_level(email, at)
        possible = (level,) if level is not None else (NO_LEVEL, *sorted(set(levels)))
        return Actor(email, possible, frozenset(held), frozenset(doubtful))

    def _covers(self, at: datetime) -> bool:
        """Return whether the log has everything since a time."""
        return self._begin is not None and self._begin <= at

    def _find_level(self, email: str | None, at: datetime) -> int | None:
        """Return the level at a time; None if nothing shows it."""
        member = self._members.get((email or "").lower())
        if member is None or not _is_certainly(member.payload.get("joined_at"), until=at):
            return None
        level = member.payload.get("level")
        changed = self._levels.get(str(member.payload.get("id")), [])
        for changed_at, before in changed:  # newest first
            if changed_at == at:
                return None  # it is not known which came first
            if changed_at > at:
                level = before
        if not self._covers(at) and not _is_certainly(member.payload.get("updated_at"), until=at):
            return None
        return level if isinstance(level, int) else None

    def _holds(self, role: str, email: str | None, at: datetime) -> bool | None:
        """Return whether somebody held a role at a time; None if nothing shows it."""
        if not self._knows_roles:
            return None
        resource = self._roles.get(role)
        lost_at = self._lost_names.get(role)
        if (lost_at is not None and lost_at >= at) or not self._covers(at):
            return None  # another role may have had this name
        if resource is None:
            return False
        for membership in resource.payload.get("members") or ():
            if str(membership["user"]["email"]).lower() == (email or "").lower():
                joined = parse_time(membership.get("joined_at"))
                if joined is not None and joined < at:
                    return True
        created = parse_time(resource.payload.get("created_at"))
        return False if created is not None and created > at else None


def _is_certainly(text: Any, *, until: datetime) -> bool:
    """Return whether a time is known, and not after another."""
    moment = parse_time(text)
    return moment is not None and moment <= until


def list_role_addresses(organization: str) -> tuple[Address, Address]:
    """Return what has to be listed to know the people of an organization."""
    return Address("Role", (organization, "*")), Address("Member", (organization, "*"))
