"""Statements about flags and holdouts (contract 9, 16)."""

from typing import Final

from reconciler.conformance.statement import (
    MISSING,
    Equal,
    Fact,
    Items,
    JsonText,
    Statement,
    Text,
    by_generation,
    describe_answer,
    describe_g3_answer,
    since_g2,
)

_OK, _CREATED, _NO_CONTENT, _BAD, _HELD = (Equal(code) for code in (200, 201, 204, 400, 409))
_FALSE: Final = Equal(value=False)
_INDEX: Final = "body.filters.groups.0.aggregation_group_type_index"
_INTENT: Final = "body.change_request.intent"


def _describe_refusal(
    name: str, section: str, text: str, code: str, attr: str = "filters"
) -> tuple[Statement, ...]:
    return describe_answer(
        f"flags.{name}",
        section,
        ("status", f"{text} is 400.", "status", _BAD),
        ("code", f"The code of that is {code}.", "body.code", Equal(code)),
        ("attr", f"The attr of that is {attr}.", "body.attr", Equal(attr)),
    )


FLAGS: Final[tuple[Statement, ...]] = (
    *describe_answer(
        "flags.created",
        "9.1",
        ("status", "A flag is created with 201.", "status", _CREATED),
        ("id", "The answer has the flag's id.", "body.id", Equal(Fact("flag_id"))),
        ("version", "A new flag has version 1.", "body.version", Equal(1)),
        ("name", "Text is trimmed.", "body.name", Equal("Probe")),
        ("tags", "Tags are trimmed and in lower case.", "body.tags", Items(("a", "b"))),
        ("active", "A flag can be created inactive.", "body.active", _FALSE),
        ("deleted", "A new flag is not deleted.", "body.deleted", _FALSE),
        ("archived", "A flag says whether it is archived.", "body.archived", since_g2(_FALSE)),
        ("rollout", "Rollouts are kept.", "body.filters.groups.0.rollout_percentage", Equal(0)),
        (
            "payload",
            "A payload that is not text becomes JSON text.",
            "body.filters.payloads.true",
            JsonText({"a": 1}),
        ),
        (
            "index",
            "Each group gains an aggregation_group_type_index.",
            _INDEX,
            by_generation(g1=Equal(MISSING), g2=Equal(None), g3=Equal(None)),
        ),
    ),
    *_describe_refusal("bad_key", "9.1", "A key with a space", "invalid_key", "key"),
    *_describe_refusal("same_key", "9.1", "A key that is taken", "unique", "key"),
    *_describe_refusal("no_groups", "9.2", "A new flag without a group", "invalid_input"),
    *_describe_refusal("variants", "9.2", "Variants that add up to 90", "invalid_input"),
    *_describe_refusal("unknown_variant", "9.2", "A variant that is not there", "invalid_input"),
    *_describe_refusal("number", "9.2", "`gt` with a number", "invalid_value"),
    *_describe_refusal("operator", "9.2", "An unknown operator", "invalid_operator"),
    *_describe_refusal("unknown_flag", "9.7", "A condition on no flag", "invalid_input"),
    *_describe_refusal("reserved", "9.2", "`filters.version`", "reserved_config_version"),
    *_describe_refusal("percentage", "9.2", "A rollout of 101", "invalid_input"),
    *describe_answer(
        "flags.found",
        "9.3",
        ("status", "Flags can be searched.", "status", _OK),
        ("id", "A search finds the key.", "body.results.0.id", Equal(Fact("flag_id"))),
    ),
    *describe_answer(
        "flags.merged",
        "9.2",
        ("status", "Filters without groups are accepted in a PATCH.", "status", _OK),
        ("groups", "The stored groups stay.", "body.filters.groups.#", Equal(1)),
        (
            "payload",
            "The keys that are sent replace the stored ones.",
            "body.filters.payloads.true",
            by_generation(g1=JsonText({"a": 1}), g2=JsonText(2), g3=JsonText(2)),
        ),
    ),
    *describe_answer(
        "flags.renamed",
        "9.4",
        ("status", "A flag can be renamed.", "status", _OK),
        ("name", "The new name is in the answer.", "body.name", Equal("Second name")),
        ("version", "Each PATCH adds one to the version.", "body.version", Equal(3)),
    ),
    *describe_answer(
        "flags.unchanged",
        "9.4",
        ("status", "A PATCH that changes nothing is accepted.", "status", _OK),
        ("version", "It still adds one to the version.", "body.version", Equal(4)),
    ),
    *describe_answer(
        "flags.conflict",
        "9.4",
        ("status", "An old version and an older copy are 409.", "status", _HELD),
        ("type", "The type of that is server_error.", "body.type", Equal("server_error")),
        ("code", "The code of that is conflict.", "body.code", Equal("conflict")),
    ),
    *describe_answer(
        "flags.old_version",
        "9.4",
        ("status", "`version` without `original_flag` checks nothing.", "status", _OK),
    ),
    *describe_answer(
        "flags.hard_delete",
        "9",
        ("status", "DELETE of a flag is 405.", "status", Equal(405)),
        ("text", "The body of that is a text.", "body", Text()),
    ),
    *describe_answer(
        "flags.soft_delete",
        "9.5",
        ("status", "A flag is deleted by `deleted: true`.", "status", _OK),
        ("deleted", "The answer says so.", "body.deleted", Equal(value=True)),
    ),
    *describe_answer(
        "flags.unlisted",
        "9.5",
        ("status", "Flags can be listed.", "status", _OK),
        ("count", "A deleted flag is not listed.", "body.count", Equal(0)),
    ),
    *describe_answer(
        "flags.deleted",
        "9",
        ("status", "A deleted flag can be read by its id.", "status", _OK),
    ),
)


