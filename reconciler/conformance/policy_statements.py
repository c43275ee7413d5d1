"""Statements about access and approval policies (contract 1 to 3)."""

from typing import Final

from reconciler.conformance.statement import (
    MISSING,
    Certainty,
    Equal,
    Fact,
    Keys,
    OneOf,
    Statement,
    WholeNumber,
    by_generation,
    describe_answer,
    since_g2,
)

_POLICY_KEYS: Final = frozenset(
    {
        *("id", "action_key", "conditions", "approver_config", "allow_self_approve"),
        *("bypass_org_membership_levels", "bypass_roles", "expires_after", "enabled"),
        *("created_by", "created_at", "updated_at"),
    }
)
_ME: Final = Keys(frozenset({"id", "uuid", "email", "organization"}), only=False)
_PAGE: Final = Keys(frozenset({"count", "next", "previous", "results"}))
_ENVELOPE: Final = Keys(frozenset({"type", "code", "detail", "attr"}))
_OK, _CREATED, _NO_CONTENT, _BAD, _UNKNOWN = (Equal(code) for code in (200, 201, 204, 400, 404))
_ABSENT: Final = Equal(MISSING)
_FALSE: Final = Equal(value=False)
_LEVELS: Final = "bypass_org_membership_levels"
_KEY: Final = Equal("action_key")
_LATER_BAD: Final = {"g2": _BAD, "g3": _BAD}
_DOCS_TOO: Final = Certainty.DOCS_AND_SOURCE

ACCESS: Final[tuple[Statement, ...]] = (
    *describe_answer(
        "access.me",
        "1.7",
        ("status", "A key can ask who it is.", "status", _OK),
        ("keys", "The own user has id, uuid, email and organization.", "body", _ME),
    ),
    *describe_answer(
        "access.alias",
        "1.1",
        ("status", "/api/environments/ is an alias of /api/projects/.", "status", _OK),
        certainty=_DOCS_TOO,
    ),
    *describe_answer(
        "access.no_slash", "1.1", ("status", "A trailing slash is optional.", "status", _OK)
    ),
    *describe_answer(
        "access.page",
        "1.6",
        ("status", "Policies can be listed.", "status", _OK),
        ("keys", "A page has count, next, previous and results.", "body", _PAGE),
        ("count", "The count of a page is a whole number.", "body.count", WholeNumber()),
        certainty=_DOCS_TOO,
    ),
    *describe_answer(
        "access.unknown",
        "1.3",
        ("status", "An unknown object is 404.", "status", _UNKNOWN),
        ("keys", "A refusal has type, code, detail and attr.", "body", _ENVELOPE),
        ("type", "The type of a 404 is invalid_request.", "body.type", Equal("invalid_request")),
        ("code", "The code of a 404 is not_found.", "body.code", Equal("not_found")),
        ("attr", "The attr of a 404 is null.", "body.attr", Equal(None)),
    ),
    *describe_answer(
        "access.posted_request",
        "7",
        ("status", "Change requests cannot be posted (403 or 405).", "status", OneOf((403, 405))),
    ),
    *describe_answer(
        "access.logs",
        "11.1",
        ("status", "The organization's activity log can be read.", "status", _OK),
        (
            "count",
            "Without `page` the log is paged by cursor and has no count.",
            "body.count",
            by_generation(g1=_ABSENT, g2=_ABSENT, g3=_ABSENT, docs=WholeNumber()),
        ),
    ),
    *describe_answer(
        "access.log_page",
        "11.1",
        ("status", "The activity log has numbered pages.", "status", _OK),
        ("keys", "A numbered page of the log has a count.", "body", _PAGE),
        certainty=_DOCS_TOO,
    ),
)

