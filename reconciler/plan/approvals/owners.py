"""Find who owns a flag, and whether an organization has policies per owner (contract 3.8, 5.8)."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from reconciler.model import EXPERIMENT_ACTIONS, EXPERIMENT_TWINS, FLAG_ACTIONS, Live, LiveResource


class Owner(Enum):
    """The product that owns a flag, as far as the flag shows it."""

    NOBODY = "nobody: the flag is standalone"
    EXPERIMENT = "an experiment"
    EARLY_ACCESS_FEATURE = "an early access feature"
    UNKNOWN = "nobody, a survey or a product tour: no answer shows which"


SHOWN_IN: Final = ("experiment_set", "features")  # the fields of a flag that show its owner


def find_owner(live_flag: LiveResource | None) -> Owner:
    """Return who owns a flag; one that does not exist yet is standalone."""
    if live_flag is None:
        return Owner.NOBODY
    if live_flag.payload.get("experiment_set"):
        return Owner.EXPERIMENT
    if live_flag.payload.get("features"):
        return Owner.EARLY_ACCESS_FEATURE
    return Owner.UNKNOWN


def find_gating_actions(live_flag: LiveResource | None, *, scoped: bool) -> Mapping[str, str]:
    """Return the action that gates a flag in place of each action on standalone flags.

    `scoped`: whether the organization has policies per owner.
    """
    owner = find_owner(live_flag)
    if scoped and owner is Owner.EXPERIMENT:
        return EXPERIMENT_TWINS
    if scoped and owner is Owner.EARLY_ACCESS_FEATURE:
        return {}
    return {action: action for action in FLAG_ACTIONS}


def list_scoped_organizations(live: Live) -> frozenset[str]:
    """Return the organizations that certainly have policies per owner.

    The switch itself cannot be read: only where it is on do policies of experiments exist to be
    read (contract 3.8).
    """
    return frozenset(
        address.organization
        for address in live.resources
        if address.kind == "ApprovalPolicy" and address.name in EXPERIMENT_ACTIONS
    )
