"""Change requests (contract 7.1) as values to show: names for ids, votes counted, intent as moves.

A response of the server may have any shape: what is missing or malformed is shown as unknown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import ABSENT, Approvers, Payload, Unappliable, Validity
from reconciler.planfile.reader import redact
from reconciler.render.shared import values

People = Mapping[int, str]  # emails by user id
Roles = Mapping[str, str | Mapping[str, Any]]  # by id: the name, or {"name": …, "members": […]}

_PENDING: Final = "pending"
_FLAG: Final = "feature_flag"
_VALUE: Final = 60  # characters of one value in a sentence
_PROPOSED: Final = 5  # values in a sentence


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


def summarize_request(
    payload: Payload, *, organization: str = "", project: str = "", base_url: str = ""
) -> dict[str, Any]:
    """Return one request in short: a row of the table and of `--format json`."""
    intent, snapshot = as_mapping(payload.get("intent")), as_mapping(payload.get("policy_snapshot"))
    identity = as_text(payload.get("id"))
    pending = payload.get("state") == _PENDING
    trouble = find_trouble(payload)
    return {
        "id": identity,
        "state": as_text(payload.get("state")),
        "action_key": as_text(payload.get("action_key")),
        "organization": organization,
        "project": project,
        "flag": as_text(intent.get("flag_key")),
        "holdout": as_text(intent.get("holdout_name")),
        "resource_type": as_text(payload.get("resource_type")),
        "resource_id": payload.get("resource_id"),
        "requester": name_person(payload.get("created_by")),
        "approvals": sum(vote.approved for vote in list_votes(payload)),
        "quorum": snapshot.get("quorum"),
        "validation_status": as_text(payload.get("validation_status")),
        "validation_errors": payload.get("validation_errors"),
        "unappliable": asdict(trouble) if trouble is not None else None,
        "waits_for_you": pending
        and payload.get("can_approve") is True
        and payload.get("user_decision") is None,
        "created_at": as_text(payload.get("created_at")),
        "expires_at": as_text(payload.get("expires_at")),
        "url": f"{base_url}/{identity}" if base_url else None,
    }


def find_trouble(payload: Payload) -> Unappliable | None:
    """Return why a request cannot be applied as things are, and who has to do what."""
    requester = as_mapping(payload.get("created_by"))
    return Validity(
        as_text(payload.get("validation_status")),
        payload.get("validation_errors"),
        as_text(payload.get("state")),
        name_person(requester) if requester else None,
        has_approvals=any(vote.approved for vote in list_votes(payload)),
        apply_error=as_text(payload.get("apply_error")),
        noun="flag" if payload.get("resource_type", _FLAG) == _FLAG else "object",
    ).explain()


def name_resource(row: Mapping[str, Any]) -> str:
    """Return what a request is about: organization, project, and the flag or holdout."""
    parts = (row["organization"], row["project"], row["flag"] or row["holdout"])
    return "/".join(part for part in parts if part)


def list_affected_flags(payload: Payload) -> tuple[str, ...]:
    """Return the keys of the flags that a change of a holdout rewrites (contract 16)."""
    experiments = as_mapping(payload.get("intent")).get("affected_experiments")
    rows = experiments if isinstance(experiments, list) else []
    keys = (as_text(as_mapping(row).get("flag_key")) for row in rows)
    return tuple(key for key in keys if key)


def make_document(request: RequestView) -> dict[str, Any]:
    """Return one request with everything that is known, for `--format json`."""
    payload, able = request.payload, request.able
    return {
        **request.row,
        "description": as_text(as_mapping(payload.get("intent_display")).get("description")),
        "changes": [
            {"path": each.path, "before": each.old, "after": each.new}
            for each in list_value_changes(payload)
        ],
        "intent": payload.get("intent"),
        "votes": [
            {
                "person": each.person,
                "decision": "approved" if each.approved else "rejected",
                "reason": each.reason,
                "created_at": each.at,
            }
            for each in list_votes(payload)
        ],
        "can_still_approve": {"users": able.users, "roles": able.roles},
        "apply_error": as_text(payload.get("apply_error")),
        "result_data": payload.get("result_data"),
    }


def list_votes(payload: Payload) -> tuple[ShownVote, ...]:
    """Return the votes, oldest first: the server does not promise an order."""
    votes = (
        ShownVote(
            name_person(each.get("created_by")),
            each.get("decision") == "approved",
            as_text(each.get("reason")),
            as_text(each.get("created_at")),
        )
        for each in map(as_mapping, as_list(payload.get("approvals")))
    )
    return tuple(sorted(votes, key=lambda vote: (vote.at, vote.person)))


def list_value_changes(payload: Payload) -> tuple[ValueChange, ...]:
    """Return `current_state` against `gated_changes`; positions of a list by their path."""
    intent = as_mapping(payload.get("intent"))
    before, after = as_mapping(intent.get("current_state")), as_mapping(intent.get("gated_changes"))
    return tuple(
        move
        for name in dict.fromkeys((*before, *after))
        for move in _compare_values(str(name), before.get(name, ABSENT), after.get(name, ABSENT))
    )


def describe_proposal(payload: Payload) -> str:
    """Return what a request proposes on one line: `active: false → true`."""
    moves = list_value_changes(payload)
    texts = [
        f"{move.path}: {_shorten(move.new)}"
        if move.old is ABSENT
        else f"{move.path}: {_shorten(move.old)} → {_shorten(move.new)}"
        for move in moves[:_PROPOSED]
    ]
    if more := len(moves) - len(texts):
        texts.append(f"{more} more")
    display = as_mapping(payload.get("intent_display"))
    return ", ".join(texts) or as_text(display.get("description")) or "no values are named"


def _shorten(value: Any) -> str:
    """Return a value on one line, cut where it is long; keys are masked before that."""
    text = values.REMOVED if value is ABSENT else redact(values.format_flow(value))
    return text if len(text) <= _VALUE else f"{text[: _VALUE - 1]}…"


def _compare_values(name: str, old: Any, new: Any) -> Iterator[ValueChange]:
    before, after = _read_positions(old), _read_positions(new)
    if before is None or after is None:
        yield ValueChange(name, old, new)
        return
    for path in dict.fromkeys((*before, *after)):
        yield ValueChange(path, before.get(path, ABSENT), after.get(path, ABSENT))


def _read_positions(value: Any) -> dict[str, Any] | None:
    """Return `[{"path": …, "value": …}]` as a mapping; None if it is something else."""
    if value is ABSENT:
        return {}
    if not isinstance(value, list) or not all(
        isinstance(v, Mapping) and "path" in v for v in value
    ):
        return None
    return {str(item["path"]): item.get("value") for item in value}


def list_possible_approvers(payload: Payload, *, people: People, roles: Roles) -> Approvers:
    """Return who can still approve: in the snapshot, without a vote, not the requester."""
    if payload.get("state") != _PENDING:
        return Approvers()
    snapshot = as_mapping(payload.get("policy_snapshot"))
    voted_by = [as_mapping(each).get("created_by") for each in as_list(payload.get("approvals"))]
    if snapshot.get("allow_self_approve") is not True:
        voted_by.append(payload.get("created_by"))
    excluded = {name_person(person).casefold() for person in voted_by}
    ids = [as_mapping(person).get("id") for person in voted_by]
    users = (_name_user(id_, people) for id_ in as_list(snapshot.get("users")) if id_ not in ids)
    named = {
        name: tuple(member for member in members if member.casefold() not in excluded)
        for name, members in (_read_role(id_, roles) for id_ in as_list(snapshot.get("roles")))
    }
    return Approvers(tuple(user for user in users if user.casefold() not in excluded), named)


def _name_user(id_: Any, people: People) -> str:
    return people.get(id_, f"user {id_}") if isinstance(id_, int) else f"user {id_}"


def _read_role(id_: Any, roles: Roles) -> tuple[str, tuple[str, ...]]:
    role = roles.get(str(id_), f"role {id_}")
    if isinstance(role, str):
        return role, ()
    return as_text(role.get("name")), tuple(map(str, as_list(role.get("members"))))


def name_person(value: Any) -> str:
    """Return the email of a UserBasic; `unknown` if there is none."""
    person = as_mapping(value)
    return as_text(person.get("email")) or (f"user {person['id']}" if "id" in person else "unknown")


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: Any) -> list[Any]:
    """Return the items of a list, else none."""
    return list(value) if isinstance(value, list | tuple) else []


def as_text(value: Any) -> str:
    """Return the value as text; nothing for null."""
    return "" if value is None else str(value)
