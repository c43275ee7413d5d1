"""Roles (contract 8.1, 8.2): a name and the people who hold it."""

from collections.abc import Mapping

from reconciler.model import (
    Action,
    Kind,
    Payload,
    Reference,
    Request,
    Scope,
    Spec,
    Write,
    as_set,
    plain_requests,
)


def to_spec(payload: Payload) -> Spec:
    """What the API sends -> members, still as user uuids."""
    return {
        "members": [str(membership["user"]["uuid"]) for membership in payload.get("members") or ()]
    }


def to_payload(spec: Spec) -> Payload:
    """A role itself has nothing but its name; members have calls of their own."""
    return {}


def canonical(spec: Spec) -> Spec:
    """Who holds a role is a set."""
    if spec.get("members") is None:
        return {name: [] for name in spec}
    return {**spec, "members": as_set(spec["members"])}


def written_at(payload: Payload) -> str | None:
    """When somebody was added last; of who was taken out nothing is left."""
    times = [held.get("joined_at") for held in payload.get("members") or ()]
    return max((str(at) for at in times if at), default=None)


def stages(action: Action, spec: Spec, *, split: bool) -> tuple[Spec, ...]:
    """The role first, its memberships when it has an id."""
    if action is Action.CREATE:
        return ({}, dict(spec)) if spec.get("members") else ({},)
    return (spec,)


def requests(kind: Kind, write: Write) -> tuple[Request, ...]:
    """One call a membership: who leaves goes first, so that a role is never too wide."""
    calls = plain_requests(kind, write) if write.action is not Action.UPDATE or write.name else ()
    if "members" not in write.spec or write.live is None:
        return calls
    held = {str(held["user"]["uuid"]): str(held["id"]) for held in write.live.get("members") or ()}
    wanted = [str(uuid) for uuid in write.spec["members"]]
    base = kind.path(kind.item, write.ids) + "role_memberships/"
    leave = (Request("DELETE", f"{base}{held[uuid]}/") for uuid in held if uuid not in set(wanted))
    join = (Request("POST", base, {"user_uuid": uuid}) for uuid in wanted if uuid not in held)
    return (*calls, *leave, *join)


def echoes(request: Request, body: Payload) -> bool:
    """Return whether the answer shows a membership of the person it was asked for."""
    user, sent = body.get("user"), (request.body or {}).get("user_uuid")
    return isinstance(user, Mapping) and sent is not None and user.get("uuid") == sent


KIND = Kind(
    name="Role",
    scope=Scope.ORGANIZATION,
    rank=30,
    key="name",
    collection="/api/organizations/{organization}/roles/",
    item="/api/organizations/{organization}/roles/{id}/",
    plural="roles",
    api_scope="organization",
    to_spec=to_spec,
    to_payload=to_payload,
    for_admins=True,
    canonical=canonical,
    key_payload="name",
    renamable=True,
    references=(Reference("members[]", kind="Member", id_field="uuid", orders=False),),
    sets=("members",),
    defaults={"members": []},
    folds_case=True,
    of_people=("members",),
    apart=("members",),
    stages=stages,
    requests=requests,
    echoes=echoes,
    activity_scopes=("Role",),
    unlogged=("members",),
    written_at=written_at,
)
