"""Find who becomes a project admin by access rules, and so may edit policies (contract 20).

Rules combine in one of two ways: the highest level of those that apply, or the level of the most
specific subject. The organization says which; a server that does not say may use either.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import Action, Address, Change, Live, Spec, select_written
from reconciler.plan.weakening.compare import Membership
from reconciler.plan.weakening.membership import (
    NEW_MEMBER,
    PEOPLE,
    build_live_membership,
    build_planned_membership,
)

KIND: Final = "ProjectAccess"
_ADMIN: Final = 8  # level in the organization, above all rules
_LEVELS: Final = ("none", "member", "admin")  # rising
_BUILT_IN: Final = "admin"  # the level of everybody without a rule
_RESOLUTION: Final = "uses_most_specific_access_resolution"


@dataclass(frozen=True, slots=True)
class ProjectRules:
    """The rules of one project itself, and the people, at one moment."""

    rules: Mapping[str, Any]
    membership: Membership

    def list_admins(self, people: frozenset[str], organization: str, *, narrow: bool) -> set[str]:
        """Return who is a project admin; `narrow`: the most specific rule wins."""
        roles = {name.casefold(): level for name, level in (self.rules.get("roles") or {}).items()}
        members = {who.lower(): level for who, level in (self.rules.get("members") or {}).items()}
        default = self.rules.get("default")
        admins = set()
        for person in people:
            if self.is_above_rules(person, organization):
                admins.add(person)
                continue
            own = [members[person]] if person in members else []
            held = [
                level
                for name, level in roles.items()
                if person in _fold(self.membership.members.get((organization, name), ()))
            ]
            general = [default] if default is not None else []
            levels = (own or held or general) if narrow else [*own, *held, *general]
            if max(levels, key=_LEVELS.index, default=_BUILT_IN) == _BUILT_IN:
                admins.add(person)
        return admins

    def is_above_rules(self, person: str, organization: str) -> bool:
        """Return whether rules do not bind a person, because of the level in the organization."""
        return self.membership.levels.get((organization, person), 0) >= _ADMIN


def _fold(emails: tuple[str, ...]) -> set[str]:
    return {email.lower() for email in emails}


@dataclass(frozen=True, slots=True)
class AdminGain:
    """A person whom a change makes an admin of a project, in words.

    `completes` says that this only completes what an earlier apply wrote in part.
    """

    text: str
    completes: bool = False


CompletesGain = Callable[[Address, str, Spec, tuple[bool, ...]], bool]
"""Takes a project's rules, a person, the rules after the plan, and the modes that are possible."""


def find_new_admins(
    changes: tuple[Change, ...], live: Live, completes: CompletesGain | None = None
) -> Mapping[Address, tuple[AdminGain, ...]]:
    """Return each person whom a change makes a project admin.

    A change of the rules itself counts, and one of a role that rules name. A new project has no
    rules before, so everybody is an admin of it.
    """
    planned = {change.address: change for change in changes if change.address.kind == KIND}
    known = [a for a in live.resources if a.kind == KIND]
    if not known:
        return {}
    before, after = build_live_membership(live), build_planned_membership(changes, live)
    gains_by_change: dict[Address, list[AdminGain]] = {}
    for address in sorted(known):
        change = planned.get(address)
        old = live.resources[address].spec.get("project") or {}
        new = _predict_rules(change, old)
        states = (ProjectRules(old, before), ProjectRules(new, before), ProjectRules(new, after))
        gains, by_rules = _find_gains(address, live, states)
        for person in sorted(gains):
            cause = change if person in by_rules else _find_cause(changes, address, person)
            cause = cause or change
            if cause is not None:
                modes = _list_modes(address.organization, live)
                is_rest = completes is not None and completes(address, person, new, modes)
                gain = AdminGain(_describe_gain(person, address), is_rest)
                gains_by_change.setdefault(cause.address, []).append(gain)
    return {address: tuple(gained) for address, gained in gains_by_change.items()}


def _predict_rules(change: Change | None, old: Spec) -> Spec:
    """Return the rules for the project itself after the plan."""
    if change is None or change.action is Action.NONE or change.desired is None:
        return old
    if change.action is Action.DELETE:
        return {}
    return {**old, **(change.desired.spec.get("project") or {})}


def _find_gains(
    address: Address, live: Live, states: tuple[ProjectRules, ProjectRules, ProjectRules]
) -> tuple[set[str], set[str]]:
    """Return who becomes an admin, and who does only by the rules, in any possible mode.

    Somebody who only gets a level above all rules does not count: that is reported as a possible
    weakening.
    """
    organization = address.organization
    old, ruled, new = states
    people = frozenset({NEW_MEMBER, *live.people.get(organization, {})})
    gains, by_rules = set[str](), set[str]()
    for narrow in _list_modes(organization, live):
        was = old.list_admins(people, organization, narrow=narrow)
        gained = new.list_admins(people, organization, narrow=narrow) - was
        ruling = gained & ruled.list_admins(people, organization, narrow=narrow)
        gains |= ruling | {who for who in gained if not new.is_above_rules(who, organization)}
        by_rules |= ruling
    return gains, by_rules


def _list_modes(organization: str, live: Live) -> tuple[bool, ...]:
    resource = live.resources.get(Address("Organization", (organization,)))
    if resource is None or _RESOLUTION not in resource.payload:
        return (False, True)
    return (bool(resource.payload[_RESOLUTION]),)


def _find_cause(changes: tuple[Change, ...], address: Address, person: str) -> Change | None:
    """Return the change of people that gives a person a role, if one does."""
    candidates = [
        change
        for change in select_written(changes)
        if change.address.kind in PEOPLE and change.address.organization == address.organization
    ]
    return next(_rank_causes(candidates, person), None)


def _rank_causes(candidates: list[Change], person: str) -> Iterator[Change]:
    for change in candidates:
        spec = change.desired.spec if change.desired is not None else {}
        joins = change.address.kind == "Role" and person in _fold(tuple(spec.get("members") or ()))
        is_default = change.address.kind == "Organization" and person == NEW_MEMBER
        if joins or is_default:
            yield change
    yield from (change for change in candidates if change.address.kind == "Role")


def _describe_gain(person: str, address: Address) -> str:
    who = "every new member" if person == NEW_MEMBER else person
    return f"{who} becomes an admin of {address.name}, and may edit its policies"
