"""Define projects (contract 10): named by name, which the server does not keep unique."""

from reconciler.model import Kind, Payload, Scope, Spec


def to_spec(payload: Payload) -> Spec:
    """Return the spec of a payload."""
    return {"timezone": payload["timezone"]} if "timezone" in payload else {}


def to_payload(spec: Spec) -> Payload:
    """Return the payload of a spec."""
    return dict(spec)


KIND = Kind(
    name="Project",
    scope=Scope.ORGANIZATION,
    rank=20,
    key="name",
    collection="/api/organizations/{organization}/projects/",
    item="/api/projects/{id}/",
    plural="projects",
    api_scope="project",
    to_spec=to_spec,
    to_payload=to_payload,
    key_payload="name",
    renamable=True,
    defaults={"timezone": "UTC"},
    unique=False,
    protected=True,
    activity_scopes=("Project", "Team"),
)
