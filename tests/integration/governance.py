"""Generated access rules, settings and holdouts: as documents, and as they are live."""

from hypothesis import strategies as st

FEATURES = ["approvals", "audit_logs", "organizations_projects", "role_based_access"]
DOMAINS = [{"domain": "acme.test", "is_verified": True}]
PROJECT_LEVELS = ["none", "member", "admin"]
LEVELS = {  # by resource type: those of the contract's bounds
    "project": PROJECT_LEVELS,
    "feature_flag": ["none", "viewer", "editor", "manager"],
    "survey": ["none", "viewer", "editor", "manager"],
    "action": ["viewer", "editor", "manager"],
    "toolbar": ["none", "viewer"],
}
MAYBE = st.one_of(st.none(), st.booleans())
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12
)
URLS = st.lists(st.sampled_from(["https://acme.test", "https://*.acme.test", "http://a:1"]))
_NULLABLE = (
    "test_account_filters_default_checked",
    "surveys_opt_in",
    "heatmaps_opt_in",
    "autocapture_opt_out",
    "receive_org_level_activity_logs",
)
_PLAIN = (
    "require_evaluation_contexts",
    "default_evaluation_contexts_enabled",
    "anonymize_ips",
    "session_recording_opt_in",
)
_SWITCHES = {**dict.fromkeys(_NULLABLE, MAYBE), **dict.fromkeys(_PLAIN, st.booleans())}
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "feature_flag_policy": st.fixed_dictionaries({"require_tags": st.booleans()}),
        "feature_flag_confirmation": st.fixed_dictionaries(
            {}, optional={"enabled": st.booleans(), "message": st.none() | TEXTS}
        ),
        "app_urls": URLS,
        "week_start_day": st.sampled_from(["sunday", "monday", None]),
        **_SWITCHES,
    },
)
LIVE_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "feature_flag_policy_config": st.fixed_dictionaries(
            {}, optional={"require_tags": st.booleans(), "require_owner": st.booleans()}
        ),
        "feature_flag_confirmation_enabled": st.booleans(),
        "feature_flag_confirmation_message": st.none() | TEXTS,
        "app_urls": URLS,
        "week_start_day": st.sampled_from([0, 1, None]),
        **_SWITCHES,
    },
)
ORGANIZATION = {
    "members_can_create_projects": MAYBE,
    "members_can_see_org_members": st.booleans(),
    "enforce_verified_domains": MAYBE,
}
SHARES = st.one_of(st.integers(0, 100), st.sampled_from([12.5, 33.3]))
HOLDOUT = st.fixed_dictionaries({"rollout_percentage": SHARES}, optional={"description": TEXTS})


@st.composite
def access_specs(draw, people, roles):
    """Return the spec of access rules: any part of any of these types."""
    spec = {}
    for resource in draw(st.lists(st.sampled_from(sorted(LEVELS)), unique=True)):
        level = st.none() | st.sampled_from(LEVELS[resource])
        parts = {"default": level, "members": _mappings(people, level)}
        if roles:
            parts["roles"] = _mappings(roles, level)
        spec[resource] = draw(st.none() | st.fixed_dictionaries({}, optional=parts))
    return spec


def _mappings(names, level):
    return st.none() | st.dictionaries(st.sampled_from(names), level, max_size=3)


@st.composite
def live_rules(draw, people, roles):
    """Return rules of a seed: each subject has one level for a resource type."""
    subjects = [{}, *({"member": who} for who in people), *({"role": name} for name in roles)]
    places = [(resource, subject) for resource in sorted(LEVELS) for subject in subjects]
    return [
        {"resource": resource, "access_level": draw(st.sampled_from(LEVELS[resource])), **subject}
        for resource, subject in draw(st.lists(st.sampled_from(places), max_size=6, unique_by=str))
    ]


@st.composite
def live_holdouts(draw, names):
    """Return holdouts of a seed, with filters that no file shows."""
    return [
        {
            "name": name,
            "description": draw(st.none() | TEXTS),
            "filters": [
                {"properties": [], "rollout_percentage": draw(SHARES)},
                *draw(st.lists(st.just({"properties": [], "rollout_percentage": 1}), max_size=1)),
            ],
        }
        for name in draw(
            st.lists(names, max_size=2, unique_by=lambda name: name.strip().casefold())
        )
    ]
