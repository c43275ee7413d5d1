"""Statements about access rules, and about settings of projects and organizations."""

from typing import Final

from reconciler.conformance.statement import (
    MISSING,
    Equal,
    Expectation,
    Fact,
    Keys,
    OneOf,
    Statement,
    WholeNumber,
    describe_g3_answer,
)

_OK, _NO_CONTENT, _BAD = (Equal(code) for code in (200, 204, 400))
_LISTING: Final = Keys(
    frozenset(
        {
            *("access_controls", "available_access_levels", "default_access_level"),
            *("minimum_access_level", "maximum_access_level"),
            *("user_access_level", "user_can_edit_access_levels"),
        }
    ),
    only=False,
)
_RULE: Final = Keys(
    frozenset({"access_level", "resource", "resource_id", "organization_member", "role"}),
    only=False,
)
_SETTINGS: Final = Keys(
    frozenset(
        {
            *("feature_flag_policy_config", "require_evaluation_contexts", "anonymize_ips"),
            *("default_evaluation_contexts_enabled", "feature_flag_confirmation_enabled"),
            *("feature_flag_confirmation_message", "app_urls", "session_recording_opt_in"),
            *("receive_org_level_activity_logs", "test_account_filters_default_checked"),
            *("week_start_day", "surveys_opt_in", "heatmaps_opt_in", "autocapture_opt_out"),
        }
    ),
    only=False,
)
_ORGANIZATION: Final = Keys(
    frozenset(
        {
            *("members_can_create_projects", "members_can_see_org_members"),
            *("enforce_verified_domains", "uses_most_specific_access_resolution"),
        }
    ),
    only=False,
)


def _refuse(exchange: str, text: str, attr: Expectation) -> tuple[Statement, ...]:
    return describe_g3_answer(
        exchange,
        "20",
        ("status", text, "status", _BAD),
        ("attr", "The answer names the field.", "body.attr", attr),
    )


RULES: Final[tuple[Statement, ...]] = (
    *describe_g3_answer(
        "rules.project",
        "20",
        ("status", "The rules of a project can be read.", "status", _OK),
        ("keys", "They come with the levels and bounds.", "body", _LISTING),
        (
            "levels",
            "The levels of a project are none, member and admin.",
            "body.available_access_levels",
            Equal(["none", "member", "admin"]),
        ),
        (
            "default",
            "Without a rule everybody is an admin of a project.",
            "body.default_access_level",
            Equal("admin"),
        ),
    ),
    *describe_g3_answer(
        "rules.types",
        "20",
        ("status", "One call shows the rules of all resource types.", "status", _OK),
        ("keys", "They come with the levels and bounds.", "body", _LISTING),
        (
            "levels",
            "The levels of resource types are none, viewer, editor and manager.",
            "body.available_access_levels",
            Equal(["none", "viewer", "editor", "manager"]),
        ),
    ),
    *describe_g3_answer(
        "rules.old_name",
        "20",
        ("status", "global_access_controls is the old name of that path.", "status", _OK),
    ),
    *describe_g3_answer(
        "rules.set",
        "20",
        ("status", "A rule is set with 200.", "status", _OK),
        ("keys", "The answer is the rule.", "body", _RULE),
        ("level", "It shows the level that was sent.", "body.access_level", Equal("viewer")),
        ("object", "Its resource_id is null.", "body.resource_id", Equal(None)),
        (
            "creator",
            "created_by is the id of a person.",
            "body.created_by",
            Equal(Fact("me")),
        ),
    ),
    *_refuse("rules.unknown_level", "An unknown level is 400.", Equal("access_level")),
    *_refuse(
        "rules.too_high", "The toolbar has no level above viewer: 400.", Equal("access_level")
    ),
    *_refuse("rules.unknown_type", "An unknown resource type is 400.", Equal("resource")),
    *_refuse(
        "rules.two_subjects", "A rule for a role and a member is 400.", OneOf((None, MISSING))
    ),
    *describe_g3_answer(
        "rules.removed",
        "20",
        ("status", "The level null removes a rule: 204.", "status", _NO_CONTENT),
    ),
    *describe_g3_answer(
        "rules.removed_again",
        "20",
        ("status", "Removing a rule that does not exist: 204.", "status", _NO_CONTENT),
    ),
)

SETTINGS: Final[tuple[Statement, ...]] = (
    *describe_g3_answer(
        "settings.project",
        "10.1",
        ("status", "A project can be read.", "status", _OK),
        ("keys", "The project's own endpoint shows its settings.", "body", _SETTINGS),
    ),
    *describe_g3_answer(
        "settings.listed",
        "10.1",
        ("status", "The projects of an organization can be listed.", "status", _OK),
        (
            "settings",
            "The list does not show their settings.",
            "body.results.0.feature_flag_policy_config",
            Equal(MISSING),
        ),
    ),
    *describe_g3_answer(
        "settings.organization",
        "6.1",
        ("status", "An organization can be read.", "status", _OK),
        ("keys", "It shows what members may do and see.", "body", _ORGANIZATION),
        ("count", "It counts its members.", "body.member_count", WholeNumber()),
    ),
)
