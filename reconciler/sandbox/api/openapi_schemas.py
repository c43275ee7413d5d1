"""The schemas in the OpenAPI document: what responses always contain.

They are written independently of the code that makes the responses, so that a test can compare the
two.
"""

from reconciler.sandbox.protocol.openapi_types import Schema, make_body, make_object, parse_type

_ACCESS_LEVELS = "words: available_project_levels available_resource_levels\nbool: can_edit\n"
_USER = """
int: id
uuid: uuid
str: distinct_id first_name last_name email
?bool: is_email_verified
?object: hedgehog_config
?str: role_at_organization
"""
_PROJECT = """
int: id project_id
uuid: uuid organization
str: api_token name timezone
bool: completed_snippet_onboarding ingested_event is_demo access_control
any: has_completed_onboarding_for
"""
_MEMBER = """
uuid: id
UserBasic: user
level: level
time: joined_at updated_at
bool: is_2fa_enabled has_social_auth
?time: last_login
"""
SETTINGS = """
str: name
?uuid: logo_media_id default_role_id
?bool: enforce_2fa members_can_invite is_ai_data_processing_approved
bool: members_can_use_personal_api_keys allow_publicly_shared_resources default_anonymize_ips
method: default_experiment_stats_method
"""
LATER_SETTINGS = """
?bool: members_can_create_projects enforce_verified_domains is_ai_training_opted_in
bool: members_can_see_org_members
"""
PROJECT_SETTINGS = """
object: feature_flag_policy_config
bool: require_evaluation_contexts default_evaluation_contexts_enabled anonymize_ips
bool: feature_flag_confirmation_enabled session_recording_opt_in
?str: feature_flag_confirmation_message
words: app_urls
?bool: receive_org_level_activity_logs test_account_filters_default_checked surveys_opt_in
?bool: heatmaps_opt_in autocapture_opt_out
?int: week_start_day
"""
FLAG = """
str: name
bool: active deleted
words: tags
?bool: ensure_experience_continuity is_remote_configuration has_encrypted_payloads
runtime: evaluation_runtime
bucketing: bucketing_identifier
ints: analytics_dashboards
"""
POLICY = """
str: action_key
bool: allow_self_approve enabled
"""

