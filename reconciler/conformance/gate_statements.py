"""Statements about the approval gate on flag writes (contract 4, 5)."""

from typing import Final

from reconciler.conformance.statement import (
    Certainty,
    Equal,
    Fact,
    Keys,
    OneOf,
    Statement,
    Text,
    by_generation,
    describe_answer,
    only_g3,
    since_g2,
)

_OK, _CREATED, _BAD, _HELD = (Equal(code) for code in (200, 201, 400, 409))
_FALSE: Final = Equal(value=False)
_REQUIRED: Final = Equal("approval_required")
_CONFLICT: Final = Equal("policy_conflict")
_BOTH_HELD: Final = by_generation(g1=_HELD, g2=_BAD, g3=_BAD)
_CONFLICT_KEYS: Final = Keys(frozenset({"code", "error", "conflicting_policies", "guidance"}))
_REQUEST: Final = "body.change_request"
_INTENT: Final = f"{_REQUEST}.intent"

GATE: Final[tuple[Statement, ...]] = (
    *describe_answer(
        "gate.named",
        "5.2",
        ("status", "A name is not gated.", "status", _OK),
        ("name", "It is written at once.", "body.name", Equal("Renamed")),
    ),
    *describe_answer(
        "gate.unchanged", "5.2", ("status", "Filters that are the same are free.", "status", _OK)
    ),
    *describe_answer("gate.payload", "5.2", ("status", "A payload is not gated.", "status", _OK)),
    *describe_answer(
        "gate.rollout",
        "5.3",
        ("status", "A rollout under an update policy is 409.", "status", _HELD),
        ("code", "The code is approval_required.", "body.code", _REQUIRED),
        ("word", "The status in the body, too.", "body.status", _REQUIRED),
        ("detail", "The serializer form has a detail.", "body.detail", Text()),
        ("message", "The answer has a message.", "body.message", Text()),
        ("type", "resource_type is feature_flag.", "body.resource_type", Equal("feature_flag")),
        (
            "id",
            "resource_id is the flag's id as text.",
            "body.resource_id",
            Equal(Fact("gated_id", as_text=True)),
        ),
        (
            "request",
            "change_request_id is that of the request that is listed.",
            "body.change_request_id",
            Equal(Fact("request_id")),
        ),
        (
            "approvers",
            "required_approvers is the policy's approver_config.",
            "body.required_approvers",
            Equal(Fact("approver_config")),
        ),
        ("pending", "The request is pending.", f"{_REQUEST}.state", Equal("pending")),
    ),
    *describe_answer(
        "gate.rollout",
        "0.8",
        ("approve", "can_approve is false in a 409.", f"{_REQUEST}.can_approve", _FALSE),
        ("cancel", "can_cancel is false in a 409.", f"{_REQUEST}.can_cancel", _FALSE),
        ("requester", "is_requester is false in a 409.", f"{_REQUEST}.is_requester", _FALSE),
        ("decision", "user_decision is null in a 409.", f"{_REQUEST}.user_decision", Equal(None)),
    ),
    *describe_answer(
        "gate.withheld",
        "0.3",
        ("status", "The flag can be read.", "status", _OK),
        ("name", "A gated write withholds the whole body.", "body.name", Equal("Renamed")),
        (
            "rollout",
            "The rollout is not written.",
            "body.filters.groups.0.rollout_percentage",
            Equal(0),
        ),
        ("version", "A gated write adds nothing to the version.", "body.version", Equal(4)),
    ),
    *describe_answer(
        "gate.pending",
        "5.4",
        ("status", "A second gated write is 409.", "status", _HELD),
        (
            "code",
            "Its code is change_request_pending.",
            "body.code",
            Equal("change_request_pending"),
        ),
        ("word", "Its status is approval_required.", "body.status", _REQUIRED),
        ("approvers", "required_approvers is empty.", "body.required_approvers", Equal({})),
        ("request", "It shows the open request.", f"{_REQUEST}.id", Equal(Fact("request_id"))),
    ),
    *describe_answer(
        "gate.targeting",
        "5.2",
        (
            "status",
            "A change of properties only is gated on a standalone flag.",
            "status",
            by_generation(g1=_OK, g2=_OK, g3=_HELD),
        ),
        (
            "paths",
            "triggered_paths names the condition set.",
            f"{_INTENT}.triggered_paths",
            only_g3(Equal(["groups[0]"])),
        ),
        (
            "lists",
            "The intent has rollouts and release conditions.",
            f"{_INTENT}.gated_changes",
            only_g3(Keys(frozenset({"rollout_percentage", "release_conditions"}))),
        ),
    ),
    *describe_answer(
        "gate.deleted", "0.10", ("status", "Soft-deleting a flag is not gated.", "status", _OK)
    ),
)