ROLLOUTS: Final[tuple[Statement, ...]] = (
    *describe_g3_answer(
        "rollouts.stale",
        "9.9",
        ("status", "A rollout for another version is 409, before the gate.", "status", _HELD),
        ("code", "The code of that is conflict.", "body.code", Equal("conflict")),
    ),
    *describe_g3_answer(
        "rollouts.filed",
        "9.9",
        ("status", "The requests of a flag can be listed.", "status", _OK),
        ("none", "A rollout for another version files nothing.", "body.count", Equal(0)),
    ),
    *describe_g3_answer(
        "rollouts.held",
        "9.9",
        ("status", "A rollout for the version is gated.", "status", _HELD),
        ("code", "It files a request.", "body.code", Equal("approval_required")),
    ),
    *describe_g3_answer(
        "rollouts.written",
        "9.9",
        ("status", "Without a policy a rollout is written.", "status", _OK),
        (
            "rollout",
            "It sets the percentage of one condition set.",
            "body.filters.groups.0.rollout_percentage",
            Equal(1),
        ),
        ("version", "It adds one to the version.", "body.version", Equal(2)),
    ),
    *describe_g3_answer(
        "rollouts.repeated",
        "9.9",
        ("status", "A rollout may be repeated.", "status", _OK),
        ("version", "A repeated rollout writes nothing.", "body.version", Equal(2)),
    ),
    *describe_g3_answer(
        "rollouts.deleted",
        "9.9",
        ("status", "A rollout of a deleted flag is 400.", "status", _BAD),
        ("error", "The body of that is bare.", "body.error", Text()),
    ),
)

HOLDOUTS: Final[tuple[Statement, ...]] = (
    *describe_g3_answer(
        "holdouts.created",
        "16",
        ("status", "A holdout is created with 201, ungated.", "status", _CREATED),
        (
            "variant",
            "The server names the variant of each group.",
            "body.filters.0.variant",
            Equal(Fact("holdout_variant")),
        ),
    ),
    *describe_g3_answer(
        "holdouts.described",
        "16.1",
        ("status", "A description is not gated.", "status", _OK),
    ),
    *describe_g3_answer(
        "holdouts.update",
        "16.1",
        (
            "status",
            "A share is gated by a flag policy, whose conditions do not count.",
            "status",
            _HELD,
        ),
        ("detail", "The answer has the serializer form.", "body.detail", Text()),
        (
            "type",
            "resource_type is experiment_holdout.",
            "body.resource_type",
            Equal("experiment_holdout"),
        ),
        (
            "id",
            "resource_id is the holdout's id as text.",
            "body.resource_id",
            Equal(Fact("holdout_id", as_text=True)),
        ),
        (
            "action",
            "action_key is the holdout's.",
            "body.change_request.action_key",
            Equal("experiment_holdout.update"),
        ),
        (
            "share",
            "The intent has the new share.",
            f"{_INTENT}.gated_changes.exclusion_percentage",
            Equal(6),
        ),
        (
            "before",
            "The intent has the old share.",
            f"{_INTENT}.current_state.exclusion_percentage",
            Equal(5),
        ),
        (
            "experiments",
            "The intent lists the experiments.",
            f"{_INTENT}.affected_experiments",
            Equal([]),
        ),
    ),
    *describe_g3_answer(
        "holdouts.pending",
        "16.1",
        ("status", "A second change waits for the first.", "status", _HELD),
        (
            "code",
            "The code is change_request_pending.",
            "body.code",
            Equal("change_request_pending"),
        ),
    ),
    *describe_g3_answer(
        "holdouts.delete",
        "16.2",
        ("status", "Deleting a holdout is gated.", "status", _HELD),
        ("detail", "The answer has the viewset form.", "body.detail", Equal(MISSING)),
        (
            "deleted",
            "The intent says that it is deleted.",
            f"{_INTENT}.gated_changes",
            Equal({"deleted": True}),
        ),
    ),
    *describe_g3_answer(
        "holdouts.delete_pending",
        "5.4",
        ("status", "A second delete waits for the first.", "status", _HELD),
        ("error", "The viewset form of a pending request has an error.", "body.error", Text()),
        (
            "request",
            "It shows the request as existing_change_request.",
            "body.existing_change_request.action_key",
            Equal("experiment_holdout.delete"),
        ),
    ),
    *describe_g3_answer(
        "holdouts.deleted",
        "16",
        ("status", "Without a policy a holdout is deleted with 204.", "status", _NO_CONTENT),
    ),
)
