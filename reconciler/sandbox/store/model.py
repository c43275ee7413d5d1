"""The objects of the emulated world, as frozen values: a change makes a new value.

Times are text of one width (`2026-01-05T09:00:00.000000Z`), so that they sort as they are
stored; `clock.shown` gives the form that the API prints.
"""

from dataclasses import dataclass, field
from typing import Any

Json = Any

MEMBER, ADMIN, OWNER = 1, 8, 15
LEVELS = (MEMBER, ADMIN, OWNER)


@dataclass(frozen=True, slots=True)
class User:
    """A person or a service account."""

    id: int
    uuid: str
    email: str
    distinct_id: str
    created_at: str
    first_name: str = ""
    last_name: str = ""
    is_active: bool = True
    is_email_verified: bool | None = True
    hedgehog_config: Json = None
    role_at_organization: str | None = None
    current_organization: str | None = None
    current_project: int | None = None
    is_2fa_enabled: bool = False
    has_social_auth: bool = False
    last_login: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A personal API key. Its id is the key itself."""

    id: str
    user: int
    scopes: list[str]
    scoped_teams: list[int] = field(default_factory=list)
    scoped_organizations: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization and its settings (contract 6.1)."""

    id: str
    name: str
    slug: str
    created_at: str
    updated_at: str
    available_product_features: list[Json] | None = None
    logo_media_id: str | None = None
    plugins_access_level: int = 9
    is_member_join_email_enabled: bool = True
    metadata: Json = field(default_factory=dict)
    customer_id: str | None = None
    enforce_2fa: bool | None = None
    members_can_invite: bool | None = True
    members_can_use_personal_api_keys: bool = True
    members_can_create_projects: bool | None = None
    members_can_see_org_members: bool = True
    enforce_verified_domains: bool | None = None
    allow_publicly_shared_resources: bool = True
    is_ai_data_processing_approved: bool | None = None
    is_ai_training_opted_in: bool | None = None
    is_ai_training_locked: bool | None = False
    is_ai_training_cta_shown: bool | None = False
    is_hipaa: bool | None = False
    default_experiment_stats_method: str | None = "bayesian"
    default_anonymize_ips: bool = False
    default_role_id: str | None = None
    is_active: bool = True
    is_not_active_reason: str | None = None
    is_pending_deletion: bool | None = False
    evaluation_contexts_enabled: bool = True  # PostHog's own switch, in no response
    owner_scoping: bool = False  # another switch: policies by the owner of a flag (5.8)
    uses_most_specific_access_resolution: bool = False  # how access rules combine (contract 20)
    domains: list[Json] = field(default_factory=list)  # {domain, is_verified}

    def lists_domain(self, email: str) -> bool:
        """Return whether an email address is on a verified domain."""
        domain = email.rpartition("@")[2].lower()
        return any(row["is_verified"] and row["domain"].lower() == domain for row in self.domains)

    def has(self, feature: str) -> bool:
        """Return whether the plan includes a paid feature (contract 1.4)."""
        return any(
            included.get("key") == feature for included in self.available_product_features or ()
        )


# fields that are not settings in the responses of all generations; each has its own key in a seed
HIDDEN_SETTINGS = (
    *("evaluation_contexts_enabled", "owner_scoping"),
    *("uses_most_specific_access_resolution", "domains"),
)


@dataclass(frozen=True, slots=True)
class Membership:
    """A user's place in an organization."""

    id: str
    organization: str
    user: int
    level: int
    joined_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Role:
    """A named group of people of one organization."""

    id: str
    organization: str
    name: str
    created_at: str
    created_by: int | None = None


@dataclass(frozen=True, slots=True)
class RoleMember:
    """A user's place in a role."""

    id: str
    role: str
    user: int
    joined_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Project:
    """A project; its only environment has the same id (contract 10)."""

    id: int
    uuid: str
    organization: str
    api_token: str
    name: str
    created_at: str
    updated_at: str
    timezone: str = "UTC"
    is_demo: bool = False
    ingested_event: bool = False
    completed_snippet_onboarding: bool = False
    has_completed_onboarding_for: Json = None
    access_control: bool = False
    members: list[int] = field(default_factory=list)  # who may enter, if access_control is on
    session_replay_flag: int | None = None  # the flag that session replay refers to
    access_controls: list[Json] = field(default_factory=list)  # rules, with ids
    settings: Json = field(default_factory=dict)  # those that are not at their default


