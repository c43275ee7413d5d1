"""Define cohorts (contract 9.8): files name them in conditions of flags, but never declare them."""

from reconciler.model import Kind, Scope, no_change

KIND = Kind(
    name="Cohort",
    scope=Scope.PROJECT,
    rank=55,
    key="name",
    collection="/api/projects/{project}/cohorts/",
    item="/api/projects/{project}/cohorts/{id}/",
    plural="cohorts",
    api_scope="cohort",
    to_spec=no_change,
    to_payload=no_change,
    identify=lambda payload: str(payload["name"] or ""),
    unique=False,
    listed=frozenset({"id", "name"}),
    params={"basic": "true"},
    declared=False,
)
