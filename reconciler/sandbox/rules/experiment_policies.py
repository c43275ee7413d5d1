"""Approval policies of experiments: mirrors of flag policies until the hand-over (contract 3.8)."""

from dataclasses import replace

from reconciler.sandbox.rules.gated_changes import EXPERIMENT_FAMILY, FLAG_FAMILY
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import Organization, Policy
from reconciler.sandbox.store.transaction import Transaction

EXPERIMENT_KEYS = frozenset(EXPERIMENT_FAMILY.values())
_SOURCES = {EXPERIMENT_FAMILY[kind]: FLAG_FAMILY[kind] for kind in FLAG_FAMILY}
_COPIED = (
    *("conditions", "approver_config", "allow_self_approve", "bypass_org_membership_levels"),
    *("bypass_roles", "expires_after", "enabled", "created_by"),
)


def are_hidden(profile: Profile, organization: Organization) -> bool:
    """Return whether the experiment policies of an organization are internal copies."""
    return profile.knows_owners and not organization.owner_scoping


def sync_experiment_policies(tx: Transaction, profile: Profile) -> int:
    """Copy each flag policy to its experiment action, where policies are not yet by owner."""
    changed = 0
    for organization in tx.find_all(Organization):
        if are_hidden(profile, organization):
            changed += _sync_organization(tx, organization)
    return changed


def _sync_organization(tx: Transaction, organization: Organization) -> int:
    changed = 0
    policies = tx.find_all(Policy, organization=organization.id)
    by_place = {(policy.project, policy.action_key): policy for policy in policies}
    places = dict.fromkeys(policy.project for policy in policies)
    for project in places:
        for key, source_key in _SOURCES.items():
            source, copy = by_place.get((project, source_key)), by_place.get((project, key))
            if source is None and copy is not None:
                tx.delete(copy)
            elif source is not None and not _is_copy(source, copy):
                _write_copy(tx, source, copy, key)
            else:
                continue
            changed += 1
    return changed


def _is_copy(source: Policy, copy: Policy | None) -> bool:
    return copy is not None and all(
        getattr(copy, name) == getattr(source, name) for name in _COPIED
    )


def _write_copy(tx: Transaction, source: Policy, copy: Policy | None, key: str) -> None:
    fields = {name: getattr(source, name) for name in _COPIED}
    if copy is not None:
        tx.update(replace(copy, **fields, updated_at=tx.at))
        return
    tx.insert(
        replace(source, id=tx.make_uuid(), action_key=key, created_at=tx.at, updated_at=tx.at)
    )