@dataclass(frozen=True, slots=True)
class Policy:
    """An approval policy (contract 3). Without a project it holds for the organization."""

    id: str
    organization: str
    project: int | None
    action_key: str
    approver_config: Json
    created_at: str
    updated_at: str
    conditions: Json = field(default_factory=dict)
    allow_self_approve: bool = False
    bypass_org_membership_levels: list[Json] = field(default_factory=list)
    bypass_roles: list[str] = field(default_factory=list)
    expires_after: str = "14 00:00:00"
    enabled: bool = True
    created_by: int | None = None


@dataclass(frozen=True, slots=True)
class Flag:
    """A feature flag (contract 9.1)."""

    id: int
    project: int
    key: str
    filters: Json
    created_at: str
    updated_at: str
    name: str = ""
    active: bool = True
    deleted: bool = False
    archived: bool = False
    created_by: int | None = None
    last_modified_by: int | None = None
    version: int = 1
    tags: list[str] = field(default_factory=list)
    evaluation_contexts: list[str] = field(default_factory=list)
    ensure_experience_continuity: bool | None = False
    is_remote_configuration: bool | None = False
    has_encrypted_payloads: bool | None = False
    evaluation_runtime: str = "all"
    bucketing_identifier: str | None = None
    analytics_dashboards: list[int] = field(default_factory=list)
    creation_context: str | None = None
    experiment_set: list[Json] = field(default_factory=list)
    experiment_set_metadata: list[Json] = field(default_factory=list)
    surveys: list[Json] = field(default_factory=list)
    features: list[Json] = field(default_factory=list)
    usage_dashboard: int | None = None
    has_enriched_analytics: bool | None = False
    last_called_at: str | None = None
    is_used_in_replay_settings: bool = False


@dataclass(frozen=True, slots=True)
class Cohort:
    """A named set of people of a project, which conditions of flags refer to (contract 9.8)."""

    id: int
    project: int
    name: str | None
    created_at: str
    description: str = ""
    is_static: bool = False
    deleted: bool = False
    filters: Json = field(default_factory=dict)
    count: int | None = None
    created_by: int | None = None


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """A write that waits for approval, or its outcome (contract 7.1)."""

    id: str
    project: int
    action_key: str
    resource_id: str | None
    intent: Json
    policy_snapshot: Json
    created_at: str
    updated_at: str
    expires_at: str
    action_version: int = 1
    resource_type: str = "feature_flag"
    intent_display: Json = field(default_factory=dict)
    validation_status: str = "valid"
    validation_errors: Json = None
    validated_at: str | None = None
    state: str = "pending"
    created_by: int | None = None
    applied_by: int | None = None
    applied_at: str | None = None
    apply_error: str = ""
    result_data: Json = None
    owner_kind: str | None = None  # of the flag at filing (contract 5.8); in no response

    @property
    def flag_key(self) -> str | None:
        """Return the key of the flag that the intent is about."""
        key = self.intent.get("flag_key")
        return key if isinstance(key, str) else None


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's decision on one change request."""

    id: str
    change_request: str
    user: int
    decision: str
    created_at: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the activity log (contract 11.2)."""

    id: str
    organization: str
    project: int | None
    scope: str
    activity: str
    created_at: str
    item_id: str | None = None
    user: int | None = None
    detail: Json = None
    client: str | None = None
    ip_address: str | None = None
    is_system: bool | None = False
    was_impersonated: bool | None = False


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """Settings of the whole world: its clock, counters, plan and limits."""

    frozen_at: str | None = None  # the clock is frozen here
    offset_us: int = 0  # otherwise it follows real time with this offset
    swept_hour: int = 0  # the hour of the last run of the periodic tasks
    scheduled_minute: int = 0  # the minute of the last look for scheduled changes
    serial: int = 0  # the number of uuids made so far
    last_ids: dict[str, int] = field(default_factory=dict)
    cloud: bool = False
    per_minute: int | None = None
    per_hour: int | None = None
    profile: str | None = None  # the generation; None: the default
    withhold_payloads: bool = False  # contract 7.2: requests show encrypted payloads redacted
