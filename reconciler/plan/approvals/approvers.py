"""Find who may approve or bypass: roles and levels, live and as a plan leaves them."""

from collections.abc import Collection, Iterable, Mapping

from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Action,
    Address,
    Approvers,
    Change,
    Live,
    build_change_spec,
    format_level_with_article,
    parse_level,
)
from reconciler.plan.approvals.policies import Policy

Members = Mapping[tuple[str, str], tuple[str, ...]]  # organization, folded role -> emails


def list_role_members(live: Live) -> Members:
    """Return the members of each role, as far as the key may see them (contract 8.4)."""
    by_role: dict[tuple[str, str], tuple[str, ...]] = {}
    for address, live_role in live.resources.items():
        if address.kind == "Role":
            key = (address.organization, address.name.casefold())
            if address.organization in live.partial:
                memberships = live_role.payload.get("members") or ()
                by_role[key] = tuple(str(membership["user"]["email"]) for membership in memberships)
            else:
                by_role[key] = tuple(live_role.spec.get("members") or ())
    return by_role


def list_planned_levels(changes: tuple[Change, ...]) -> Mapping[tuple[str, str], int]:
    """Return the levels that the plan sets, by organization and lower-case email."""
    return {
        (change.address.organization, change.address.name.lower()): parse_level(
            change.desired.spec["level"]
        )
        for change in changes
        if change.address.kind == "Member"
        and change.action is Action.UPDATE
        and change.desired is not None
        and "level" in change.desired.spec
    }


def list_planned_members(changes: tuple[Change, ...], live: Members) -> Members:
    """Return the members of each role after the plan; a renamed role has both names."""
    by_role = dict(live)
    for change in changes:
        if change.address.kind != "Role" or change.action is Action.NONE:
            continue
        key = (change.address.organization, change.address.name.casefold())
        if change.action is Action.DELETE:
            by_role.pop(key, None)
            continue
        old_name = next(
            (field.live for field in change.fields if field.path == "metadata.name"), None
        )
        old = (key[0], str(old_name).casefold()) if old_name is not None else key
        written = build_change_spec(change)
        role_members = (
            tuple(written["members"] or ()) if "members" in written else live.get(old, ())
        )
        by_role[key] = by_role[old] = role_members
    return by_role


@dataclass(frozen=True, slots=True)
class Obstacles:
    """What prevents named approvers from approving."""

    notes: tuple[str, ...] = ()
    are_too_few: bool = False  # it is certain that fewer can approve than the quorum


@dataclass(frozen=True, slots=True)
class Bypass:
    """Whether the key's user bypasses the policy, how certain that is, and why."""

    passes: bool
    is_certain: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Side:
    """Role members and the level of the key's user at one moment."""

    roles: Members
    level: int | None


