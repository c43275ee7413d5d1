"""Find who owns a flag, and whether an organization has policies per owner (contract 3.8, 5.8)."""

from enum import Enum

from reconciler.model import EXPERIMENT_ACTIONS, Live, LiveResource


class Owner(Enum):
    """The product that owns a flag, as far as the flag shows it."""

    NOBODY = "nobody: the flag is standalone"
    EXPERIMENT = "an experiment"
    EARLY_ACCESS_FEATURE = "an early access feature"
    UNKNOWN = "nobody, a survey or a product tour: no answer shows which"


def find_owner(live_flag: LiveResource | None) -> Owner:
    """Return who owns a flag; one that does not exist yet is standalone."""
    if live_flag is None:
        return Owner.NOBODY
    if live_flag.payload.get("experiment_set"):
        return Owner.EXPERIMENT
    if live_flag.payload.get("features"):
        return Owner.EARLY_ACCESS_FEATURE
    return Owner.UNKNOWN


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
