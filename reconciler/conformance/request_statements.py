"""Statements about change requests: how they read, and what votes do (contract 7)."""

from typing import Final

from reconciler.conformance.statement import (
    MISSING,
    Equal,
    Fact,
    JsonText,
    Keys,
    Statement,
    Text,
    by_generation,
    describe_answer,
    only_g3,
)

_OK, _BAD, _FORBIDDEN = (Equal(code) for code in (200, 400, 403))
_FALSE, _TRUE = Equal(value=False), Equal(value=True)
_VOTED: Final = Equal(Fact("vote_flag_id"))
_MOVED: Final = Text("Precondition failed: Flag version mismatch")
_APPLIED_BY: Final = "change_request.applied_by.id"
_ROLLOUT: Final = "groups.0.rollout_percentage"
_POSITION: Final = "groups[0].rollout_percentage"
_REQUEST_KEYS: Final = frozenset(
    {
        *("id", "action_key", "action_version", "resource_type", "resource_id", "intent"),
        *("intent_display", "policy_snapshot", "validation_status", "validation_errors"),
        *("validated_at", "state", "created_by", "applied_by", "created_at", "updated_at"),
        *("expires_at", "applied_at", "apply_error", "result_data", "approvals"),
        *("can_approve", "can_cancel", "is_requester", "user_decision"),
    }
)
_SNAPSHOT: Final = Keys(
    frozenset(
        {
            *("quorum", "users", "roles", "allow_self_approve", "conditions"),
            *("bypass_org_membership_levels", "bypass_roles"),
        }
    )
)


def _describe_decision(
    exchange: str, section: str, text: str, status: str, state: str
) -> tuple[Statement, ...]:
    """Return what is common to the answers of approve, reject and cancel (contract 7.4, 13)."""
    wrapped, bare = Equal(state), Equal(MISSING)
    return describe_answer(
        exchange,
        section,
        ("status", f"{text} is 200.", "status", _OK),
        (
            "word",
            f"The answer says {status}.",
            "body.status",
            by_generation(g1=Equal(status), g2=Equal(status), g3=Equal(status), docs=bare),
        ),
        (
            "state",
            f"The request is {state} then.",
            "body.change_request.state",
            by_generation(g1=wrapped, g2=wrapped, g3=wrapped, docs=bare),
        ),
        (
            "bare",
            "The answer is not the bare request.",
            "body.state",
            by_generation(g1=bare, g2=bare, g3=bare, docs=wrapped),
        ),
    )


REQUESTS: Final[tuple[Statement, ...]] = (
    *describe_answer(
        "gate.request",
        "7.1",
        ("status", "A change request can be read.", "status", _OK),
        ("keys", "A change request has 25 fields.", "body", Keys(_REQUEST_KEYS)),
        ("state", "A new request is pending.", "body.state", Equal("pending")),
        ("valid", "It is valid.", "body.validation_status", Equal("valid")),
        ("action", "It names the action.", "body.action_key", Equal("feature_flag.update")),
        ("version", "action_version is 1.", "body.action_version", Equal(1)),
        ("type", "resource_type is feature_flag.", "body.resource_type", Equal("feature_flag")),
        ("id", "resource_id is text.", "body.resource_id", Equal(Fact("gated_id", as_text=True))),
        ("error", "apply_error is empty.", "body.apply_error", Equal("")),
        ("result", "result_data is null.", "body.result_data", Equal(None)),
        ("votes", "Nobody has voted.", "body.approvals", Equal([])),
        ("own", "The requester sees is_requester.", "body.is_requester", _TRUE),
        ("cancel", "The requester can cancel.", "body.can_cancel", _TRUE),
        ("approve", "Without self-approval, not approve.", "body.can_approve", _FALSE),
        ("decision", "The requester has not decided.", "body.user_decision", Equal(None)),
        ("requester", "created_by is the requester.", "body.created_by.id", Equal(Fact("me"))),
        ("snapshot", "The snapshot has seven keys.", "body.policy_snapshot", _SNAPSHOT),
    ),
    *describe_answer(
        "gate.request",
        "7.2",
        ("flag", "The intent has the id.", "body.intent.flag_id", Equal(Fact("gated_id"))),
        ("key", "The intent has the key.", "body.intent.flag_key", Equal(Fact("gated_key"))),
        ("method", "The intent has the method.", "body.intent.http_method", Equal("PATCH")),
        (
            "precondition",
            "The intent has the version that it was filed against.",
            "body.intent.preconditions.version",
            Equal(4),
        ),
        (
            "changes",
            "The intent has the new rollouts.",
            "body.intent.gated_changes.rollout_percentage",
            Equal([{"path": _POSITION, "value": 1}]),
        ),
        (
            "current",
            "The intent has the old rollouts.",
            "body.intent.current_state.rollout_percentage",
            Equal([{"path": _POSITION, "value": 0}]),
        ),
        (
            "paths",
            "triggered_paths names the position.",
            "body.intent.triggered_paths",
            Equal([_POSITION]),
        ),
        (
            "whole",
            "The intent has all that will be written.",
            "body.intent.full_request_data.name",
            Equal("Withheld"),
        ),
    ),
    *describe_answer(
        "gate.listed",
        "7.6",
        ("status", "Requests can be filtered.", "status", _OK),
        ("count", "Several states are joined with commas.", "body.count", Equal(1)),
        ("id", "The list has the request.", "body.results.0.id", Equal(Fact("request_id"))),
    ),
    *describe_answer(
        "gate.no_such_state",
        "7.6",
        ("status", "An unknown state is accepted.", "status", _OK),
        ("count", "It matches nothing.", "body.count", Equal(0)),
    ),
    *describe_answer(
        "gate.bad_requester",
        "7.6",
        ("status", "A requester that is not a number is 400.", "status", _BAD),
        ("attr", "Its attr is requester.", "body.attr", Equal("requester")),
    ),
    *describe_answer(
        "gate.own",
        "7.4",
        ("status", "The own request cannot be approved.", "status", _FORBIDDEN),
        (
            "code",
            "The code of that is permission_denied.",
            "body.code",
            Equal("permission_denied"),
        ),
    ),
    *_describe_decision(
        "gate.canceled", "7.4", "Canceling the own request", "canceled", "rejected"
    ),
    *describe_answer(
        "gate.canceled_again",
        "7.4",
        ("status", "A request that is closed cannot be canceled.", "status", _FORBIDDEN),
    ),
)

