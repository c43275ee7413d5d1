"""Define projects (contract 10): named by name, which the server does not keep unique."""

from collections.abc import Mapping
from typing import Any, Final

from reconciler.model import (
    Action,
    Kind,
    Payload,
    Request,
    Scope,
    Spec,
    Write,
    build_plain_requests,
)
from reconciler.normal_form import values

POLICY: Final = "feature_flag_policy"
CONFIRMATION: Final = "feature_flag_confirmation"
WEEK_START: Final = "week_start_day"
SAME: Final = (
    "require_evaluation_contexts",
    "default_evaluation_contexts_enabled",
    "anonymize_ips",
    "app_urls",
    "receive_org_level_activity_logs",
    "test_account_filters_default_checked",
    "session_recording_opt_in",
    "surveys_opt_in",
    "heatmaps_opt_in",
    "autocapture_opt_out",
)
# The field of the API, by field of the spec; the confirmation is two fields of the API.
SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    POLICY: ("feature_flag_policy_config",),
    CONFIRMATION: ("feature_flag_confirmation_enabled", "feature_flag_confirmation_message"),
    WEEK_START: (WEEK_START,),
    **{name: (name,) for name in SAME},
}
DAYS: Final = ("sunday", "monday")  # by the number that the API has
_NOT_INCLUDED: Final = "the organization's PostHog subscription may lack the feature"


def to_spec(payload: Payload) -> Spec:
    """Return the spec of a payload; only the project's own endpoint shows its settings."""
    spec = {name: payload[name] for name in ("timezone", *SAME) if name in payload}
    (config,) = SETTINGS[POLICY]
    if config in payload:
        spec[POLICY] = dict(payload[config] or {})
    confirmation = {
        api.removeprefix(f"{CONFIRMATION}_"): payload[api]
        for api in SETTINGS[CONFIRMATION]
        if api in payload
    }
    if confirmation:
        spec[CONFIRMATION] = confirmation
    if WEEK_START in payload:
        day = payload[WEEK_START]
        spec[WEEK_START] = DAYS[day] if day is not None else None
    return spec


def to_payload(spec: Spec) -> Payload:
    """Return the payload of a spec."""
    payload = {name: spec[name] for name in ("timezone", *SAME) if name in spec}
    if POLICY in spec:
        (config,) = SETTINGS[POLICY]
        payload[config] = spec[POLICY] or {}
    for name, value in (spec.get(CONFIRMATION) or {}).items():
        payload[f"{CONFIRMATION}_{name}"] = value
    if WEEK_START in spec:
        day = spec[WEEK_START]
        payload[WEEK_START] = DAYS.index(day) if day is not None else None
    return payload


def normalize(spec: Spec) -> Spec:
    """Return the spec in normal form: trimmed texts; an empty message and none are the same."""
    normal = dict(spec)
    for name in (POLICY, CONFIRMATION):
        if name in spec:
            normal[name] = dict(spec[name] or {})
    if "message" in (normal.get(CONFIRMATION) or {}):
        confirmation = normal[CONFIRMATION]
        message = values.trim_text(confirmation["message"] or "")
        normal[CONFIRMATION] = {**confirmation, "message": message}
    if "app_urls" in spec:
        urls = map(values.trim_text, spec["app_urls"] or ())
        normal["app_urls"] = [url for url in urls if url]
    return normal


def build_requests(kind: Kind, write: Write) -> tuple[Request, ...]:
    """Return the call of a write; an object is sent whole, with the keys that no file manages."""
    if write.action is not Action.UPDATE or POLICY not in write.spec:
        return build_plain_requests(kind, write)
    (config,) = SETTINGS[POLICY]
    (call,) = build_plain_requests(kind, write)
    stored: Mapping[str, Any] = (write.live or {}).get(config) or {}
    body = {**(call.body or {}), config: {**stored, **(write.spec[POLICY] or {})}}
    return (Request(call.method, call.path, body),)


def split_stages(action: Action, spec: Spec, *, split: bool) -> tuple[Spec, ...]:
    """Create a project first: PostHog takes its settings in a separate call."""
    settings = {name: value for name, value in spec.items() if name in SETTINGS}
    if action is Action.CREATE and settings:
        return ({name: v for name, v in spec.items() if name not in SETTINGS}, settings)
    return (spec,)


KIND = Kind(
    name="Project",
    scope=Scope.ORGANIZATION,
    rank=20,
    key="name",
    collection="/api/organizations/{organization}/projects/",
    item="/api/projects/{id}/",
    plural="projects",
    noun="project",
    api_scope="project",
    to_spec=to_spec,
    to_payload=to_payload,
    canonical=normalize,
    key_payload="name",
    renamable=True,
    defaults={
        "timezone": "UTC",
        POLICY: {},
        "require_evaluation_contexts": False,
        "default_evaluation_contexts_enabled": False,
        CONFIRMATION: {},
        "anonymize_ips": False,
        "app_urls": [],
        "receive_org_level_activity_logs": None,
        "test_account_filters_default_checked": None,
        WEEK_START: None,
        "session_recording_opt_in": False,
        "surveys_opt_in": None,
        "heatmaps_opt_in": None,
        "autocapture_opt_out": None,
    },
    unique=False,
    protected=True,
    stages=split_stages,
    requests=build_requests,
    droppable=dict.fromkeys(SETTINGS, _NOT_INCLUDED),
    details=SETTINGS,
    listed=frozenset(
        {
            *("id", "name", "organization", "timezone", "updated_at"),
            *(api for names in SETTINGS.values() for api in names),
        }
    ),
    activity_scopes=("Project", "Team"),
)
