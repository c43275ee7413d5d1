"""Generations of the API, and their differences; numbers are sections of the contract."""

from dataclasses import dataclass

from reconciler.sandbox.protocol.errors import SandboxError


@dataclass(frozen=True, slots=True)
class Profile:
    """What a generation does differently; the defaults are those of G2."""

    name: str
    gates_creates: bool = True  # 5.2
    refuses_several_actions: bool = True  # 5.1, step 6
    bare_conflict: bool = True  # 5.5: else flattened by the envelope
    checks_quorum: bool = True  # 3.1
    reserves_action_keys: bool = True  # 3.1
    converts_levels: bool = True  # 3.1
    merges_filters: bool = True  # 9.2
    knows_holdout: bool = True  # contract 4: else holdout_groups and super_groups
    knows_release_conditions: bool = True  # contract 4
    replays_normalized: bool = True  # 7.2: full_request_data is the validated change
    blocks_cancel_after_approval: bool = True  # 7.4
    marks_expired: bool = False  # 7.1: validation_status `expired`
    has_archive: bool = True  # contract 9: `archived`, enable and disable actions
    rechecks_requester: bool = True  # 7.5, step 2
    drops_unchanged: bool = True  # 9.4
    announces_alias: bool = True  # 1.1: Deprecation and Link on /api/environments/
    bare_decisions: bool = False  # contract 13: what the documentation shows
    counts_logs: bool = False  # 11.1, as documented
    exports_logs: bool = False  # contract 11, as documented
    logs_address: bool = True  # 11.2: `ip_address`
    has_later_fields: bool = True  # 6.1, 9.1: those that came after the first generation
    has_rollbacks: bool = True  # 9.1: `rollback_conditions` and `performed_rollback`
    gates_targeting: bool = False  # 4, 5.2: every release condition of a standalone flag
    knows_owners: bool = False  # 3.8, 5.8: owners, experiment policies and their mirrors
    rechecks_requests: bool = False  # 7.5: marks are derived again, the requester is checked first
    shows_payloads: bool = False  # 7.2: requests contain encrypted payloads in plain text
    has_early_exit: bool = False  # 9.2: `filters.early_exit: true` is accepted
    schedules_changes: bool = False  # contract 18
    completes_filters: bool = False  # 9.2: a flag may be created without filters
    names_copy_requests: bool = False  # contract 19: a copy that waits names its request


G3 = Profile(
    "g3",
    gates_targeting=True,
    knows_owners=True,
    rechecks_requests=True,
    shows_payloads=True,
    has_early_exit=True,
    schedules_changes=True,
    completes_filters=True,
    names_copy_requests=True,
    has_rollbacks=False,
)
G2 = Profile("g2")
G1 = Profile(
    "g1",
    gates_creates=False,
    refuses_several_actions=False,
    bare_conflict=False,
    checks_quorum=False,
    reserves_action_keys=False,
    converts_levels=False,
    merges_filters=False,
    knows_holdout=False,
    knows_release_conditions=False,
    replays_normalized=False,
    blocks_cancel_after_approval=False,
    marks_expired=True,
    has_archive=False,
    rechecks_requester=False,
    drops_unchanged=False,
    announces_alias=False,
    logs_address=False,
    has_later_fields=False,
)
DOCS = Profile("docs", bare_decisions=True, counts_logs=True, exports_logs=True, logs_address=False)

PROFILES = {profile.name: profile for profile in (G3, G2, G1, DOCS)}
DEFAULT = G3  # of a sandbox that neither an option nor its seed gives a profile


def find_profile(name: str) -> Profile:
    """Return the profile with this name.

    Raises:
        SandboxError: the name is unknown.
    """
    if name not in PROFILES:
        raise SandboxError(f"unknown profile {name!r}: choose g3, g2, g1 or docs")
    return PROFILES[name]