COMPONENTS: dict[str, Schema] = {
    "Error": make_object("str: type code detail\n?str: attr"),
    "BareError": make_object("str: error", optional="bool: success"),
    "Conflict": make_object("str: code error guidance\n[object]: conflicting_policies"),
    "Held": make_object(
        """
        str: code status detail message resource_type
        ?str: resource_id
        uuid: change_request_id
        ChangeRequest: change_request
        object: required_approvers
        """
    ),
    "UserBasic": make_object(_USER),
    "Me": make_object(
        _USER
        + """
        time: date_joined
        any: pending_email
        bool: is_staff is_impersonated is_2fa_enabled has_social_auth
        ?object: organization team
        [object]: organizations
        """
    ),
    "Key": make_object(
        """
        str: id label mask_value
        ?str: value
        time: created_at
        ?time: last_used_at
        int: user_id
        words: scopes scoped_organizations
        ints: scoped_teams
        """
    ),
    "Project": make_object(_PROJECT),
    "FullProject": make_object(
        _PROJECT
        + PROJECT_SETTINGS
        + "time: created_at updated_at\n?int: effective_membership_level\n"
        + "?str: secret_api_token secret_api_token_backup"
    ),
    "Organization": make_object(
        SETTINGS
        + """
        uuid: id
        str: slug
        time: created_at updated_at
        ?level: membership_level
        int: plugins_access_level member_count
        [Project]: teams
        [object]: projects
        ?list: available_product_features
        bool: is_member_join_email_enabled is_active
        any: metadata
        ?str: customer_id is_not_active_reason
        ?bool: is_pending_deletion
        """,
        optional=LATER_SETTINGS
        + "bool: uses_most_specific_access_resolution\n"
        + "?bool: is_ai_training_locked is_ai_training_cta_shown is_hipaa",
    ),
    "Domain": make_object(
        "uuid: id\nstr: domain sso_enforcement\nbool: is_verified jit_provisioning_enabled"
    ),
    "AccessRule": make_object(
        "str: access_level resource\n?str: resource_id\n?uuid: organization_member role\n"
        "?int: created_by\ntime: created_at updated_at"
    ),
    "AccessRules": make_object(
        """
        [AccessRule]: access_controls
        words: available_access_levels
        str: default_access_level minimum_access_level maximum_access_level user_access_level
        bool: user_can_edit_access_levels
        """
    ),
    "StoredAccessRule": make_object(
        "str: access_level resource\n?str: resource_id\n?uuid: member_id role_id"
    ),
    "AccessDefaults": make_object(
        _ACCESS_LEVELS + "str: project_access_level\nobject: resource_access_levels\n"
        "[object]: object_rule_resources"
    ),
    "RoleAccess": make_object(_ACCESS_LEVELS + "[AccessOfRole]: results"),
    "AccessOfRole": make_object("uuid: role_id\nstr: role_name\nobject: project resources"),
    "MemberAccess": make_object(_ACCESS_LEVELS + "[AccessOfMember]: results"),
    "AccessOfMember": make_object(
        "uuid: organization_membership_id\nobject: user project resources\n"
        "int: organization_level\nwords: role_ids"
    ),
    "AccessResolution": make_object("bool: uses_most_specific_access_resolution"),
    "Member": make_object(_MEMBER, optional="?str: search_match_type"),
    "Role": make_object(
        """
        uuid: id
        str: name
        time: created_at
        ?UserBasic: created_by
        [RoleMembership]: members
        bool: is_default
        """
    ),
    "RoleMembership": make_object(
        """
        uuid: id role_id
        ?Member: organization_member
        UserBasic: user
        time: joined_at updated_at
        """
    ),
    "ApprovalPolicy": make_object(
        POLICY
        + """
        any: conditions
        object: approver_config
        uuid: id
        list: bypass_org_membership_levels
        words: bypass_roles
        span: expires_after
        ?UserBasic: created_by
        time: created_at updated_at
        """
    ),
    "Vote": make_object(
        "uuid: id\n?UserBasic: created_by\ndecision: decision\nstr: reason\ntime: created_at"
    ),
    "ChangeRequest": make_object(
        """
        uuid: id
        str: action_key resource_type apply_error
        int: action_version
        ?str: resource_id
        object: intent intent_display policy_snapshot
        validity: validation_status
        any: validation_errors
        ?time: validated_at applied_at
        state: state
        ?UserBasic: created_by applied_by
        time: created_at updated_at expires_at
        ?object: result_data
        [Vote]: approvals
        bool: can_approve can_cancel is_requester
        ?decision: user_decision
        """
    ),
    "Decision": make_object(
        "outcome: status\nstr: message\nChangeRequest: change_request", optional="object: result"
    ),
    "FeatureFlag": make_object(
        FLAG
        + """
        str: key
        object: filters
        int: id version
        ?UserBasic: created_by last_modified_by
        time: created_at updated_at
        list: experiment_set experiment_set_metadata surveys features
        bool: can_edit is_used_in_replay_settings
        ?int: usage_dashboard
        ?bool: has_enriched_analytics
        str: user_access_level status
        ?time: last_called_at
        """,
        optional="""
        bool: archived is_eligible_for_experiment performed_rollback
        words: evaluation_contexts evaluation_tags
        any: rollback_conditions
        """,
    ),
    "HeldByView": make_object(
        """
        str: code resource_type
        ?str: resource_id
        uuid: change_request_id
        """,
        optional="""
        str: status message error
        ChangeRequest: change_request existing_change_request
        object: required_approvers
        """,
    ),
    "CopiedFlags": make_object("[CopiedFlag]: success\n[FailedCopy]: failed"),
    "CopiedFlag": make_body(
        f"int: team_id\n{FLAG}\nfilters: filters\nwords: flag_dependency_warnings",
        required=("id", "key", "team_id"),
    ),
    "FailedCopy": make_object(
        "int: project_id\nstr: error_message",
        optional="bool: approval_pending\nuuid: change_request_id",
    ),
    "ExperimentHoldout": make_object(
        "int: id\nstr: name user_access_level\n?str: description\n[object]: filters\n"
        "?UserBasic: created_by\ntime: created_at updated_at"
    ),
    "ScheduledChange": make_object(
        """
        int: id team_id
        str: record_id model_name timezone
        object: payload
        time: scheduled_at created_at updated_at
        ?time: executed_at last_executed_at end_date
        ?str: failure_reason recurrence_interval cron_expression
        ?UserBasic: created_by
        bool: is_recurring
        ?object: change_request
        """
    ),
    "Experiment": make_object(
        """
        int: id
        str: name description status user_access_level
        ?time: start_date end_date
        ?str: feature_flag_key conclusion conclusion_comment
        ?object: feature_flag
        ?ExperimentHoldout: holdout
        ?int: holdout_id
        bool: archived deleted
        ?UserBasic: created_by
        time: created_at updated_at
        """
    ),
    "Cohort": make_object(
        "int: id\n?str: name\nstr: description\nbool: deleted is_calculating is_static\n"
        "?int: count\n?UserBasic: created_by\ntime: created_at",
        optional="object: filters\nany: query\nlist: groups",
    ),
    "LogEntry": make_object(
        """
        uuid: id
        ?UserBasic: user
        bool: unread
        ?int: team_id
        ?uuid: organization_id
        ?bool: was_impersonated is_system
        ?str: client item_id
        str: activity scope
        ?object: detail
        time: created_at
        """,
        optional="?str: ip_address",
    ),
    "LogFilters": make_object("object: static_filters detail_fields"),
    "Export": make_object("uuid: id\nformat: export_format"),
}


def make_page_schema(name: str) -> Schema:
    """Return a page of a component (contract 1.6); only the log has no count (contract 11.1)."""
    required = ["next", "previous", "results"]
    link = {"type": ["string", "null"], "format": "uri"}
    return {
        "type": "object",
        "required": required if name == "LogEntry" else ["count", *required],
        "properties": {
            "count": {"type": "integer"},
            "next": link,
            "previous": link,
            "results": {"type": "array", "items": parse_type(name)},
        },
        "additionalProperties": False,
    }


def make_reference(name: str) -> Schema:
    """Return a reference to a component."""
    return parse_type(name)
