"""Roles and levels, as they are live and as a plan leaves them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from reconciler.model import Action, Address, Approvers, Change, Live, a_level, level_number, moving
from reconciler.plan.approvals.policies import Policy

Members = Mapping[tuple[str, str], tuple[str, ...]]  # organization, folded role -> emails


def members(live: Live) -> Members:
    """Return who holds which role, as far as the key may see them (contract 8.4)."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for address, there in live.resources.items():
        if address.kind == "Role":
            key = (address.organization, address.name.casefold())
            if address.organization in live.partial:
                held = there.payload.get("members") or ()
                found[key] = tuple(str(one["user"]["email"]) for one in held)
            else:
                found[key] = tuple(there.spec.get("members") or ())
    return found


def planned_levels(changes: tuple[Change, ...]) -> Mapping[tuple[str, str], int]:
    """The levels that the plan sets, by organization and lower-case email."""
    return {
        (change.address.organization, change.address.name.lower()): level_number(
            change.desired.spec["level"]
        )
        for change in changes
        if change.address.kind == "Member"
        and change.action is Action.UPDATE
        and change.desired is not None
        and "level" in change.desired.spec
    }


def planned_members(changes: tuple[Change, ...], live: Members) -> Members:
    """Who holds which role after the plan; a renamed one is known by both names."""
    found = dict(live)
    for change in changes:
        if change.address.kind != "Role" or change.action is Action.NONE:
            continue
        key = (change.address.organization, change.address.name.casefold())
        if change.action is Action.DELETE:
            found.pop(key, None)
            continue
        renamed = next((one.live for one in change.fields if one.path == "metadata.name"), None)
        old = (key[0], str(renamed).casefold()) if renamed is not None else key
        sent = moving(change)
        held = tuple(sent["members"] or ()) if "members" in sent else live.get(old, ())
        found[key] = found[old] = held
    return found


@dataclass(frozen=True, slots=True)
class Obstacles:
    """What keeps people who are named from approving."""

    notes: tuple[str, ...] = ()
    are_too_few: bool = False  # known: fewer can approve than have to


@dataclass(frozen=True, slots=True)
class Bypass:
    """Whether the key's user is let through, how sure that is, and why."""

    passes: bool
    sure: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Side:
    """Roles and levels at one moment."""

    roles: Members
    level: int | None


