"""Flags in the second format (`filters.version: 2`): refused with the reason, never updated."""

import json

import pytest

from tests import acme, factories
from tests.support import Repository

RULES = {"version": 2, "rules": [{"id": "r1", "rollout_percentage": 10}]}
CODE = "would-be-refused"


@pytest.fixture(scope="module", params=["g2", "g3"])
def server(request, start_sandbox):
    return start_sandbox("--profile", request.param)


@pytest.fixture
def repo(server, tmp_path):
    ruled = acme.live_flag("ruled", id=3, filters=RULES)
    server.reset(factories.gated(ruled, acme.live_flag("plain", id=4)))
    return Repository(tmp_path, server)


def flags(repo):
    return repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]


def stored(repo):
    return next(flag for flag in flags(repo) if flag["key"] == "ruled")


@pytest.mark.parametrize(
    "document",
    [acme.flag("ruled", 50), acme.flag("ruled", name="new"), acme.flag("ruled", active=True)],
)
def test_an_update_is_refused_with_the_reason(repo, document):
    """Whichever field differs; at the place in the file, and nothing is sent for it."""
    repo.write("all.yaml", acme.flag("plain", 50), document)
    before = stored(repo)

    planned = repo.run("plan", "--format", "json")

    assert 1 == planned.code, planned.err
    (found,) = [f for f in planned.json["findings"] if f["code"] == CODE]
    assert "format 2" in found["why"]
    assert "error" == found["severity"]
    assert "all.yaml" == found["source"]["file"]
    assert 1 == repo.run("apply", "--yes").code
    repo.run("apply", "--yes", "--continue")
    assert before == stored(repo)
    assert [] == [row for row in repo.sandbox.writes() if "/3/" in row["path"]]


def test_a_flag_that_differs_in_nothing_is_no_error(repo):
    repo.write("all.yaml", acme.flag("ruled", name="ruled"), acme.flag("plain", 10))

    assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_a_file_cannot_write_the_second_format(repo):
    repo.write("all.yaml", acme.flag("ruled", filters=RULES))

    done = repo.run("validate")

    assert 1 == done.code
    assert "filters.version" in done.err
    assert "all.yaml" in done.err


def test_a_delete_writes_no_filters_and_is_allowed(repo):
    document = acme.flag("ruled")
    document["metadata"]["lifecycle"] = {"state": "absent"}
    repo.write("all.yaml", document)

    assert 0 == repo.run("apply", "--yes", "--confirm-deletes", "1").code
    assert stored(repo)["deleted"] is True
    assert RULES == stored(repo)["filters"]


def test_a_flag_that_changes_its_format_after_the_plan_is_not_written(server, tmp_path):
    """A saved plan is checked against what is there now."""
    server.reset(factories.seed(acme.live_flag("ruled", id=3)))
    repo = Repository(tmp_path, server)
    repo.write("all.yaml", acme.flag("ruled", name="new"))
    assert 0 == repo.run("plan", "--out", "plan.json").code
    state = server.state()
    state["organizations"][0]["projects"][0]["feature_flags"][0]["filters"] = RULES
    server.reset(state)

    done = repo.run("apply", "plan.json", "--yes")

    assert done.code in {1, 4}, done
    assert "ruled" == stored(repo)["name"]


def test_pull_leaves_it_out_and_says_so(repo):
    done = repo.run("pull", "--out", "pulled")

    pulled = "".join(path.read_text() for path in (repo.folder / "pulled").rglob("*.yaml"))
    assert "key: plain" in pulled
    assert "ruled" not in pulled
    assert "FeatureFlag/acme/Web/ruled" in done.out + done.err
    assert "format 2" in done.out + done.err


def test_drift_reports_it_and_adopts_nothing(repo):
    repo.write("all.yaml", acme.flag("ruled", name="new"))
    repo.commit()
    text = (repo.folder / "all.yaml").read_text()

    done = repo.run("drift", "--format", "json")
    assert 2 == done.code, done.err
    assert "format 2" in (repo.run("drift", "--adopt").err + repo.run("drift", "--adopt").out)
    assert text == (repo.folder / "all.yaml").read_text()
    repo.run("drift", "--revert", "--yes")
    assert "ruled" == stored(repo)["name"]


def test_it_is_unmanaged_where_no_file_declares_it(repo):
    repo.write("all.yaml", acme.flag("plain", 10))

    assert ["FeatureFlag/acme/Web/ruled"] == repo.run("plan", "--format", "json").json["unmanaged"]


@pytest.mark.parametrize("filters", [{"version": 2}, {"groups": []}, {**RULES, "groups": []}])
def test_the_sandbox_refuses_filters_of_such_a_flag(repo, filters):
    """It accepts neither the key nor a write of filters that keeps it (contract 9.2)."""
    path = "/api/projects/1/feature_flags/3/"
    status, body = repo.sandbox.call("PATCH", path, {"filters": filters}, token="phx_ci")

    assert (400, "reserved_config_version") == (status, body["code"])
    assert RULES == stored(repo)["filters"]


def test_the_sandbox_shows_and_keeps_such_a_flag(repo):
    path = "/api/projects/1/feature_flags/3/"
    assert RULES == repo.sandbox.call("GET", path, token="phx_ci")[1]["filters"]
    repo.sandbox.reset(json.loads(json.dumps(repo.sandbox.state())))
    status, body = repo.sandbox.call("PATCH", path, {"name": "x"}, token="phx_ci")
    assert (200, RULES) == (status, body["filters"])
