"""For any world: `pull`, then `validate` and `plan` are clean, and `pull` again changes no byte."""

import json

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import acme
from tests.effort import effort
from tests.integration import governance
from tests.integration.test_idempotence import ACTIONS, CONDITIONS, FILTERS, KEYS, WORDS
from tests.support import Repository

PEOPLE = [f"{name}@acme.test" for name in acme.PEOPLE]
DANGLING = "6a0c2f0e-7f8e-4d0b-9b55-0f2f0a5c9d11"
ODD = [
    "no", "on", "Yes", "null", "~", "1_000", "12:30", "010", "1e3", "0x1f", ".5", "2026-01-01",
    " leading", "trailing ", "a # b", "a: b", "a:", "- a", "{a}", "[a, b]", "&a", "*a", "!a", "%a",
    "@a", "`a", "'a'", '"a"', "a\\b", "<<", "=", "?", "|", "é", "日本語", "😀", "x" * 190,
    "🛡️ Admins", "🛡 Admins", "👩‍💻", "zero\u200bwidth", "turn\u202eed", "admin", "\u0430dmin",
    "Caf\u00e9", "Cafe\u0301", "*", "!Sandbox", "id:x", "phx_" + "a1B2" * 8,
]  # fmt: skip
LONG = ["two\nlines", "ends\n", "\nstarts", "a\n\n  b\n", "\ttab", "a\u2028b\x85c", "y" * 3000, ""]
NAME = st.sampled_from(ODD) | WORDS
TEXT = NAME | st.sampled_from(LONG)
JSON = st.sampled_from([json.dumps({"a": [1, "no", None]}), '"on"', "1", "{}"])
SOME_KEYS = st.sampled_from(["a", "b", "on", "1_0"]) | KEYS
POLICY = st.fixed_dictionaries(
    {
        "conditions": CONDITIONS,
        "allow_self_approve": st.booleans(),
        "enabled": st.booleans(),
        "expires_after": st.sampled_from(["14 00:00:00", "1 12:00:00", "00:00:45"]),
        "bypass_org_membership_levels": st.lists(st.sampled_from([1, 8, 15]), max_size=2),
    }
)
FLAG = st.fixed_dictionaries(
    {"filters": FILTERS},
    optional={
        "name": TEXT,
        "active": st.booleans(),
        "tags": st.lists(NAME.map(str.strip), max_size=3, unique=True),
        "evaluation_runtime": st.sampled_from(["all", "server"]),
        "is_remote_configuration": st.booleans(),
        "bucketing_identifier": st.sampled_from([None, "device_id"]),
        "evaluation_contexts": st.lists(st.sampled_from(["web", "on"]), unique=True),
        "analytics_dashboards": st.lists(st.integers(1, 3), unique=True),
    },
)


def _distinct(names, **limits):
    return st.lists(names, unique_by=lambda name: name.strip().casefold(), **limits)


@st.composite
def _project(draw, name, roles):
    policies = []
    for action in draw(st.lists(st.sampled_from(ACTIONS), max_size=3, unique=True)):
        approvers = {
            "quorum": draw(st.integers(1, 3)),
            "users": draw(st.lists(st.sampled_from(PEOPLE), max_size=3, unique=True)),
            "roles": draw(st.lists(st.sampled_from([*roles, DANGLING]), max_size=2, unique=True)),
        }
        bypass = draw(st.lists(st.sampled_from(roles), max_size=1)) if roles else []
        policy = {**draw(POLICY), "approver_config": approvers, "bypass_roles": bypass}
        policies.append({"action_key": action, **policy})
    flags = []
    for key in draw(st.lists(SOME_KEYS, max_size=4, unique_by=str.casefold)):
        flag = {"key": key, **draw(FLAG)}
        if draw(st.booleans()):
            flag["filters"].pop("multivariate", None)
            flag["filters"] = {**flag["filters"], "payloads": {"true": draw(JSON)}}
            flag["filters"]["groups"][0]["properties"] = [
                {"key": draw(NAME), "type": "person", "value": draw(TEXT | st.lists(TEXT))}
            ]
        flags.append(flag)
    return {
        "name": name,
        "approval_policies": policies,
        "feature_flags": flags,
        "settings": draw(governance.LIVE_SETTINGS),
        "access_controls": draw(governance.live_rules(PEOPLE, roles)),
        "experiment_holdouts": draw(governance.live_holdouts(NAME)),
    }