class People:
    """The people of the live side, and what the plan's changes make of them.

    Votes are counted against the roles of the moment they are cast, so approvers are shown as
    the plan leaves them. Who is let through is told for the time the flags are written: what
    takes that away goes before them, what gives it after them, and roles are deleted last.
    """

    def __init__(
        self, changes: tuple[Change, ...], live: Live, last: Collection[Address] = ()
    ) -> None:
        first = tuple(
            change
            for change in changes
            if change.address not in last and change.action is not Action.DELETE
        )
        held = members(live)
        self._live = live
        self._roles = planned_members(first, held)
        self._planned = planned_members(changes, held)
        self._levels = planned_levels(first)
        self._last_levels = planned_levels(changes)
        self._closed = {(gap.kind, gap.scope): gap.reason for gap in live.unreadable}
        self._emails = {
            (organization, str(person.id)): person.email
            for organization, people in live.people.items()
            for person in people.values()
        }

    def approvers(self, policy: Policy) -> Approvers:
        """Who may approve under this policy."""
        config = policy.spec.get("approvers") or {}
        return self._named(policy, config.get("users"), config.get("roles"))

    def snapshot(
        self, policy: Policy, users: Iterable[object], roles: Iterable[object]
    ) -> Approvers:
        """The same from the ids that a change request carries."""
        organization = policy.address.organization
        names = {
            id_: address.name
            for address, ids in self._live.ids.items()
            if address.kind == "Role" and address.organization == organization
            for id_ in ids
        }
        return self._named(
            policy,
            [self._emails.get((organization, str(user)), f"id:{user}") for user in users],
            [names.get(str(role), f"id:{role}") for role in roles],
        )

    def _named(
        self, policy: Policy, users: Iterable[str] | None, roles: Iterable[str] | None
    ) -> Approvers:
        organization = policy.address.organization
        return Approvers(
            users=tuple(users or ()),
            roles={
                role: self._planned.get((organization, role.casefold()), ()) for role in roles or ()
            },
        )

    def obstacles(
        self, policy: Policy, quorum: int | None, approvers: Approvers, requester: str | None = None
    ) -> Obstacles:
        """Return who cannot approve although named, and whether enough people are left.

        `requester` is who asks; if nobody has asked yet it will be this key's user.
        """
        organization, asks = policy.address.organization, self._asks(requester)
        notes, are_too_few = [], False
        absent = self._absent(organization, approvers)
        is_barred = asks not in absent and self._is_barred(policy, approvers, asks)
        able = _named(approvers).difference(absent, (asks,) if is_barred else ())
        if absent:
            notes.append(f"not in {organization}: {', '.join(absent)}")
        if is_barred:
            notes.append(f"{asks}, who files the request, cannot approve it")
        if organization in self._live.partial:
            notes.append(
                f"it is not known who can approve it: {self._closed[_members(organization)]}"
            )
        elif ("Role", (organization,)) in self._closed and approvers.roles:
            notes.append(f"who holds the roles of {organization} cannot be read")
        elif not able:
            notes.append("nobody can approve it")
            are_too_few = True
        elif quorum is not None and len(able) < quorum:
            notes.append(f"only {len(able)} can approve it, and {quorum} are needed")
            are_too_few = True
        return Obstacles(tuple(notes), are_too_few)

    def cannot(
        self, policy: Policy, approvers: Approvers, requester: str | None = None
    ) -> Mapping[str, str]:
        """Return who is named and cannot approve, by email in lower case, and why."""
        organization, asks = policy.address.organization, self._asks(requester)
        why = dict.fromkeys(self._absent(organization, approvers), f"not in {organization}")
        if self._is_barred(policy, approvers, asks):
            why.setdefault(asks, "files the request")
        return why

    def _absent(self, organization: str, approvers: Approvers) -> tuple[str, ...]:
        """Return who is named and not a member of the organization, sorted."""
        named = sorted(_named(approvers))
        return tuple(email for email in named if not self._is_there(organization, email))

    def _is_barred(self, policy: Policy, approvers: Approvers, asks: str) -> bool:
        """Return whether somebody is named who may not approve because they file the request."""
        return asks in _named(approvers) and policy.spec.get("allow_self_approve") is not True

    def _asks(self, requester: str | None) -> str:
        me = self._live.me
        return (requester or (me.email if me is not None else "")).lower()

    def _is_there(self, organization: str, email: str) -> bool:
        known = self._live.people.get(organization, {})
        are_listed = known and _members(organization) not in self._closed
        return not are_listed or email in known  # somebody by id alone (`id:7`) is in no list

    def are_known(self, organization: str) -> bool:
        """Return whether the key sees all people of an organization (contract 8.4)."""
        return organization not in self._live.partial

    def bypass(self, policy: Policy) -> Bypass:
        """Whether the policy lets this key's user through (contract 5.1, step 8)."""
        levels = {level_number(level) for level in policy.spec.get("bypass_levels") or ()}
        roles = tuple(policy.spec.get("bypass_roles") or ())
        if not levels and not roles:
            return Bypass(passes=False)
        organization = policy.address.organization
        level, known = self._level(organization)
        me = self._live.me.email.lower() if self._live.me is not None else None
        who = (organization, me or "")
        now = _Side(self._roles, self._levels.get(who, level))
        then = _Side(self._planned, self._last_levels.get(who, level))
        if why := self._why(organization, levels, roles, me, now):
            sure = known or now.level not in levels
            return Bypass(passes=True, sure=sure, note=f"BYPASSED: {why}; nobody will be asked")
        if why := self._why(organization, levels, roles, me, then):
            note = f"once this plan is applied nobody may be asked: {why}"
            return Bypass(passes=False, note=note)
        closed = (
            me is None
            or ("Role", (organization,)) in self._closed
            or organization in self._live.partial
        )
        if (levels and not known) or (roles and closed):
            note = "whether this key's user is let through cannot be told"
            return Bypass(passes=False, sure=False, note=note)
        return Bypass(passes=False)

    def _level(self, organization: str) -> tuple[int | None, bool]:
        """The user's level in this organization, and whether it is sure to be of this one."""
        there = self._live.resources.get(Address("Organization", (organization,)))
        level = there.payload.get("membership_level") if there is not None else None
        if level is not None:
            return int(level), True
        me = self._live.me
        if me is None:
            return None, False
        person = self._live.people.get(organization, {}).get(me.email.lower())
        if person is not None and person.level is not None:
            return person.level, True
        return me.level, False  # of the organization that is current, which may be another

    def _why(
        self,
        organization: str,
        levels: set[int],
        roles: tuple[str, ...],
        me: str | None,
        side: _Side,
    ) -> str:
        if side.level in levels:
            return f"this key's user is {a_level(side.level or 0)} of {organization}"
        for role in roles:
            held = side.roles.get((organization, role.casefold()), ())
            if me is not None and me in {email.lower() for email in held}:
                return f"{me} holds the role {role}"
        return ""


def _members(organization: str) -> tuple[str, tuple[str, ...]]:
    return "Member", (organization,)


def _named(approvers: Approvers) -> set[str]:
    held = chain(approvers.users, *approvers.roles.values())
    return {email.lower() for email in held}
