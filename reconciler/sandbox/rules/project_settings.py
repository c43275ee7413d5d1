"""Settings of projects, and what they require of flags (contract 10.1)."""

from collections.abc import Mapping
from typing import Any

from reconciler.sandbox.protocol.errors import invalid
from reconciler.sandbox.protocol.validators import (
    Field,
    check_boolean,
    check_object,
    make_choice_check,
    make_list_check,
    make_text_check,
)
from reconciler.sandbox.store.model import Flag, Organization, Project

_LONGEST_URL = 200
DEFAULTS: dict[str, Any] = {
    "feature_flag_policy_config": {},
    "require_evaluation_contexts": False,
    "default_evaluation_contexts_enabled": False,
    "feature_flag_confirmation_enabled": False,
    "feature_flag_confirmation_message": None,
    "anonymize_ips": False,
    "app_urls": [],
    "receive_org_level_activity_logs": False,
    "test_account_filters_default_checked": None,
    "week_start_day": None,
    "session_recording_opt_in": False,
    "surveys_opt_in": None,
    "heatmaps_opt_in": None,
    "autocapture_opt_out": None,
}
_PAID = {"receive_org_level_activity_logs": "audit_logs"}  # dropped silently without the feature


def _check_policy(value: Any, name: str) -> dict[str, Any]:
    config = check_object(value, name)
    return {**config, "require_tags": check_boolean(config.get("require_tags", False), name)}


WRITABLE = (
    Field("feature_flag_policy_config", _check_policy),
    Field("require_evaluation_contexts", check_boolean),
    Field("default_evaluation_contexts_enabled", check_boolean),
    Field("feature_flag_confirmation_enabled", check_boolean),
    Field("feature_flag_confirmation_message", make_text_check(blank=True), nullable=True),
    Field("anonymize_ips", check_boolean),
    Field("app_urls", make_list_check(make_text_check(longest=_LONGEST_URL))),
    Field("receive_org_level_activity_logs", check_boolean, nullable=True),
    Field("test_account_filters_default_checked", check_boolean, nullable=True),
    Field("week_start_day", make_choice_check(0, 1), nullable=True),
    Field("session_recording_opt_in", check_boolean),
    Field("surveys_opt_in", check_boolean, nullable=True),
    Field("heatmaps_opt_in", check_boolean, nullable=True),
    Field("autocapture_opt_out", check_boolean, nullable=True),
)


def merge_settings(
    project: Project, organization: Organization, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the stored settings after a write; what the plan lacks is dropped silently."""
    kept = {
        name: value
        for name, value in values.items()
        if name in DEFAULTS and (name not in _PAID or organization.has(_PAID[name]))
    }
    return {**project.settings, **kept}


def check_flag(project: Project, values: Mapping[str, Any], flag: Flag | None) -> None:
    """Refuse a flag without the labels that its project requires; approved writes skip this."""
    if values.get("creation_context") or values.get("deleted"):
        return
    settings = {**DEFAULTS, **project.settings}
    rules = (
        ("tags", "tag", settings["feature_flag_policy_config"].get("require_tags")),
        (
            "evaluation_contexts",
            "evaluation context",
            settings["require_evaluation_contexts"],
        ),
    )
    for name, noun, is_required in rules:
        if not is_required:
            continue
        if flag is None and not values.get(name):
            raise invalid(f"Add at least one {noun} to this feature flag.", name)
        if flag is not None and getattr(flag, name) and values.get(name) == []:
            raise invalid(f"Keep at least one {noun} on this feature flag.", name)