VOTES: Final[tuple[Statement, ...]] = (
    *describe_answer(
        "votes.no_reason",
        "7.4",
        ("status", "Rejecting needs a reason.", "status", _BAD),
        ("keys", "The body of that is bare.", "body", Keys(frozenset({"error"}))),
    ),
    *_describe_decision("votes.rejected", "7.4", "Rejecting", "rejected", "rejected"),
    *describe_answer(
        "votes.closed",
        "7.4",
        ("status", "A request that is closed cannot be approved.", "status", _FORBIDDEN),
    ),
    *_describe_decision("votes.applied", "7.4", "Approving at quorum", "applied", "applied"),
    *describe_answer(
        "votes.applied",
        "7.4",
        *(
            (
                name,
                text,
                f"body.{path}",
                by_generation(g1=expected, g2=expected, g3=expected, docs=Equal(MISSING)),
            )
            for name, text, path, expected in (
                ("flag", "The result has the flag's id.", "result.resource_id", _VOTED),
                ("version", "The result has its version.", "result.resource_version", Equal(2)),
                ("who", "It is applied as the requester.", _APPLIED_BY, Equal(Fact("user_id"))),
                ("message", "A message says so.", "message", Text("Quorum reached")),
            )
        ),
    ),
    *describe_answer(
        "votes.written",
        "7.5",
        ("status", "The flag can be read.", "status", _OK),
        ("rollout", "The change is written.", f"body.filters.{_ROLLOUT}", Equal(1)),
        ("version", "Applying adds one to the version.", "body.version", Equal(2)),
    ),
    *describe_answer(
        "votes.free",
        "5.2",
        ("status", "A name is free while a request is open.", "status", _OK),
    ),
    *_describe_decision(
        "votes.unappliable", "7.5", "Approving after another write", "failed", "failed"
    ),
    *describe_answer(
        "votes.unappliable",
        "7.5",
        (
            "error",
            "apply_error says that the version moved.",
            "body.change_request.apply_error",
            by_generation(g1=_MOVED, g2=_MOVED, g3=_MOVED, docs=Equal(MISSING)),
        ),
        ("result", "There is no result.", "body.result", Equal(MISSING)),
    ),
    *describe_answer(
        "secrets.request",
        "7.2",
        ("status", "The request of an encrypted flag can be read.", "status", only_g3(_OK)),
        (
            "payload",
            "Its intent shows an encrypted payload as plain text.",
            "body.intent.full_request_data.filters.payloads.true",
            only_g3(JsonText("reconciler-probe")),
        ),
    ),
    *describe_answer(
        "secrets.read",
        "9.1",
        ("status", "An encrypted flag can be read.", "status", _OK),
        (
            "payload",
            "A personal API key reads encrypted payloads as plain text.",
            "body.filters.payloads.true",
            JsonText("reconciler-probe"),
        ),
    ),
    *describe_answer(
        "second.seen",
        "7.1",
        ("status", "An approver can read the request.", "status", _OK),
        ("approve", "An approver sees can_approve.", "body.can_approve", _TRUE),
        ("cancel", "Only the requester can cancel.", "body.can_cancel", _FALSE),
        ("requester", "An approver is not the requester.", "body.is_requester", _FALSE),
    ),
    *describe_answer(
        "second.foreign_cancel",
        "7.4",
        ("status", "Others cannot cancel a request.", "status", _FORBIDDEN),
    ),
    *_describe_decision("second.approved", "0.7", "Approving below quorum", "approved", "pending"),
    *describe_answer(
        "second.approved",
        "7.4",
        ("result", "There is no result below quorum.", "body.result", Equal(MISSING)),
    ),
    *describe_answer(
        "second.approved_again",
        "7.4",
        ("status", "Nobody votes twice.", "status", _BAD),
        ("keys", "The body of that is bare.", "body", Keys(frozenset({"error"}))),
    ),
    *_describe_decision(
        "second.rejected", "7.3", "Rejecting after an approval", "rejected", "rejected"
    ),
)