CONDITIONS: Final[tuple[Statement, ...]] = (
    *describe_answer(
        "conditions.small",
        "4",
        ("status", "change_amount > 20 lets 20 through.", "status", _OK),
    ),
    *describe_answer(
        "conditions.large",
        "4",
        ("status", "change_amount > 20 gates a change by 30.", "status", _HELD),
    ),
    *describe_answer(
        "conditions.rollout_only",
        "4",
        ("status", "A condition on release_conditions lets rollouts through.", "status", _OK),
    ),
    *describe_answer(
        "conditions.release_only",
        "4",
        (
            "status",
            "any_change on release_conditions gates properties.",
            "status",
            by_generation(g1=_OK, g2=_HELD, g3=_HELD),
        ),
    ),
    *describe_answer(
        "conditions.high",
        "4",
        (
            "status",
            "before_after gates properties if a rollout in the body satisfies it.",
            "status",
            by_generation(g1=_OK, g2=_OK, g3=_HELD),
        ),
        certainty=Certainty.INFERRED,
    ),
    *describe_answer(
        "conditions.bypassed",
        "5.1",
        ("status", "A level in the bypass list is let through.", "status", _OK),
    ),
    *describe_answer(
        "conditions.disabled",
        "5.1",
        ("status", "A disabled policy gates nothing.", "status", _OK),
    ),
    *describe_answer(
        "stale.targeting",
        "5.9",
        (
            "status",
            "Release conditions from an old copy of a flag are 409.",
            "status",
            by_generation(g1=_OK, g2=_OK, g3=_HELD),
        ),
        (
            "code",
            "The code of that is conflict.",
            "body.code",
            only_g3(Equal("conflict")),
        ),
    ),
    *describe_answer(
        "stale.filed",
        "5.9",
        ("status", "Change requests can be filtered.", "status", _OK),
        ("count", "A stale editor files nothing.", "body.count", Equal(0)),
    ),
)

ENABLE: Final[tuple[Statement, ...]] = (
    *describe_answer(
        "enable.both",
        "5.5",
        ("status", "Two actions with policies in one write are 400.", "status", _BOTH_HELD),
        ("code", "The code of that is policy_conflict.", "body.code", since_g2(_CONFLICT)),
        ("keys", "The body of that is bare.", "body", since_g2(_CONFLICT_KEYS)),
        (
            "policies",
            "It lists the policies.",
            "body.conflicting_policies.#",
            since_g2(Equal(2)),
        ),
    ),
    *describe_answer(
        "enable.targeting",
        "5.7",
        (
            "status",
            "Enabling with a change of properties is 400 under both policies.",
            "status",
            by_generation(g1=_HELD, g2=_HELD, g3=_BAD),
        ),
    ),
    *describe_answer(
        "enable.created_both",
        "5.7",
        (
            "status",
            "A create that is born active with a rollout is 400 under both policies.",
            "status",
            by_generation(g1=_CREATED, g2=_BAD, g3=_BAD),
        ),
    ),
    *describe_answer(
        "enable.enabled",
        "5.2",
        ("status", "Enabling under an enable policy is 409.", "status", _HELD),
        (
            "action",
            "The request is of feature_flag.enable.",
            f"{_REQUEST}.action_key",
            Equal("feature_flag.enable"),
        ),
        (
            "changes",
            "The intent has the new value.",
            f"{_INTENT}.gated_changes",
            Equal({"active": True}),
        ),
        (
            "current",
            "The intent has the old value.",
            f"{_INTENT}.current_state",
            Equal({"active": False}),
        ),
    ),
    *describe_answer(
        "enable.route",
        "5.2",
        (
            "status",
            "POST :id/enable/ is gated.",
            "status",
            by_generation(g1=OneOf((403, 404, 405)), g2=_HELD, g3=_HELD),
        ),
    ),
    *describe_answer(
        "enable.created",
        "5.2",
        (
            "status",
            "A create that is born active is gated.",
            "status",
            by_generation(g1=_CREATED, g2=_HELD, g3=_HELD),
        ),
        ("id", "Its resource_id is null.", "body.resource_id", since_g2(Equal(None))),
        (
            "key",
            "Its intent has the key.",
            f"{_INTENT}.flag_key",
            since_g2(Equal(Fact("born_key"))),
        ),
        ("flag", "Its intent has no flag.", f"{_INTENT}.flag_id", since_g2(Equal(None))),
        ("method", "Its method is POST.", f"{_INTENT}.http_method", since_g2(Equal("POST"))),
    ),
)
