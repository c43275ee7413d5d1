"""Change requests of holdouts: shown, and never taken for requests of a flag (contract 16)."""

import pytest

from tests import acme

HOLDOUT = "/api/projects/1/experiment_holdouts/3/"
NARROWER = {"filters": [{"properties": [], "rollout_percentage": 20}]}


@pytest.fixture
def repo(world):
    """Return a world in which a holdout and a flag have one id, with two open requests."""
    web = {
        "name": "Web",
        "id": 1,
        "feature_flags": [acme.live_flag("same", id=3), acme.live_flag("tested", id=4)],
        "experiment_holdouts": [
            {"id": 3, "name": "Global", "filters": [{"rollout_percentage": 10}]}
        ],
        "experiments": [{"name": "E", "feature_flag": "tested", "holdout": "Global"}],
        "approval_policies": [acme.policy("feature_flag.update")],
    }
    repo = world(acme.seed(projects=[web]))
    repo.write("flags.yaml", acme.flag("same", 50))
    repo.commit()
    for method, body in (("PATCH", NARROWER), ("DELETE", None)):
        assert repo.sandbox.call(method, HOLDOUT, body, token="phx_carol")[0] == 409
    return repo


def test_requests_show_what_they_would_change(repo):
    """The table names the holdout; the details name the flags that are rewritten with it."""
    listed = repo.run("requests", "list", "--format", "json").json
    table = repo.run("requests", "list").out

    assert {(row["resource_type"], row["holdout"], row["flag"]) for row in listed} == {
        ("experiment_holdout", "Global", "")
    }
    assert table.count("acme/Web/Global") == 2
    for row in listed:
        shown = repo.run("requests", "show", row["id"])
        assert shown.code == 0
        assert f"{row['action_key']} of acme/Web/Global" in shown.out
        assert "Also changes the flags tested" in shown.out


def test_a_plan_does_not_take_them_for_requests_of_a_flag(repo):
    """Neither while they are open, nor once they are decided."""
    requests = repo.run("requests", "list", "--format", "json").json
    before = repo.run("plan", "--format", "json").json
    for row in requests:
        assert (
            repo.run(
                "requests", "reject", row["id"], "--yes", "--reason", "no", token="phx_alice"
            ).code
            == 0
        )
    after = repo.run("plan", "--format", "json").json

    for plan in (before, after):
        assert [change["gate"]["verdict"] for change in plan["changes"]] == ["approval"]
        assert plan["change_requests"] == []
    pulled = repo.run("pull", "--kind", "FeatureFlag", "--out", ".", "--dry-run")
    assert pulled.code == 0
    assert repo.run("apply", "--yes").code == 3


def test_an_applied_one_explains_no_drift_of_a_flag(repo):
    """Approving it has null ids as its result; drift of the flag stays somebody's own."""
    (update,) = (
        row
        for row in repo.run("requests", "list", "--format", "json").json
        if row["action_key"] == "experiment_holdout.update"
    )

    approved = repo.run("requests", "approve", update["id"], "--yes", token="phx_alice")
    drift = repo.run("drift", "--format", "json")

    assert approved.code == 0, approved.err
    assert "applied" in approved.out
    assert drift.code == 2, drift.err
    for change in drift.json["changes"]:
        for field in change["fields"]:
            assert field["attribution"]["change_request"] is None