ROLES = _distinct(NAME, max_size=3)
PROJECTS = _distinct(NAME, min_size=1, max_size=2)


@st.composite
def seeds(draw, roles=None, names=None):
    """Names that YAML could misread, people without names, rules about roles that are gone."""
    roles = draw(ROLES) if roles is None else roles
    names = draw(PROJECTS) if names is None else names
    seed = acme.seed(
        name=draw(NAME)[:60],
        settings={
            "enforce_2fa": draw(governance.MAYBE),
            **draw(st.fixed_dictionaries({}, optional=governance.ORGANIZATION)),
        },
        features=governance.FEATURES,
        domains=governance.DOMAINS,
        roles=[
            {"name": role, "members": draw(st.lists(st.sampled_from(PEOPLE), unique=True))}
            for role in roles
        ],
        projects=[draw(_project(name, roles)) for name in names],
    )
    for user in seed["users"]:
        if draw(st.booleans()):
            user["first_name"] = ""
    return seed


@st.composite
def pairs(draw):
    """Two worlds with the same roles and projects, and mostly the same flags."""
    roles, names = draw(ROLES), draw(PROJECTS)
    return draw(seeds(roles, names)), draw(seeds(roles, names))


def _files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@settings(
    max_examples=effort(5, 200, hunt=8),
    phases=[Phase.explicit, Phase.generate],  # shrinking costs processes; the seed replays
    suppress_health_check=list(HealthCheck),
)
@given(seed=seeds(), layout=st.sampled_from(["collection", "resource"]), full=st.booleans())
def test_what_was_pulled_is_valid_plans_as_nothing_and_is_pulled_the_same(
    shared_sandbox, tmp_path_factory, seed, layout, full
):
    """Pull (0) → validate (0) → plan --detailed-exitcode (0) → pull (0, no byte changed)."""
    shared_sandbox.reset(seed)
    repo = Repository(tmp_path_factory.mktemp("repo"), shared_sandbox)
    options = ["pull", "--layout", layout, *(["--full"] if full else [])]

    first = repo.run(*options)
    assert 0 == first.code, first.out + first.err
    before = _files(repo.folder)

    valid = repo.run("validate")
    assert 0 == valid.code, valid.out + valid.err
    plan = repo.run("plan", "--detailed-exitcode")
    assert 0 == plan.code, plan.out + plan.err

    again = repo.run(*options)
    assert 0 == again.code, again.out + again.err
    assert before == _files(repo.folder)
    assert [] == shared_sandbox.writes()


@settings(
    max_examples=effort(6, 200),
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(pair=pairs(), layout=st.sampled_from(["collection", "resource"]))
def test_what_has_changed_since_is_pulled_over_the_same_files(
    shared_sandbox, tmp_path_factory, pair, layout
):
    """Pull one world over the files of another: what is live plans as nothing, then stays."""
    before, after = pair
    shared_sandbox.reset(before)
    repo = Repository(tmp_path_factory.mktemp("repo"), shared_sandbox)
    repo.run("pull", "--layout", layout)
    shared_sandbox.reset(after)

    second = repo.run("pull", "--layout", layout, "--format", "json")
    assert 0 == second.code, second.out + second.err
    kept = _files(repo.folder)
    again = repo.run("pull", "--layout", layout)
    assert 0 == again.code, again.out + again.err
    assert kept == _files(repo.folder)

    told = [*second.json["missing"], *second.json["left_out"]]
    gone = [f"--exclude={one['address']}" for one in told]
    plan = repo.run("plan", "--detailed-exitcode", *gone)
    assert 0 == plan.code, plan.out + plan.err
