"""The schemas in the OpenAPI document of what bodies and queries may contain."""

from reconciler.sandbox.api.openapi_schemas import (
    FLAG,
    LATER_SETTINGS,
    POLICY,
    PROJECT_SETTINGS,
    SETTINGS,
)
from reconciler.sandbox.protocol.openapi_types import Schema, make_body

BODIES: dict[str, Schema] = {
    "approval_policies": make_body(
        POLICY
        + """
        object: conditions
        approvers: approver_config
        ints: bypass_org_membership_levels
        [uuid]: bypass_roles
        duration: expires_after
        """,
        required=("action_key", "approver_config"),
    ),
    "change_requests": make_body("str: reason"),
    "feature_flags": make_body(
        FLAG
        + """
        key: key
        filters: filters
        bool: archived
        words: evaluation_contexts evaluation_tags
        int: version
        object: original_flag
        str: creation_context _create_in_folder
        """,
        required=("key", "filters"),
    ),
    "organizations": make_body(SETTINGS + LATER_SETTINGS, required=("name",)),
    "members": make_body("level: level"),
    "roles": make_body("str: name", required=("name",)),
    "role_memberships": make_body("uuid: user_uuid", required=("user_uuid",)),
    "projects": make_body("str: name timezone" + PROJECT_SETTINGS),
    "experiment_holdouts": make_body(
        "str: name\n?str: description\nholdout_groups: filters", required=("name", "filters")
    ),
    "scheduled_changes": make_body(
        "str: record_id\nmodel: model_name\nobject: payload\ntime: scheduled_at",
        required=("record_id", "model_name", "payload", "scheduled_at"),
    ),
    "experiments": make_body(
        """
        str: name description
        key: feature_flag_key
        ?int: holdout_id
        bool: archived deleted update_feature_flag_params
        """,
        required=("name", "feature_flag_key"),
    ),
    "access_controls": make_body(
        "?str: access_level\nstr: resource\n?uuid: organization_member role",
        required=("access_level",),
    ),
    "access_settings": make_body(
        "?str: access_level\nstr: resource resource_id\n?uuid: member_id role_id",
        required=("access_level", "resource"),
    ),
    "activity_logs": make_body("format: format\nobject: filters", required=("format",)),
}

ACTION_BODIES: dict[str, Schema] = {
    "feature_flags.copy_flags": make_body(
        """
        str: feature_flag_key
        int: from_project
        ints: target_project_ids
        bool: copy_schedule disable_copied_flag
        """,
        required=("feature_flag_key", "from_project", "target_project_ids"),
    ),
    "feature_flags.set_release_condition_rollout": make_body(
        "int: condition_index\nnum: rollout_percentage\n?int: version",
        required=("condition_index", "rollout_percentage", "version"),
    ),
    "feature_flags.roll_out_to_everyone": make_body(
        "?str: variant_key\n?int: version", required=("version",)
    ),
}

_QUERIES = {
    "approval_policies.list": "action_key enabled",
    "change_requests.list": "state action_key requester resource_type resource_id",
    "members.list": "email updated_after search order",
    "feature_flags.list": (
        "active search key type created_by_id evaluation_runtime tags excluded_tags archived "
        "has_evaluation_contexts excluded_properties order"
    ),
    "experiments.list": "archived search",
    "scheduled_changes.list": "model_name record_id",
    "access_settings.roles": "role_id",
    "access_settings.members": "member_id",
    "cohorts.list": "basic type search created_by_id",
    "activity_logs.list": (
        "start_date end_date users scopes activities clients item_ids team_ids ip_addresses "
        "search_text detail_filters hogql_filter was_impersonated is_system ordering page "
        "page_size cursor"
    ),
}
QUERIES = {route: tuple(names.split()) for route, names in _QUERIES.items()}
