"""What PostHog would refuse is an error before anything is sent: `validate` against the sandbox."""

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import acme, factories
from tests.effort import effort
from tests.support import Repository

VALUES = st.sampled_from(
    [
        5, 5.5, True, None, "", "5", "a", "(", "[a", "a{2", "^a.*$", ["a"], [], {"a": 1}, "1", "v1",
        "1.2.3", "1.2", "1.*", "1.2.3-rc.1", "1.x", "1..2", "latest", "2026-01-31", "2026-02-30",
        "2026-13-01", "2026-1-5", "2026/01/31", "31.12.2026", "20260131", "20261331",
        "202601311230", "12345", "1700000000",
        "0000", "45", "0", "-7d", "30d", "7q", "12345d", "tomorrow", "Monday",
        "5 March 2026", "2026-01-31T10:00:00Z", "2026-01-31T25:00", "2026-01-31 10:00 CET", "10pm",
        "2026-01-31?", "5th of june", "1e5", "a\u00e9",
    ]
)  # fmt: skip
OPERATORS = st.sampled_from(
    [
        None, "exact", "is_not", "is_set", "is_not_set", "gt", "gte", "lt", "lte", "regex",
        "not_regex", "icontains", "not_icontains", "icontains_multi", "not_icontains_multi",
        "starts_with", "in", "not_in", "is_date_exact", "is_date_after", "is_date_before",
        "semver_eq", "semver_tilde", "semver_wildcard", "between", "not_between", "is", "eq", ">=",
        "min", "max", "contains", "!=", "nearly", "",
    ]
)  # fmt: skip
TYPES = st.sampled_from(["person", "person", "person", "group", "event", "person_metadata"])
INDEX = st.sampled_from([None, None, 0, 1])
PROPERTY = st.fixed_dictionaries(
    {"key": st.just("plan"), "type": TYPES},
    optional={
        "operator": OPERATORS,
        "value": VALUES,
        "group_type_index": INDEX,
        "negation": st.sampled_from([True, None, "no"]),
    },
)
VARIANT = st.fixed_dictionaries(
    {"key": st.sampled_from(["a", "b", "c"])},
    optional={"rollout_percentage": st.sampled_from([0, 30, 50, 50, 100, 33.33, 33.34])},
)
GROUP = st.fixed_dictionaries(
    {"properties": st.lists(PROPERTY, max_size=1)},
    optional={
        "rollout_percentage": st.sampled_from([None, 0, 50, 100, 101]),
        "variant": st.sampled_from([None, "", "a", "z", 5]),
        "aggregation_group_type_index": INDEX,
    },
)
FILTERS = st.fixed_dictionaries(
    {"groups": st.lists(GROUP, min_size=1, max_size=2)},
    optional={
        "multivariate": st.none()
        | st.fixed_dictionaries({"variants": st.lists(VARIANT, max_size=3)}),
        "payloads": st.dictionaries(
            st.sampled_from(["true", "a"]), st.sampled_from(['"x"', "x", 5, {"a": 1}]), max_size=1
        ),
        "aggregation_group_type_index": INDEX,
        "early_exit": st.sampled_from([True, None, "yes"]),
        "holdout": st.sampled_from([None, {"id": 3, "exclusion_percentage": 10}, {"id": "x"}]),
    },
)