class People:
    """The people of the live side, and as the plan leaves them.

    PostHog checks a vote against the roles at that time, so approvers are shown as the plan leaves
    them. The bypass is forecast for the time at which flags are written: changes that take it away
    come before the flags, changes that grant it after them, and roles are deleted last.
    """

    def __init__(
        self, changes: tuple[Change, ...], live: Live, last: Collection[Address] = ()
    ) -> None:
        first = tuple(
            change
            for change in changes
            if change.address not in last and change.action is not Action.DELETE
        )
        live_members = list_role_members(live)
        self._live = live
        self._roles = list_planned_members(first, live_members)
        self._planned = list_planned_members(changes, live_members)
        self._levels = list_planned_levels(first)
        self._last_levels = list_planned_levels(changes)
        self._closed = {(gap.kind, gap.scope): gap.reason for gap in live.unreadable}
        self._emails = {
            (organization, str(person.id)): person.email
            for organization, people in live.people.items()
            for person in people.values()
        }

    def list_approvers(self, policy: Policy) -> Approvers:
        """Return who may approve under this policy."""
        config = policy.spec.get("approvers") or {}
        return self._build_approvers(policy, config.get("users"), config.get("roles"))

    def list_snapshot_approvers(
        self, policy: Policy, users: Iterable[object], roles: Iterable[object]
    ) -> Approvers:
        """Return who may approve by the ids in the policy snapshot of a change request."""
        organization = policy.address.organization
        names = {
            id_: address.name
            for address, ids in self._live.ids.items()
            if address.kind == "Role" and address.organization == organization
            for id_ in ids
        }
        return self._build_approvers(
            policy,
            [self._emails.get((organization, str(user)), f"id:{user}") for user in users],
            [names.get(str(role), f"id:{role}") for role in roles],
        )

    def _build_approvers(
        self, policy: Policy, users: Iterable[str] | None, roles: Iterable[str] | None
    ) -> Approvers:
        organization = policy.address.organization
        return Approvers(
            users=tuple(users or ()),
            roles={
                role: self._planned.get((organization, role.casefold()), ()) for role in roles or ()
            },
        )

    def find_obstacles(
        self, policy: Policy, quorum: int | None, approvers: Approvers, requester: str | None = None
    ) -> Obstacles:
        """Return which named people cannot approve, and whether enough others can.

        `requester` filed the request; if there is none yet, this key's user will file it.
        """
        organization, requester_email = policy.address.organization, self._find_requester(requester)
        notes, are_too_few = [], False
        absent = self._list_absent(organization, approvers)
        is_barred = requester_email not in absent and self._is_barred(
            policy, approvers, requester_email
        )
        possible = _list_emails(approvers).difference(
            absent, (requester_email,) if is_barred else ()
        )
        if absent:
            notes.append(f"not in {organization}: {', '.join(absent)}")
        if is_barred:
            notes.append(f"{requester_email}, who files the request, cannot approve it")
        if organization in self._live.partial:
            reason = self._closed[_build_member_scope(organization)]
            notes.append(f"it is not known who can approve it: {reason}")
        elif ("Role", (organization,)) in self._closed and approvers.roles:
            notes.append(f"the members of the roles of {organization} cannot be read")
        elif not possible:
            notes.append("nobody can approve it")
            are_too_few = True
        elif quorum is not None and len(possible) < quorum:
            notes.append(f"only {len(possible)} can approve it, and {quorum} are needed")
            are_too_few = True
        return Obstacles(tuple(notes), are_too_few)

    def list_excluded(
        self, policy: Policy, approvers: Approvers, requester: str | None = None
    ) -> Mapping[str, str]:
        """Return the named people who cannot approve, by lower-case email, and why."""
        organization, requester_email = policy.address.organization, self._find_requester(requester)
        reasons = dict.fromkeys(
            self._list_absent(organization, approvers), f"not in {organization}"
        )
        if self._is_barred(policy, approvers, requester_email):
            reasons.setdefault(requester_email, "files the request")
        return reasons

    def _list_absent(self, organization: str, approvers: Approvers) -> tuple[str, ...]:
        """Return the named people who are not members of the organization, sorted."""
        named = sorted(_list_emails(approvers))
        return tuple(email for email in named if not self._is_member(organization, email))

    def _is_barred(self, policy: Policy, approvers: Approvers, requester_email: str) -> bool:
        """Return whether the requester is a named approver and may not approve."""
        return (
            requester_email in _list_emails(approvers)
            and policy.spec.get("allow_self_approve") is not True
        )

    def _find_requester(self, requester: str | None) -> str:
        me = self._live.me
        return (requester or (me.email if me is not None else "")).lower()

    def _is_member(self, organization: str, email: str) -> bool:
        people = self._live.people.get(organization, {})
        are_listed = people and _build_member_scope(organization) not in self._closed
        return not are_listed or email in people  # an approver by id (`id:7`) is in no list

    def knows_everybody(self, organization: str) -> bool:
        """Return whether the key sees all people of an organization (contract 8.4)."""
        return organization not in self._live.partial

    def find_bypass(self, policy: Policy) -> Bypass:
        """Return whether this key's user bypasses the policy (contract 5.1, step 8)."""
        levels = {parse_level(level) for level in policy.spec.get("bypass_levels") or ()}
        roles = tuple(policy.spec.get("bypass_roles") or ())
        if not levels and not roles:
            return Bypass(passes=False)
        organization = policy.address.organization
        level, is_known = self._find_level(organization)
        me = self._live.me.email.lower() if self._live.me is not None else None
        user_key = (organization, me or "")
        before_plan = _Side(self._roles, self._levels.get(user_key, level))
        after_plan = _Side(self._planned, self._last_levels.get(user_key, level))
        if reason := self._explain_bypass(organization, levels, roles, me, before_plan):
            sure = is_known or before_plan.level not in levels
            return Bypass(
                passes=True, is_certain=sure, note=f"BYPASSED: {reason}; no approval is needed"
            )
        if reason := self._explain_bypass(organization, levels, roles, me, after_plan):
            note = f"after this plan no approval may be needed any more: {reason}"
            return Bypass(passes=False, note=note)
        closed = (
            me is None
            or ("Role", (organization,)) in self._closed
            or organization in self._live.partial
        )
        if (levels and not is_known) or (roles and closed):
            note = "it is not known whether this key's user bypasses the policy"
            return Bypass(passes=False, is_certain=False, note=note)
        return Bypass(passes=False)

    def _find_level(self, organization: str) -> tuple[int | None, bool]:
        """Return the user's level, and whether it is certainly the one in this organization."""
        organization_object = self._live.resources.get(Address("Organization", (organization,)))
        level = (
            organization_object.payload.get("membership_level")
            if organization_object is not None
            else None
        )
        if level is not None:
            return int(level), True
        me = self._live.me
        if me is None:
            return None, False
        person = self._live.people.get(organization, {}).get(me.email.lower())
        if person is not None and person.level is not None:
            return person.level, True
        return me.level, False  # the level in the current organization, which may be another one

    def _explain_bypass(
        self,
        organization: str,
        levels: set[int],
        roles: tuple[str, ...],
        me: str | None,
        side: _Side,
    ) -> str:
        if side.level in levels:
            return (
                f"this key's user is {format_level_with_article(side.level or 0)} of {organization}"
            )
        for role in roles:
            role_members = side.roles.get((organization, role.casefold()), ())
            if me is not None and me in {email.lower() for email in role_members}:
                return f"{me} holds the role {role}"
        return ""


def _build_member_scope(organization: str) -> tuple[str, tuple[str, ...]]:
    return "Member", (organization,)


def _list_emails(approvers: Approvers) -> set[str]:
    return {email.lower() for email in approvers.list_emails()}
