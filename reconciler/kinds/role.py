"""Define roles (contract 8.1, 8.2): a name and the people who hold it."""

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
    build_plain_requests,
    normalize_set,
)


def to_spec(payload: Payload) -> Spec:
    """Return the members of a payload, still as user uuids."""
    return {
        "members": [str(membership["user"]["uuid"]) for membership in payload.get("members") or ()]
    }


def to_payload(spec: Spec) -> Payload:
    """Return nothing: a role has only its name; members have their own calls."""
    return {}


def normalize(spec: Spec) -> Spec:
    """Sort the members: their order means nothing."""
    if spec.get("members") is None:
        return {name: [] for name in spec}
    return {**spec, "members": normalize_set(spec["members"])}


def find_written_at(payload: Payload) -> str | None:
    """Return when somebody was last added; removed members leave no trace."""
    times = [membership.get("joined_at") for membership in payload.get("members") or ()]
    return max((str(at) for at in times if at), default=None)


def split_stages(action: Action, spec: Spec, *, split: bool) -> tuple[Spec, ...]:
    """Create the role first, then its memberships, which need its id."""
    if action is Action.CREATE:
        return ({}, dict(spec)) if spec.get("members") else ({},)
    return (spec,)


def build_requests(kind: Kind, write: Write) -> tuple[Request, ...]:
    """Return one call per membership, removals first, so that a role is never too wide."""
    calls = (
        build_plain_requests(kind, write) if write.action is not Action.UPDATE or write.name else ()
    )
    if "members" not in write.spec or write.live is None:
        return calls
    memberships = {
        str(memberships["user"]["uuid"]): str(memberships["id"])
        for memberships in write.live.get("members") or ()
    }
    wanted = [str(uuid) for uuid in write.spec["members"]]
    base = kind.path(kind.item, write.ids) + "role_memberships/"
    leave = (
        Request("DELETE", f"{base}{memberships[uuid]}/")
        for uuid in memberships
        if uuid not in set(wanted)
    )
    join = (
        Request("POST", base, {"user_uuid": uuid}) for uuid in wanted if uuid not in memberships
    )
    return (*calls, *leave, *join)


def is_echo(request: Request, body: Payload) -> bool:
    """Return whether the response shows a membership of the requested person."""
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
    noun="role",
    api_scope="organization",
    to_spec=to_spec,
    to_payload=to_payload,
    for_admins=True,
    canonical=normalize,
    key_payload="name",
    renamable=True,
    references=(Reference("members[]", kind="Member", id_field="uuid", orders=False),),
    sets=("members",),
    defaults={"members": []},
    folds_case=True,
    of_people=("members",),
    apart=("members",),
    stages=split_stages,
    requests=build_requests,
    echoes=is_echo,
    activity_scopes=("Role",),
    unlogged=("members",),
    written_at=find_written_at,
)
