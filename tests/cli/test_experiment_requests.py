"""Requests that an experiment files for its flag have no resource id (contract 5.4, 7.6)."""

import pytest

from tests import acme
from tests.integration.running import apply, created, sent, spoil
from tests.integration.test_concurrent_edits import by, live

EXPERIMENTS = "/api/projects/1/experiments/"
REQUESTS = "/api/projects/1/change_requests/"


@pytest.fixture(params=[False, True], ids=["switch-off", "switch-on"])
def repo(world, request):
    """An experiment's flag that is to be switched on, and a request that carol's launch filed."""
    action = "experiment.launch" if request.param else "feature_flag.enable"
    variants = [{"key": key, "rollout_percentage": 50} for key in ("control", "test")]
    flag = acme.live_flag("a", 100, id=1)
    flag["filters"]["multivariate"] = {"variants": variants}
    web = {
        "name": "Web",
        "id": 1,
        "feature_flags": [flag, acme.live_flag("b", id=2)],
        "experiments": [{"id": 5, "name": "E", "feature_flag": "a"}],
        "approval_policies": [acme.policy(action)],
    }
    repo = world({"profile": "g3", **acme.seed(projects=[web], owner_scoping=request.param)})
    repo.write("all.yaml", acme.flag("a", active=True))
    repo.commit()
    return repo


def launch(repo):
    """File a request through the experiment; return its id."""
    status, answer = repo.sandbox.call("POST", f"{EXPERIMENTS}5/launch/", {}, token="phx_carol")
    assert (status, answer["change_request"]["resource_id"]) == (409, None), answer
    return answer["change_request"]["id"]


def test_it_is_the_request_that_the_flag_waits_for(repo):
    """Plan and apply find it by the flag in its intent, and nothing is sent."""
    id_ = launch(repo)
    repo.sandbox.clear()

    (change,) = repo.run("plan", "--format", "json").json["changes"]
    done = repo.run("apply", "--yes", "--format", "json")

    assert (change["gate"]["verdict"], change["gate"]["change_request"]) == ("pending", id_)
    (row,) = done.json["results"]
    assert (done.code, row["outcome"], row["change_request"]) == (3, "waiting", id_)
    assert repo.sandbox.writes() == []
    by_address = repo.run("requests", "show", "FeatureFlag/acme/Web/a", "--format", "json")
    assert by_address.json["id"] == id_


def test_approved_it_is_what_the_files_want(repo):
    """Afterwards there is nothing to do."""
    id_ = launch(repo)
    assert repo.run("requests", "approve", id_, "--yes", token="phx_alice").code == 0

    assert repo.run("plan", "--detailed-exitcode").code == 0
    assert live(repo, "a")["active"] is True


@pytest.mark.parametrize("verb", ["reject", "cancel"])
def test_a_rejected_request_counts_and_a_cancelled_one_does_not(repo, verb):
    """As for requests with a resource id."""
    id_ = launch(repo)
    who = "carol" if verb == "cancel" else "alice"
    by(repo, who, "POST", f"{REQUESTS}{id_}/{verb}/", {"reason": "no"})

    (change,) = repo.run("plan", "--format", "json").json["changes"]
    done = repo.run("apply", "--yes")

    expected = {"reject": ("rejected", 4), "cancel": ("approval", 3)}
    assert (change["gate"]["verdict"], done.code) == expected[verb]


def test_another_change_of_the_flag_is_blocked(repo):
    """Any write would make the request stale."""
    id_ = launch(repo)
    repo.write("all.yaml", acme.flag("a", name="Other"))
    repo.sandbox.clear()

    (change,) = repo.run("plan", "--format", "json").json["changes"]
    done = repo.run("apply", "--yes")

    assert (change["gate"]["verdict"], change["gate"]["change_request"]) == ("blocked", id_)
    assert (done.code, repo.sandbox.writes()) == (3, [])


def test_one_that_was_filed_after_the_plan_is_noticed(repo):
    """PostHog compares resource ids and files a second one: the older counts, both are named."""
    filed = []

    ran = apply(repo, between=lambda: filed.append(launch(repo)))

    row = ran.rows["a"]
    assert (3, "waiting", [row.change_request]) == (ran.code, row.result, filed), row
    both = by(repo, "alice", "GET", REQUESTS)["results"]
    assert 2 == len(both)
    assert all(request["id"] in row.note for request in both)


def test_a_lost_response_is_explained_by_it(repo):
    """The connection ends before PostHog files anything: the change waits for the launch's."""
    filed = []

    def between():
        filed.append(launch(repo))
        spoil(repo, "PATCH:feature_flags.update:1:before:reset")

    ran = apply(repo, between=between)

    row = ran.rows["a"]
    assert (3, "waiting", [row.change_request]) == (ran.code, row.result, filed), row
    assert 1 == created(repo, "ChangeRequest")
    assert 1 == len(sent(repo, "PATCH", "feature_flags"))
