"""Define experiments (contract 17): read to find the flags that a holdout belongs to."""

from reconciler.model import Kind, Scope, keep_spec

KIND = Kind(
    name="Experiment",
    scope=Scope.PROJECT,
    rank=56,
    key="name",
    collection="/api/projects/{project}/experiments/",
    item="/api/projects/{project}/experiments/{id}/",
    plural="experiments",
    noun="experiment",
    api_scope="experiment",
    introduced="autumn 2026",
    to_spec=keep_spec,
    to_payload=keep_spec,
    identify=lambda payload: str(payload["name"] or ""),
    unique=False,
    listed=frozenset({"id", "name", "feature_flag_key", "feature_flag", "holdout_id", "holdout"}),
    declared=False,
)
