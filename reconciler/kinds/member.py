"""Define members (contract 8.3): a person's level in an organization."""

from reconciler.model import Kind, Payload, Scope, Spec, field_at, level_number, level_word


def to_spec(payload: Payload) -> Spec:
    """Return the spec of a payload: 8 becomes admin."""
    return {"level": level_word(payload["level"])}


def to_payload(spec: Spec) -> Payload:
    """Return the payload of a spec."""
    return {"level": level_number(spec["level"])} if "level" in spec else {}


KIND = Kind(
    name="Member",
    scope=Scope.ORGANIZATION,
    rank=40,
    key="email",
    collection="/api/organizations/{organization}/members/",
    item="/api/organizations/{organization}/members/{id}/",
    plural="members",
    api_scope="organization_member",
    to_spec=to_spec,
    to_payload=to_payload,
    for_admins=True,
    identify=field_at("user", "email"),
    identity=field_at("user", "uuid"),
    folds_case=True,
    search="email",
    point_read=False,
    cannot_create="people join an organization by accepting an invitation",
    activity_scopes=("OrganizationMembership",),
    activity_ids=lambda payload: (str(payload["id"]), str(payload["user"]["uuid"])),
)
