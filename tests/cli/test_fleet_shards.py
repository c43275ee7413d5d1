"""`--shard` and `fleet matrix` at the command line: without keys, and with needs."""

import json

import yaml

from tests.project_fleet import TARGETS, results


def test_the_matrix_needs_no_key_and_contacts_nobody(fleet):
    """Its shards are those that the jobs run."""
    fleet = fleet()
    fleet.sandbox.clear()
    names = dict.fromkeys((f"POSTHOG_KEY_{number}" for number in range(1, 5)), "")

    done = fleet.run("fleet", "matrix", "--shards", "3", **names)
    included = json.loads(done.out)["include"]

    assert (0, "") == (done.code, done.err)
    assert [] == fleet.sandbox.requests()
    assert sorted(TARGETS) == sorted(name for row in included for name in row["targets"])
    for row in included:
        run = fleet.document("fleet", "plan", "--shard", row["shard"], code=0)
        assert row["targets"] == list(results(run))
        assert {"index": row["index"], "count": 3, "fleet": list(TARGETS)} == run["shard"]


def test_a_shard_without_targets_is_left_out_of_the_matrix_and_does_nothing(fleet):
    """All targets use one key, so that there is one group."""
    keys = {key: {"api_key_env": "POSTHOG_KEY_1"} for key in ("eu_1", "eu_2", "us_1", "us_2")}
    fleet = fleet(**keys)

    done = fleet.run("fleet", "matrix", "--shards", "4", "--format", "gitlab")
    empty = fleet.document("fleet", "plan", "--shard", "2/4", code=0)

    rows = yaml.safe_load(done.out)[".fleet-shards"]["parallel"]["matrix"]
    assert [{"SHARD": "1/4", "SHARD_INDEX": "1"}] == rows
    assert [] == empty["targets"]


def test_targets_that_need_each_other_are_one_shard(fleet):
    """us-1 needs eu-1: the same job runs both, in this order."""
    fleet = fleet(us_1={"needs": ["eu-1"]})

    included = json.loads(fleet.run("fleet", "matrix", "--shards", "2").out)["include"]

    (together,) = (row for row in included if "us-1" in row["targets"])
    assert "eu-1" in together["targets"]


def test_shards_are_of_the_targets_that_were_chosen(fleet):
    """What is not chosen connects nothing."""
    fleet = fleet(us_1={"needs": ["eu-1"]}, us_2={"needs": ["eu-1"]})

    whole = json.loads(fleet.run("fleet", "matrix", "--shards", "2").out)["include"]
    chosen = fleet.run("fleet", "matrix", "--shards", "2", "--target", "us-*").out

    assert {"eu-1", "us-1", "us-2"} in [set(row["targets"]) for row in whole]
    assert [["us-1"], ["us-2"]] == [row["targets"] for row in json.loads(chosen)["include"]]


def test_a_bad_shard_is_a_usage_error(fleet):
    """Nothing is contacted."""
    fleet = fleet()
    fleet.sandbox.clear()

    for words in (("plan", "--shard", "3/2"), ("matrix",), ("matrix", "--shards", "0"), ("merge",)):
        done = fleet.run("fleet", *words)
        assert (64, "") == (done.code, done.out), words

    assert [] == fleet.sandbox.requests()