@settings(
    max_examples=effort(4, 200),
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(several=st.lists(FILTERS, min_size=60, max_size=120))
def test_validate_refuses_the_filters_that_the_server_refuses_and_no_others(
    shared_sandbox, tmp_path_factory, several
):
    """Two implementations of one contract: one run of `validate`, one POST for each flag."""
    shared_sandbox.reset(acme.seed())
    repo = Repository(tmp_path_factory.mktemp("repo"), shared_sandbox)
    keys = [f"flag-{number}" for number in range(len(several))]
    repo.write(
        "a.yaml", *(acme.flag(key, filters=one) for key, one in zip(keys, several, strict=True))
    )
    found = repo.run("validate", "--format", "json").json
    refused = {row["address"].rpartition("/")[2] for row in found if row["severity"] == "error"}
    for key, filters in zip(keys, several, strict=True):
        status, body = shared_sandbox.call(
            "POST", "/api/projects/1/feature_flags/", {"key": key, "filters": filters}, "phx_ci"
        )
        told = [row for row in found if row["address"].endswith(f"/{key}")]
        assert (status == 400) is (key in refused), (filters, body, told)


HALVES = [{"key": key, "rollout_percentage": 50} for key in "ab"]
WHOLE = [{"key": "a", "rollout_percentage": 100}]
GROUPS = [{"properties": [], "rollout_percentage": 10}]
RUNNING = {"experiment_set": [5], "experiment_set_metadata": [{"id": 5, "is_running": True}]}


def _variants(variants, **more):
    return {"groups": GROUPS, "multivariate": {"variants": variants}, **more}


LIVE = {  # key -> what is live, what the file says, and the field that cannot be as it is
    "on": ({"active": True}, {"archived": True}, "archived"),
    "attic": ({"archived": True}, {"active": True}, "active"),
    "device": (
        {"bucketing_identifier": "device_id"},
        {"ensure_experience_continuity": True},
        "ensure_experience_continuity",
    ),
    "kept": (
        {"ensure_experience_continuity": True},
        {"bucketing_identifier": "device_id"},
        "bucketing_identifier",
    ),
    "plain": ({}, {"has_encrypted_payloads": True}, "has_encrypted_payloads"),
    "secret": (
        {"is_remote_configuration": True, "has_encrypted_payloads": True},
        {"is_remote_configuration": False},
        "is_remote_configuration",
    ),
    "trial": ({"filters": _variants(HALVES), **RUNNING}, {"filters": _variants(WHOLE)}, "filters"),
    "early": (
        {"features": [{"id": "x"}]},
        {"filters": {"groups": GROUPS, "aggregation_group_type_index": 0}},
        "filters",
    ),
}
USED = {
    "feature": {"features": [{"id": "x"}]},
    "running": RUNNING,
    "replay": {"is_used_in_replay_settings": True},
}


def test_a_plan_predicts_what_the_state_of_a_flag_forbids(world):
    """Each is refused by the server when it is sent all the same, and is not sent by `apply`."""
    flags = [acme.live_flag(key, **there) for key, (there, _, _) in LIVE.items()]
    flags += [acme.live_flag(key, **there) for key, there in USED.items()]
    repo = world(factories.seed(*flags))
    absent = {"lifecycle": {"state": "absent"}}
    gone = [acme.flag(key) for key in USED]
    for one in gone:
        one["metadata"].update(absent)
    documents = [acme.flag(key, **change) for key, (_, change, _) in LIVE.items()]
    repo.write("a.yaml", *documents, *gone, acme.flag("fine", rollout=5))
    ids = {
        row["key"]: row["id"]
        for archived in ("", "?archived=true")
        for row in repo.sandbox.call(
            "GET", f"/api/projects/1/feature_flags/{archived}", token="phx_ci"
        )[1]["results"]
    }

    predicted = {}
    for command in (["validate", "--live", "--format", "json"], ["plan", "--format", "json"]):
        done = repo.run(*command)
        rows = done.json if isinstance(done.json, list) else done.json["findings"]
        rows = [row for row in rows if row["code"] in {"R038", "would-be-refused"}]
        predicted = {row["address"].rpartition("/")[2]: row for row in rows}
        assert (done.code, predicted.keys()) == (1, LIVE.keys() | USED.keys()), done.out
    lines = (repo.folder / "a.yaml").read_text().splitlines()
    for key, (_, _, field) in LIVE.items():
        line = predicted[key]["source"]["line"]
        assert f"{field}:" in lines[line - 1] or field == "filters", (key, lines[line - 1])
    bodies = {key: change for key, (_, change, _) in LIVE.items()}
    bodies |= {key: {"deleted": True} for key in USED}
    for key, body in bodies.items():
        status, _ = repo.sandbox.call(
            "PATCH", f"/api/projects/1/feature_flags/{ids[key]}/", body, "phx_ci"
        )
        assert status == 400, key
    repo.sandbox.clear()
    applied = repo.run("apply", "--yes", "--format", "json")

    assert applied.code == 1
    assert [row["method"] for row in repo.sandbox.writes()] == ["POST"]  # `fine`, and nothing else


def test_a_plan_predicts_what_the_level_of_the_key_forbids(world):
    """Nobody changes their own level, or gives or takes what is above it."""
    repo = world(acme.seed())
    levels = {"ci": "owner", "alice": "admin", "bob": "owner", "carol": "member"}
    members = [
        acme.document("Member", {"level": level}, email=f"{name}@acme.test")
        for name, level in levels.items()
    ]
    repo.write("a.yaml", *members)
    done = repo.run("plan", "--format", "json")
    found = [row for row in done.json["findings"] if row["code"] == "would-be-refused"]
    member = repo.run("plan", "--format", "json", token="phx_bob")
    below = [row for row in member.json["findings"] if row["code"] == "would-be-refused"]

    assert done.code == 1
    assert {row["address"].split("/")[2].split("@")[0] for row in found} == {"ci", "alice", "bob"}
    assert len(below) == len(levels)
    repo.sandbox.clear()
    assert repo.run("apply", "--yes").code == 1
    assert [row["status"] for row in repo.sandbox.writes()] == [200]  # carol


def test_a_plan_says_what_the_plan_of_the_organization_lacks(world):
    """A policy that gates nothing is a warning, and so is one that PostHog may refuse."""
    repo = world(acme.seed(features=[]))
    rules = {"approvers": {"quorum": 1, "users": ["alice@acme.test"]}}
    actions = ("feature_flag.update", "experiment.launch")
    policies = [
        acme.document("ApprovalPolicy", rules, project="Web", action=action) for action in actions
    ]
    organization = {"kind": "Organization", "metadata": {"organization": "second"}, "spec": {}}
    repo.write("a.yaml", *policies, organization)
    done = repo.run("plan", "--format", "json")
    found = {(row["code"], row["severity"], row["address"]) for row in done.json["findings"]}

    assert done.code == 0
    launch = "ApprovalPolicy/acme/Web/experiment.launch"
    assert ("experiment-policy-unavailable", "warning", launch) in found
    assert ("would-be-refused", "warning", "Organization/second") in found
    assert [address for code, _, address in found if code == "gate-off"]


def test_filters_that_are_refused_today_are_not_pulled(world):
    """Also over a file that has other ones; `validate` and `plan` are clean afterwards."""
    worse = {"groups": GROUPS, "multivariate": {"variants": HALVES[:1]}}
    flags = [acme.live_flag("sound"), acme.live_flag("old", filters=worse)]
    web = {"name": "Web", "id": 1, "feature_flags": flags}
    repo = world(acme.seed(projects=[web]))
    for again in (False, True):
        done = repo.run("pull", "--format", "json")
        left = [row for row in done.json["left_out"] if row["address"].endswith("/old")]

        assert (done.code, len(left)) == (0, 1), done.out
        assert "filters" in left[0]["reason"]
        assert "PostHog would refuse it today" in left[0]["reason"]
        text = (repo.folder / "acme/Web/feature_flags.yaml").read_text()
        assert "key: old" in text
        assert "multivariate" not in text
        assert repo.run("validate").code == 0
        assert repo.run("plan", "--detailed-exitcode").code == 0, again