POLICIES: Final[tuple[Statement, ...]] = (
    *describe_answer(
        "policies.empty",
        "1.3",
        ("status", "A missing field is 400.", "status", _BAD),
        ("type", "Its type is validation_error.", "body.type", Equal("validation_error")),
        ("code", "Its code is required.", "body.code", Equal("required")),
        ("attr", "Its attr is the first missing field.", "body.attr", Equal("action_key")),
    ),
    *describe_answer(
        "policies.created",
        "3.1",
        ("status", "A policy is created with 201, whatever its key.", "status", _CREATED),
        ("keys", "A policy has twelve fields.", "body", Keys(_POLICY_KEYS)),
        ("conditions", "The default of conditions is {}.", "body.conditions", Equal({})),
        (
            "approver_config",
            "approver_config is kept as it was sent, unknown keys too.",
            "body.approver_config",
            Equal(Fact("approver_config")),
        ),
        ("self", "By default self-approval is off.", "body.allow_self_approve", _FALSE),
        ("levels", "By default no level bypasses.", f"body.{_LEVELS}", Equal([])),
        ("roles", "By default no role bypasses.", "body.bypass_roles", Equal([])),
        ("expiry", "Requests expire after 14 days.", "body.expires_after", Equal("14 00:00:00")),
        ("enabled", "A policy can be created disabled.", "body.enabled", _FALSE),
        ("creator", "The creator is the caller.", "body.created_by.id", Equal(Fact("me"))),
        certainty=_DOCS_TOO,
    ),
    *describe_answer(
        "policies.duplicate",
        "3.3",
        ("status", "A second policy for a key is 400.", "status", _BAD),
        ("code", "Its code is invalid_input.", "body.code", Equal("invalid_input")),
        ("attr", "Its attr is null.", "body.attr", Equal(None)),
    ),
    *describe_answer(
        "policies.no_quorum",
        "3.1",
        ("status", "A quorum below 1 is 400.", "status", by_generation(g1=_CREATED, **_LATER_BAD)),
        ("attr", "Its attr is approver_config.", "body.attr", since_g2(Equal("approver_config"))),
    ),
    *describe_answer(
        "policies.null_conditions",
        "3.1",
        ("status", "conditions cannot be null.", "status", _BAD),
        ("code", "The code of that is null.", "body.code", Equal("null")),
        ("attr", "The attr of that is conditions.", "body.attr", Equal("conditions")),
    ),
    *describe_answer(
        "policies.weeks",
        "3.2",
        ("status", "A duration in weeks is 400.", "status", _BAD),
        ("attr", "Its attr is expires_after.", "body.attr", Equal("expires_after")),
    ),
    *describe_answer(
        "policies.hours",
        "3.2",
        ("status", "A duration in hours (PT36H) is accepted.", "status", _OK),
        ("value", "It reads back in days.", "body.expires_after", Equal("1 12:00:00")),
    ),
    *describe_answer(
        "policies.seconds",
        "3.2",
        ("status", 'The duration "14" is accepted.', "status", _OK),
        ("value", "It means seconds.", "body.expires_after", Equal("00:00:14")),
    ),
    *describe_answer(
        "policies.levels",
        "3.1",
        ("status", "Levels can be sent as text.", "status", _OK),
        ("value", "They are stored as numbers.", f"body.{_LEVELS}", since_g2(Equal([8]))),
    ),
    *describe_answer(
        "policies.unknown_role",
        "3.1",
        ("status", "An unknown role in bypass_roles is 400.", "status", _BAD),
        ("attr", "Its attr is bypass_roles.", "body.attr", Equal("bypass_roles")),
    ),
    *describe_answer(
        "policies.filtered",
        "3.4",
        ("status", "Policies can be filtered by action_key.", "status", _OK),
        ("count", "The filter is exact.", "body.count", Equal(1)),
    ),
    *describe_answer(
        "policies.deleted", "3", ("status", "A policy is deleted with 204.", "status", _NO_CONTENT)
    ),
    *describe_answer(
        "policies.gone", "3", ("status", "A deleted policy is 404.", "status", _UNKNOWN)
    ),
    *describe_answer(
        "policies.survey",
        "3.6",
        ("status", "survey.launch is a legal key, as any text.", "status", _CREATED),
    ),
    *describe_answer(
        "policies.experiment",
        "3.8",
        (
            "status",
            "experiment.launch is refused where the switch is off.",
            "status",
            by_generation(g1=_CREATED, g2=_BAD, g3=OneOf((400, 201))),
        ),
        (
            "attr",
            "The attr of that is action_key.",
            "body.attr",
            by_generation(g2=_KEY, g3=OneOf(("action_key", MISSING))),
        ),
    ),
    *describe_answer(
        "reserved.renamed",
        "3.8",
        (
            "status",
            "A policy cannot be renamed to experiment.pause where the switch is off.",
            "status",
            by_generation(g3=OneOf((400, 200))),
        ),
        (
            "attr",
            "The attr of that is action_key.",
            "body.attr",
            by_generation(g3=OneOf(("action_key", MISSING))),
        ),
    ),
)
