"""Define members (contract 8.3): a person's level in an organization."""

from reconciler.model import (
    Kind,
    Payload,
    Scope,
    Spec,
    build_field_reader,
    format_level,
    parse_level,
)


def to_spec(payload: Payload) -> Spec:
    """Return the spec of a payload: 8 becomes admin."""
    return {"level": format_level(payload["level"])}


def to_payload(spec: Spec) -> Payload:
    """Return the payload of a spec."""
    return {"level": parse_level(spec["level"])} if "level" in spec else {}


KIND = Kind(
    name="Member",
    scope=Scope.ORGANIZATION,
    rank=40,
    key="email",
    collection="/api/organizations/{organization}/members/",
    item="/api/organizations/{organization}/members/{id}/",
    plural="members",
    noun="person",
    api_scope="organization_member",
    to_spec=to_spec,
    to_payload=to_payload,
    for_admins=True,
    identify=build_field_reader("user", "email"),
    identity=build_field_reader("user", "uuid"),
    folds_case=True,
    search="email",
    point_read=False,
    cannot_create="people join an organization by accepting an invitation",
    activity_scopes=("OrganizationMembership",),
    activity_ids=lambda payload: (str(payload["id"]), str(payload["user"]["uuid"])),
)
