"""Invariants: no gated change without an approval; ledger and data agree."""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.sandbox.faults import schedule
from reconciler.sandbox.rules import flag_filters, release_conditions
from reconciler.sandbox.seed import document
from reconciler.sandbox.store.generation import DEFAULT

from .conftest import FLAGS, REQUESTS, SEED, Api

ACTIONS = ("feature_flag.enable", "feature_flag.disable", "feature_flag.update")
PEOPLE = ("olga", "ada", "abe", "max", "mia")

percentages = st.sampled_from([None, 0, 50, 50.0, 100, "absent"])
PLAN = {"key": "plan", "type": "person", "value": ["pro"]}
properties = st.sampled_from([[], [], [PLAN]])
groups = st.lists(st.tuples(percentages, properties), max_size=2).map(
    lambda found: [
        {"properties": listed} | ({} if one == "absent" else {"rollout_percentage": one})
        for one, listed in found
    ]
)
filters = st.one_of(
    groups.map(lambda found: {"groups": found}),
    st.just({}),
    st.just({"groups": [], "holdout": {"exclusion_percentage": 5}}),
    st.just({"multivariate": {"variants": [{"key": "a", "rollout_percentage": 100}]}}),
    st.just({"payloads": {"true": "1"}}),
)
changes = st.fixed_dictionaries(
    {},
    optional={
        "active": st.booleans() | st.sampled_from(["true", "false", 0, 1]),
        "filters": filters,
        "name": st.sampled_from(["a", "b"]),
        "deleted": st.booleans(),
        "archived": st.booleans(),
        "key": st.sampled_from(["on", "off", "third"]),
        "is_remote_configuration": st.booleans(),
        "bucketing_identifier": st.sampled_from([None, "distinct_id", "device_id"]),
    },
)
flags = st.sampled_from([1, 2, 3, 4])
calls = st.one_of(
    st.tuples(st.sampled_from(["PATCH", "PUT"]), flags.map(lambda n: f"{FLAGS}/{n}/"), changes),
    st.tuples(st.just("POST"), st.just(f"{FLAGS}/"), changes),
    st.tuples(
        st.just("POST"),
        st.builds(
            "{}/{}/{}/".format,
            st.just(FLAGS),
            flags,
            st.sampled_from(["enable", "disable", "archive", "unarchive"]),
        ),
        st.just({}),
    ),
    st.tuples(
        st.just("VOTE"),
        st.sampled_from(["approve", "reject", "cancel"]),
        st.just({"reason": "because"}),
    ),
    st.tuples(st.just("ADVANCE"), st.sampled_from(["30m", "5h"]), st.just({})),
)
runs = st.lists(st.tuples(st.sampled_from(PEOPLE), calls), min_size=1, max_size=10)


def gated_world():
    """Every action gated, nobody bypasses."""
    seed = copy.deepcopy(SEED)
    config = {"quorum": 1, "users": ["ada@acme.test", "abe@acme.test"]}
    seed["organizations"][0]["projects"][0]["approval_policies"] = [
        {"action_key": one, "approver_config": config, "expires_after": "04:00:00"}
        for one in ACTIONS
    ]
    return seed


def perform(api, run):
    for who, (method, path, body) in run:
        if method == "ADVANCE":
            api.sandbox.advance(path)
        elif method == "VOTE":
            for request in api.results(f"{REQUESTS}/?state=pending&limit=1"):
                reply = api.post(f"{REQUESTS}/{request['id']}/{path}/", body, who=who)
                assert reply.status in {200, 400, 403}, reply.body
        else:
            reply = api.call(method, path, body, who=who)
            assert reply.status in {200, 201, 400, 404, 409}, reply.body


def gated_part(flag):
    if flag is None or flag["deleted"]:
        return {"active": False, "rollouts": []}
    rollouts = flag_filters.find_rollouts(flag["filters"], DEFAULT)
    return {"active": flag["active"], "rollouts": rollouts}


def targeting(flag):
    """What is gated in a flag that exists, and free in a create."""
    found = release_conditions.list_release_conditions(
        flag["filters"], flag["bucketing_identifier"]
    )
    return json.dumps(found, sort_keys=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=runs)
def test_nothing_gated_changes_without_an_approval(server, run):
    api = Api(server)
    server.reset(gated_world())

    perform(api, run)

    lines = server.ledger()
    applied = {
        line["request"]
        for line in lines
        if line["object"].startswith("ChangeRequest/") and line["after"]["state"] == "applied"
    }
    for line in lines:
        if not line["object"].startswith("FeatureFlag/") or line["effect"] == "delete":
            continue
        # deleting and restoring are gated by nothing (section 0, fact 10)
        revived = line["before"] is not None and line["before"]["deleted"]
        vanished = line["after"]["deleted"]
        if revived or vanished or line["request"] in applied:
            continue
        assert gated_part(line["before"]) == gated_part(line["after"]), line
        if line["before"] is not None:
            assert targeting(line["before"]) == targeting(line["after"]), line


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(run=runs)
def test_replaying_the_ledger_gives_the_state(server, run):
    api = Api(server)
    server.reset(gated_world())
    world = {}
    for flag in api.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]:
        world[f"FeatureFlag/{flag['id']}"] = flag["version"]

    perform(api, run)

    for line in server.ledger():
        if line["object"].startswith("FeatureFlag/"):
            before = line["before"]["version"] if line["before"] else None
            assert world.get(line["object"]) == before
            if line["effect"] == "update":
                assert line["after"]["version"] == before + 1
            world[line["object"]] = line["after"]["version"] if line["after"] else None
    state = server.state()
    flags_now = state["organizations"][0]["projects"][0]["feature_flags"]
    assert {f"FeatureFlag/{one['id']}": one["version"] for one in flags_now} == {
        name: version for name, version in world.items() if version is not None
    }
    server.reset(state)
    assert server.state() == state


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 20)
    | st.text(max_size=4)
    | st.just("ada@acme.test"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["users", "roles", "quorum", "literal", "x"]), inner)
    ),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=st.dictionaries(st.sampled_from(["users", "roles", "x"]), values), rule=values)
def test_any_stored_policy_survives_a_round_trip(server, config, rule):
    api = Api(server)
    server.reset(SEED)
    body = {"action_key": "x", "approver_config": {**config, "quorum": 1}, "conditions": rule}
    reply = api.post("/api/projects/1/approval_policies/", body)
    if rule is None:
        assert reply.status == 400
        return

    server.reset(server.state())

    (policy,) = api.results("/api/projects/1/approval_policies/")
    assert policy["approver_config"] == {**config, "quorum": 1}
    assert policy["conditions"] == rule


PAGE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("block", BLOCKS, ids="-".join)
def test_examples_in_the_docs_are_accepted(server, block):
    if "faults" in block:
        schedule.build_schedule(block)
    else:
        document.validate_seed(block)
        server.reset(block)


def test_the_docs_name_every_effect():
    missing = [one for one in schedule._ARGUMENTS if f"`{one}`" not in PAGE]

    assert missing == []
