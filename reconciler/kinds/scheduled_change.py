"""Define scheduled changes of flags (contract 18): read with the flags, never declared."""

from reconciler.model import Kind, Scope, build_field_reader, keep_spec

KIND = Kind(
    name="ScheduledChange",
    scope=Scope.PROJECT,
    rank=65,
    key="id",
    collection="/api/projects/{project}/scheduled_changes/",
    item="/api/projects/{project}/scheduled_changes/{id}/",
    plural="scheduled_changes",
    noun="scheduled change",
    api_scope="feature_flag",
    to_spec=keep_spec,
    to_payload=keep_spec,
    identify=build_field_reader("id"),
    unique=False,
    listed=frozenset(
        {
            *("id", "record_id", "payload", "scheduled_at", "executed_at", "change_request"),
            *("last_executed_at", "failure_reason", "created_by"),
            *("is_recurring", "recurrence_interval", "cron_expression"),
        }
    ),
    params={"model_name": "FeatureFlag"},
    declared=False,
)
