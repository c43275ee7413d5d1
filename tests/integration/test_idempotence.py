"""Apply; then plan is empty and a second apply sends no write. Every kind, the real CLI."""

import string

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import acme
from tests.effort import effort
from tests.integration import governance
from tests.support import Repository

PEOPLE = [f"{name}@acme.test" for name in acme.PEOPLE]
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12
)
KEYS = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=20).filter(
    lambda key: not key[0].isdigit()  # `1e100` would be a number in the files
)
PERCENT = st.one_of(st.integers(0, 100), st.sampled_from([12.5, 33.3, None]))
PROPERTY = st.fixed_dictionaries(
    {
        "key": KEYS,
        "type": st.just("person"),
        "value": st.one_of(WORDS, st.lists(WORDS, min_size=1, max_size=3), st.integers(0, 9)),
    },
    optional={"operator": st.sampled_from(["exact", "is_not"])},
) | st.fixed_dictionaries(  # PostHog takes only text here
    {"key": KEYS, "type": st.just("person"), "value": WORDS, "operator": st.just("icontains")}
)
GROUP = st.fixed_dictionaries(
    {}, optional={"properties": st.lists(PROPERTY, max_size=2), "rollout_percentage": PERCENT}
)
VARIANTS = st.sampled_from(
    [
        [{"key": "a", "rollout_percentage": 60}, {"key": "b", "rollout_percentage": 40}],
        [{"key": "only", "name": "The one", "rollout_percentage": 100}],
    ]
)


def _agreed(filters):
    """Payloads of variants that there are, or of none: PostHog refuses others."""
    variants = (filters.get("multivariate") or {}).get("variants", [])
    keys = [variant["key"] for variant in variants] or ["true"]
    payloads = dict.fromkeys(keys[:1], '{"n": 1}') if filters.get("payloads") else {}
    return {**filters, "payloads": payloads} if "payloads" in filters else filters


FILTERS = st.fixed_dictionaries(
    {"groups": st.lists(GROUP, min_size=1, max_size=3)},
    optional={
        "multivariate": st.one_of(st.none(), st.fixed_dictionaries({"variants": VARIANTS})),
        "payloads": st.dictionaries(
            st.sampled_from(["true", "a"]), st.just('{"n": 1}'), max_size=1
        ),
    },
).map(_agreed)
FLAG = st.fixed_dictionaries(
    {"filters": FILTERS},
    optional={
        "name": WORDS,
        "active": st.booleans(),
        "tags": st.lists(WORDS, max_size=3),
        "evaluation_runtime": st.sampled_from(["all", "server", "client"]),
        "ensure_experience_continuity": st.one_of(st.none(), st.booleans()),
    },
)
CONDITIONS = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["before_after", "change_amount"]),
            "field": st.just("rollout_percentage"),
            "operator": st.sampled_from([">", "<", ">=", "<=", "==", "!="]),
            "value": st.integers(0, 100),
        }
    ),
)
POLICY = st.fixed_dictionaries(
    {
        "approvers": st.fixed_dictionaries(
            {"quorum": st.integers(1, 3)},
            optional={"users": st.lists(st.sampled_from(PEOPLE), max_size=3)},
        )
    },
    optional={
        "enabled": st.booleans(),
        "conditions": CONDITIONS,
        "allow_self_approve": st.booleans(),
        "bypass_levels": st.lists(st.sampled_from(["owner", "admin", "member"]), max_size=3),
        "expires_after": st.sampled_from(["14d", "2w", "36h", "90m", "45s", "1d12h"]),
    },
)
UNGUARDED = {  # fields of an organization that no guardrail looks at
    "name": WORDS,
    "enforce_2fa": st.booleans(),
    "members_can_invite": st.booleans(),
    "default_experiment_stats_method": st.sampled_from(["bayesian", "frequentist"]),
    "default_anonymize_ips": st.booleans(),
    "allow_publicly_shared_resources": st.booleans(),
}
ORGANIZATION = st.fixed_dictionaries({}, optional={**UNGUARDED, **governance.ORGANIZATION})
WIDER = ("--allow-weakening", "--allow-lockout", "Organization/acme")
ACTIONS = ["feature_flag.enable", "feature_flag.disable", "feature_flag.update", "inert.action"]


@st.composite
def worlds(draw):
    """Documents of all kinds that fit together. Policies and flags are in different projects."""
    roles = draw(st.lists(WORDS, max_size=3, unique_by=str.casefold))
    documents = [
        acme.document(
            "Role", {"members": draw(st.lists(st.sampled_from(PEOPLE), max_size=4))}, name=name
        )
        for name in roles
    ]
    organization = draw(ORGANIZATION)
    if roles and draw(st.booleans()):
        organization["default_role"] = draw(st.sampled_from(roles))
    documents.append(acme.document("Organization", organization))
    documents.append(
        acme.document(
            "Project", {"timezone": draw(st.sampled_from(["UTC", "Europe/Berlin"]))}, name="Web"
        )
    )
    other = draw(st.sampled_from(["Mobile", "Brand new"]))
    documents.append(acme.document("Project", draw(governance.SETTINGS), name=other))
    documents += [
        acme.document(
            "ProjectAccess", draw(governance.access_specs(PEOPLE, roles)), project=project
        )
        for project in draw(st.lists(st.sampled_from(["Web", other]), unique=True))
    ]
    documents += [
        acme.document("ExperimentHoldout", draw(governance.HOLDOUT), project=other, name=name)
        for name in draw(st.lists(WORDS, max_size=2, unique_by=str.casefold))
    ]
    documents.append(
        acme.document(
            "Member", {"level": draw(st.sampled_from(["member", "admin"]))}, email="bob@acme.test"
        )
    )
    for action in draw(st.lists(st.sampled_from(ACTIONS), max_size=3, unique=True)):
        policy = draw(POLICY)
        if roles:
            policy["approvers"]["roles"] = draw(st.lists(st.sampled_from(roles), max_size=2))
            policy["bypass_roles"] = draw(st.lists(st.sampled_from(roles), max_size=2))
        documents.append(acme.document("ApprovalPolicy", policy, project="Mobile", action=action))
    keys = draw(st.lists(KEYS, min_size=1, max_size=4, unique_by=str.casefold))
    documents += [acme.document("FeatureFlag", draw(FLAG), project="Web", key=key) for key in keys]
    return documents


@settings(
    max_examples=effort(8, 200, hunt=12),
    phases=[Phase.explicit, Phase.generate],  # shrinking costs processes; the seed replays
    suppress_health_check=list(HealthCheck),
)
@given(documents=worlds())
def test_what_was_applied_plans_as_nothing_and_is_not_written_again(
    shared_sandbox, tmp_path_factory, documents
):
    """Apply (0) → plan --detailed-exitcode (0) → apply sends GET only (0)."""
    shared_sandbox.reset(acme.seed(features=governance.FEATURES, domains=governance.DOMAINS))
    repo = Repository(tmp_path_factory.mktemp("repo"), shared_sandbox)
    repo.write("all.yaml", *documents)

    first = repo.run("apply", "--yes", *WIDER)
    assert 0 == first.code, first.out + first.err

    plan = repo.run("plan", "--detailed-exitcode")
    assert 0 == plan.code, plan.out + plan.err

    shared_sandbox.clear()
    again = repo.run("apply", "--yes", "--format", "json")
    assert 0 == again.code, again.out
    assert [] == shared_sandbox.writes()
    assert len(documents) == again.json["summary"]["unchanged"]
