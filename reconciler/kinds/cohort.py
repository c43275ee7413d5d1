"""Define cohorts (contract 9.8): files name them in conditions of flags, but never declare them."""

from reconciler.model import Kind, Scope, keep_spec

KIND = Kind(
    name="Cohort",
    scope=Scope.PROJECT,
    rank=55,
    key="name",
    collection="/api/projects/{project}/cohorts/",
    item="/api/projects/{project}/cohorts/{id}/",
    plural="cohorts",
    noun="cohort",
    api_scope="cohort",
    to_spec=keep_spec,
    to_payload=keep_spec,
    identify=lambda payload: str(payload["name"] or ""),
    unique=False,
    listed=frozenset({"id", "name"}),
    params={"basic": "true"},
    declared=False,
)
