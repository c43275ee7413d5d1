"""Find which policies cover each flag, now and after PostHog's hand-over (contract 3.8, 5.8). Pure.

Before the hand-over the policies for flags cover every flag. After it, those of experiments cover
the flags of experiments, and nothing covers those of surveys, tours and early access features.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    EXPERIMENT_ACTIONS,
    EXPERIMENT_TWINS,
    FLAG_ACTIONS,
    Address,
    Live,
    LiveResource,
)
from reconciler.plan.approvals import owners, server_generation
from reconciler.plan.approvals.owners import Owner
from reconciler.plan.approvals.server_generation import Generation

_POLICY: Final = "ApprovalPolicy"


class FlagOwner(StrEnum):
    """Name the product that owns a flag, as far as the flag shows it."""

    UNOWNED = "unowned"
    EXPERIMENT = "experiment"
    SURVEY = "survey"
    PRODUCT_TOUR = "product_tour"
    EARLY_ACCESS_FEATURE = "early_access_feature"
    UNKNOWN = "unknown"  # a survey owns the flag, or only refers to it: both look the same


@dataclass(frozen=True, slots=True)
class FlagCoverage:
    """The policies that cover one flag.

    Attributes:
        address: of the flag.
        owner: who owns it.
        now: the policies that cover it today.
        after: the policies that certainly cover it after the hand-over.
        loses: whether a policy for flags of its project has no counterpart in `after`.

    """

    address: Address
    owner: FlagOwner
    now: tuple[Address, ...]
    after: tuple[Address, ...]
    loses: bool


@dataclass(frozen=True, slots=True)
class PolicyCopy:
    """A policy for experiments that has to be live to keep the flags of experiments covered."""

    address: Address
    source: LiveResource  # the policy for flags that has the same rules


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """Which policies cover which flags.

    Attributes:
        rows: one per live flag, sorted by address.
        copies: the policies for experiments that are not live yet.

    """

    rows: tuple[FlagCoverage, ...]
    copies: tuple[PolicyCopy, ...]


def report_coverage(live: Live) -> CoverageReport:
    """Return which policies cover each live flag, without organization-wide ones.

    Flags of a project whose policies cannot be read are left out.
    """
    handed_over = _find_handed_over(live)
    closed = {gap.scope for gap in live.unreadable if gap.kind == _POLICY}
    enabled = _index_enabled(live)
    rows = []
    for address in sorted(a for a in live.resources if a.kind == "FeatureFlag"):
        if address.parts[:-1] in closed:
            continue
        policies = enabled.get(address.parts[:-1], {})
        owner = find_flag_owner(live.resources[address])
        is_over = address.organization in handed_over
        rows.append(_cover_flag(address, owner, policies, is_over=is_over))
    return CoverageReport(tuple(rows), tuple(_list_copies(rows, enabled, live)))


def _find_handed_over(live: Live) -> frozenset[str]:
    """Return the organizations in which policies of experiments gate; early servers store them."""
    if server_generation.detect_generation(live) is Generation.G1:
        return frozenset()
    return owners.list_scoped_organizations(live)


def find_flag_owner(live_flag: LiveResource) -> FlagOwner:
    """Return who owns a listed flag. Lists do not show the flags that surveys and tours make."""
    match owners.find_owner(live_flag):
        case Owner.EXPERIMENT:
            return FlagOwner.EXPERIMENT
        case Owner.EARLY_ACCESS_FEATURE:
            return FlagOwner.EARLY_ACCESS_FEATURE
        case _:
            is_named = live_flag.payload.get("surveys")
            return FlagOwner.UNKNOWN if is_named else FlagOwner.UNOWNED


_Policies = Mapping[str, LiveResource]  # action -> an enabled policy


def _index_enabled(live: Live) -> Mapping[tuple[str, ...], _Policies]:
    """Return the enabled policies of each project, by action."""
    enabled: dict[tuple[str, ...], dict[str, LiveResource]] = {}
    default = KINDS[_POLICY].defaults["enabled"]
    for address, policy in live.resources.items():
        if address.kind == _POLICY and policy.spec.get("enabled", default) is True:
            enabled.setdefault(address.parts[:-1], {})[address.name] = policy
    return enabled


def _cover_flag(
    address: Address, owner: FlagOwner, policies: _Policies, *, is_over: bool
) -> FlagCoverage:
    """Return what covers one flag under the enabled policies of its project."""
    flag_actions = [action for action in FLAG_ACTIONS if action in policies]
    match owner:
        case FlagOwner.UNOWNED:
            after = flag_actions
        case FlagOwner.EXPERIMENT if is_over:
            after = [action for action in EXPERIMENT_ACTIONS if action in policies]
        case FlagOwner.EXPERIMENT:  # PostHog leaves a copy of each
            after = [EXPERIMENT_TWINS[action] for action in flag_actions]
        case _:
            after = []
    if owner is FlagOwner.UNOWNED:
        counterparts = flag_actions
    else:
        counterparts = [action for action in flag_actions if EXPERIMENT_TWINS[action] in after]
    return FlagCoverage(
        address,
        owner,
        now=_name_policies(address, after if is_over else flag_actions),
        after=_name_policies(address, after),
        loses=len(counterparts) < len(flag_actions),
    )


def _name_policies(flag: Address, actions: list[str]) -> tuple[Address, ...]:
    return tuple(Address(_POLICY, (*flag.parts[:-1], action)) for action in actions)


def _list_copies(
    rows: list[FlagCoverage], enabled: Mapping[tuple[str, ...], _Policies], live: Live
) -> Iterator[PolicyCopy]:
    """Yield what keeps the flags of experiments covered and is not live yet."""
    scopes = {row.address.parts[:-1] for row in rows if row.owner is FlagOwner.EXPERIMENT}
    for scope in sorted(scopes):
        for action, twin in EXPERIMENT_TWINS.items():
            address = Address(_POLICY, (*scope, twin))
            source = enabled.get(scope, {}).get(action)
            if source is not None and address not in live.resources:
                yield PolicyCopy(address, source)
