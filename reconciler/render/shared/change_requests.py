"""Change requests (contract 7.1) as values to show: names for ids, votes counted, intent as moves.

What the server sent is believed to be of any shape: what is missing or odd is shown as unknown.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.model import ABSENT, Approvers, Payload

People = Mapping[int, str]  # emails by user id
Roles = Mapping[str, str | Mapping[str, Any]]  # by id: the name, or {"name": …, "members": […]}

_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d(\.\d+)?)?(Z|\+00:00)")
_PENDING: Final = "pending"


@dataclass(frozen=True, slots=True)
class ShownVote:
    """One vote, with what was said."""

    person: str
    approved: bool
    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class ValueChange:
    """One value that the request is about: as it was when it was filed, as it would be."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class RequestView:
    """One request to show: its payload, its row, and who can still approve it."""

    payload: Payload
    row: Mapping[str, Any]
    able: Approvers


def row(
    payload: Payload, *, organization: str = "", project: str = "", base_url: str = ""
) -> dict[str, Any]:
    """One request in short: a row of the table and of `--format json`."""
    intent, snapshot = mapping(payload.get("intent")), mapping(payload.get("policy_snapshot"))
    identity = word(payload.get("id"))
    pending = payload.get("state") == _PENDING
    return {
        "id": identity,
        "state": word(payload.get("state")),
        "action_key": word(payload.get("action_key")),
        "organization": organization,
        "project": project,
        "flag": word(intent.get("flag_key")),
        "resource_id": payload.get("resource_id"),
        "requester": person(payload.get("created_by")),
        "approvals": sum(vote.approved for vote in votes(payload)),
        "quorum": snapshot.get("quorum"),
        "validation_status": word(payload.get("validation_status")),
        "waits_for_you": pending
        and payload.get("can_approve") is True
        and payload.get("user_decision") is None,
        "created_at": word(payload.get("created_at")),
        "expires_at": word(payload.get("expires_at")),
        "url": f"{base_url}/{identity}" if base_url else None,
    }


def whole(request: RequestView) -> dict[str, Any]:
    """Return one request with everything that is known, for `--format json`."""
    payload, able = request.payload, request.able
    return {
        **request.row,
        "description": word(mapping(payload.get("intent_display")).get("description")),
        "changes": [
            {"path": one.path, "before": one.old, "after": one.new} for one in moves(payload)
        ],
        "intent": payload.get("intent"),
        "votes": [
            {
                "person": one.person,
                "decision": "approved" if one.approved else "rejected",
                "reason": one.reason,
                "created_at": one.at,
            }
            for one in votes(payload)
        ],
        "can_still_approve": {"users": able.users, "roles": able.roles},
        "validation_errors": payload.get("validation_errors"),
        "apply_error": word(payload.get("apply_error")),
        "result_data": payload.get("result_data"),
    }


def votes(payload: Payload) -> tuple[ShownVote, ...]:
    """Votes, oldest first: the server's order is not to be relied on."""
    found = (
        ShownVote(
            person(each.get("created_by")),
            each.get("decision") == "approved",
            word(each.get("reason")),
            word(each.get("created_at")),
        )
        for each in map(mapping, items(payload.get("approvals")))
    )
    return tuple(sorted(found, key=lambda vote: (vote.at, vote.person)))


def moves(payload: Payload) -> tuple[ValueChange, ...]:
    """`current_state` against `gated_changes`; positions of a list by their path."""
    intent = mapping(payload.get("intent"))
    before, after = mapping(intent.get("current_state")), mapping(intent.get("gated_changes"))
    return tuple(
        move
        for name in dict.fromkeys((*before, *after))
        for move in _moves(str(name), before.get(name, ABSENT), after.get(name, ABSENT))
    )


def _moves(name: str, old: Any, new: Any) -> Iterator[ValueChange]:
    before, after = _positions(old), _positions(new)
    if before is None or after is None:
        yield ValueChange(name, old, new)
        return
    for path in dict.fromkeys((*before, *after)):
        yield ValueChange(path, before.get(path, ABSENT), after.get(path, ABSENT))


def _positions(value: Any) -> dict[str, Any] | None:
    """`[{"path": …, "value": …}]` as a mapping; None if it is nothing of the kind."""
    if value is ABSENT:
        return {}
    if not isinstance(value, list) or not all(
        isinstance(v, Mapping) and "path" in v for v in value
    ):
        return None
    return {str(item["path"]): item.get("value") for item in value}


def still(payload: Payload, *, people: People, roles: Roles) -> Approvers:
    """Who can still approve: named in the snapshot, without a vote, not the requester itself."""
    if payload.get("state") != _PENDING:
        return Approvers()
    snapshot = mapping(payload.get("policy_snapshot"))
    out = [mapping(each).get("created_by") for each in items(payload.get("approvals"))]
    if snapshot.get("allow_self_approve") is not True:
        out.append(payload.get("created_by"))
    gone = {person(one).casefold() for one in out}
    ids = [mapping(one).get("id") for one in out]
    users = (_user(id_, people) for id_ in items(snapshot.get("users")) if id_ not in ids)
    named = {
        name: tuple(member for member in members if member.casefold() not in gone)
        for name, members in (_role(id_, roles) for id_ in items(snapshot.get("roles")))
    }
    return Approvers(tuple(user for user in users if user.casefold() not in gone), named)


def _user(id_: Any, people: People) -> str:
    return people.get(id_, f"user {id_}") if isinstance(id_, int) else f"user {id_}"


def _role(id_: Any, roles: Roles) -> tuple[str, tuple[str, ...]]:
    found = roles.get(str(id_), f"role {id_}")
    if isinstance(found, str):
        return found, ()
    return word(found.get("name")), tuple(map(str, items(found.get("members"))))


def person(value: Any) -> str:
    """A UserBasic by email; nobody if it is none."""
    found = mapping(value)
    return word(found.get("email")) or (f"user {found['id']}" if "id" in found else "unknown")


def moment(text: str) -> str:
    """`2026-01-19T09:00:00Z` as `2026-01-19 09:00 UTC`; anything else as it is."""
    return _TIME.sub(r"\1 \2 UTC", text)


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """The items of a list, else none."""
    return list(value) if isinstance(value, list | tuple) else []


def word(value: Any) -> str:
    """The value as text; nothing for null."""
    return "" if value is None else str(value)
