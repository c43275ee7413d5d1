"""Holdouts and the flags that PostHog writes with them, in a single plan (contract 16)."""

import subprocess

import pytest

from tests import acme
from tests.cli.test_holdouts import ADDRESS, HOLDOUTS, NAME, OWN, holdout, in_holdout
from tests.cli.test_holdouts import seed as seed_holdout
from tests.forked import Program
from tests.support import awaited

DELETE = "experiment_holdout.delete"
GONE = holdout(lifecycle={"state": "absent"})


@pytest.fixture
def make(world):
    """Return a function that makes a committed repository of documents."""

    def make_repository(seed, *documents):
        repo = world(seed)
        repo.write("files.yaml", *documents)
        repo.commit()
        return repo

    return make_repository


def seed(*policies, **more):
    """Return the world of the other tests, with the holdout in the flags as PostHog has it."""
    world = seed_holdout(*policies, **more)
    for flag in world["organizations"][0]["projects"][0]["feature_flags"][:2]:
        flag["filters"]["holdout"] = {"id": 3, "exclusion_percentage": 10}
    return world


def bypassed(action):
    """Return a policy that does not hold back the user of the key."""
    return acme.policy(action, bypass_org_membership_levels=[8])


def list_open(repo):
    """Return the open change requests by their actions."""
    rows = repo.run("requests", "list", "--state", "pending", "--format", "json").json
    return {row["action_key"]: row["id"] for row in rows}


def approve(repo, id_):
    """Approve one request; return the state that it has afterwards."""
    done = repo.run("requests", "approve", id_, "--yes", token="phx_alice")
    state = repo.run("requests", "show", id_, "--format", "json").json["state"]
    assert done.code == (1 if state == "failed" else 0), done.out + done.err
    return state


def outcomes(done):
    """Return what happened to each resource, by its name."""
    return {row["address"].rpartition("/")[2]: row["outcome"] for row in done.json["results"]}


@pytest.mark.parametrize("document", [holdout(20), GONE])
@pytest.mark.parametrize("gate", ["none", "bypass"])
def test_a_holdout_is_written_before_requests_for_its_flags_are_filed(make, document, gate):
    """Its write raises their versions, so later it would end the requests."""
    gates = [bypassed(OWN), bypassed(DELETE)] if gate == "bypass" else []
    action = "feature_flag.update" if gates else "feature_flag.enable"
    change = {"rollout": 50} if gates else {"active": True}
    repo = make(
        seed(acme.policy(action), *gates),
        acme.flag("a", **change),
        acme.flag("other", **change),
        document,
    )
    plan = repo.run("plan", "--format", "json").json
    needs = {row["address"].rpartition("/")[2]: row["depends_on"] for row in plan["changes"]}
    first = repo.run("apply", "--yes", "--format", "json")

    assert needs == {"a": [ADDRESS], "other": [], NAME: []}
    assert outcomes(first) == {"a": "waiting", "other": "waiting", NAME: "done"}
    rows = repo.run("requests", "list", "--state", "pending", "--format", "json").json
    assert {approve(repo, row["id"]) for row in rows} == {"applied"}
    assert repo.run("apply", "--yes").code == 0
    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_a_holdout_that_waits_holds_nothing_back_and_the_plan_says_what_it_ends(make):
    """Decided in the other order, both requests are applied."""
    repo = make(
        seed(acme.policy(OWN), acme.policy("feature_flag.update")),
        acme.flag("a", 50),
        acme.flag("other", 50),
        holdout(20),
    )
    plan = repo.run("plan", "--format", "json").json
    (row,) = (row for row in plan["changes"] if row["address"] == ADDRESS)
    (warning,) = (one for one in row["warnings"] if one["code"] == "ends-requests")

    assert (
        "once approved, this ends the change request that this run files for a"
        in (warning["message"])
    )
    assert "other" not in warning["message"]
    assert [row["depends_on"] for row in plan["changes"]] == [[], [], []]
    assert "once approved, this ends" in repo.run("plan").out
    assert repo.run("apply", "--yes").code == 3
    waiting = repo.run("requests", "list", "--state", "pending", "--format", "json").json
    waiting.sort(key=lambda row: row["action_key"] == OWN)
    assert [approve(repo, row["id"]) for row in waiting] == ["applied"] * 3
    assert repo.run("apply", "--yes").code == 0
    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_a_request_that_a_holdout_has_ended_is_filed_again(make):
    """The holdout first: the request for the flag fails, and the next run replaces it."""
    repo = make(
        seed(acme.policy(OWN), acme.policy("feature_flag.update")), acme.flag("a", 50), holdout(20)
    )
    assert repo.run("apply", "--yes").code == 3
    requests = list_open(repo)
    assert approve(repo, requests[OWN]) == "applied"
    assert approve(repo, requests["feature_flag.update"]) == "failed"

    again = repo.run("apply", "--yes", "--format", "json")
    assert outcomes(again)["a"] == "waiting"
    assert approve(repo, list_open(repo)["feature_flag.update"]) == "applied"
    assert repo.run("apply", "--yes").code == 0
    assert repo.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("joins", [True, False])
def test_a_request_fails_once_experiments_join_or_leave(make, joins):
    """The approvers saw other flags: the request fails, and the next run files it again."""
    repo = make(seed(acme.policy(OWN)), holdout(20))
    assert repo.run("apply", "--yes").code == 3
    before = list_open(repo)[OWN]
    path, holdout_id = ("7/", 3) if joins else ("5/", None)
    experiments = "/api/projects/1/experiments/"
    moved = {"holdout_id": holdout_id}
    status, body = repo.sandbox.call("PATCH", f"{experiments}{path}", moved, token="phx_alice")
    assert status == 200, body

    assert repo.run("plan").code == 0
    assert approve(repo, before) == "failed"
    plan = repo.run("plan", "--format", "json").json
    again = repo.run("apply", "--yes")
    after = list_open(repo)[OWN]

    (row,) = plan["changes"]
    flags = "a, b, other" if joins else "the flag b"
    assert flags in next(one["message"] for one in row["warnings"] if one["code"] == "rewrites")
    assert row["gate"]["verdict"] == "approval"
    assert again.code == 3, again.err
    assert after != before
    assert approve(repo, after) == "applied"
    assert repo.run("plan", "--detailed-exitcode").code == 0


def hangs(repo):
    """Return whether a request got no answer."""
    return any("hang" in (row["fault"] or "") for row in repo.sandbox.requests())


@pytest.mark.parametrize("document", [holdout(20, description="Wider"), GONE])
@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize(("point", "hit"), [("before", 1), ("after", 1), ("after", 2)])
def test_a_run_that_is_killed_while_it_writes_a_holdout_is_completed(
    make, document, gated, point, hit
):
    """Nothing is filed or written twice; the flags of the holdout agree with it afterwards."""
    policies = [acme.policy(OWN), acme.policy(DELETE)] if gated else []
    repo = make(seed(*policies), document)
    method = "PATCH" if "description" in document["spec"] else "DELETE"
    match = {"method": method, "route": "experiment_holdouts.*", "hit": hit}
    rule = {"match": match, "point": point, "effect": "hang"}
    assert repo.sandbox.call("POST", "/_sandbox/faults", {"faults": [rule]})[0] == 200
    with Program(
        ("apply", "--yes"),
        cwd=repo.folder,
        env=repo.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        awaited(lambda: hangs(repo) or process.poll() is not None)
        process.kill()
    repo.sandbox.call("POST", "/_sandbox/faults", {"faults": []})

    assert repo.run("apply", "--yes").code == (3 if gated else 0)
    listed = repo.sandbox.call("GET", "/api/projects/1/change_requests/", token="phx_ci")[1]
    assert listed["count"] == gated
    for id_ in list_open(repo).values():
        assert approve(repo, id_) == "applied"
    assert repo.run("apply", "--yes").code == 0
    assert repo.run("plan", "--detailed-exitcode").code == 0
    status, body = repo.sandbox.call("GET", f"{HOLDOUTS}3/", token="phx_ci")
    flag = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"][0]
    share = (flag["filters"].get("holdout") or {}).get("exclusion_percentage")
    assert (status, share) == ((200, 20) if method == "PATCH" else (404, None))
    assert method == "DELETE" or body["filters"][0]["rollout_percentage"] == 20


def test_a_flag_may_not_name_a_holdout_that_the_same_plan_deletes(make):
    """The share would belong to nothing."""
    block = {"id": NAME, "exclusion_percentage": 10}
    groups = [{"properties": [], "rollout_percentage": 10}]
    repo = make(seed(), acme.flag("a", filters={"groups": groups, "holdout": block}), GONE)

    done = repo.run("plan", "--format", "json")
    (error,) = (row for row in done.json["findings"] if row["severity"] == "error")

    assert done.code == 1
    assert error["message"] == f'the holdout "{NAME}" is deleted here'
    assert error["source"]["line"]


def document_policy(action, quorum=1, **spec):
    """Return a document of a policy like `acme.policy`."""
    approvers = {"quorum": quorum, "users": ["alice@acme.test", "bob@acme.test"]}
    spec = {"enabled": True, "conditions": {}, "approvers": approvers, **spec}
    return acme.document("ApprovalPolicy", spec, project="Web", action=action)


FALLBACK = {"quorum": 2, "users": ["alice@acme.test", "bob@acme.test"], "roles": []}
CONDITION = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 50}
STARTS = {
    "fewer people": ({}, {"quorum": 1}, True),
    "a condition": ({}, {"quorum": 2, "conditions": CONDITION}, True),
    "as strict": ({}, {"quorum": 2}, False),
    "as strict, whatever the condition of the other": (
        {"conditions": CONDITION},
        {"quorum": 2},
        False,
    ),
    "disabled": ({}, {"quorum": 1, "enabled": False}, False),
    "the other is disabled": ({"enabled": False}, {"quorum": 1}, False),
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("action", [OWN, DELETE])
@pytest.mark.parametrize("was_there", [True, False])
def test_an_own_policy_weaker_than_the_fallback_is_a_weakening(make, start, action, was_there):
    """The policy of flags covers holdouts until they have their own, created or enabled."""
    before, after, weaker = STARTS[start]
    fallback = acme.policy("feature_flag.update", approver_config=FALLBACK, **before)
    own = [acme.policy(action, enabled=False)] if was_there else []
    repo = make(seed(fallback, *own), document_policy(action, **after))
    plan = repo.run("plan", "--format", "json")
    errors = [row for row in plan.json["findings"] if row["severity"] == "error"]

    assert [row["code"] for row in errors] == (["policy-weakened"] if weaker else [])
    assert repo.run("apply", "--yes").code == (4 if weaker else 0)
    if weaker:
        assert "is weaker than the policy that it replaces" in errors[0]["message"]
        assert repo.run("apply", "--yes", "--allow-weakening").code == 0
    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_a_weaker_own_policy_starts_after_the_holdout_is_written(make):
    """The change of the same run is still held back by the stricter policy."""
    fallback = acme.policy("feature_flag.update", approver_config=FALLBACK)
    repo = make(seed(fallback), document_policy(OWN), holdout(20))
    plan = repo.run("plan", "--allow-weakening", "--format", "json").json
    gates = {row["kind"]: row["gate"] for row in plan["changes"]}

    assert [row["kind"] for row in plan["changes"]] == ["ExperimentHoldout", "ApprovalPolicy"]
    assert gates["ExperimentHoldout"]["quorum"] == 2
    assert repo.run("apply", "--yes", "--allow-weakening").code == 3
    rows = repo.run("requests", "list", "--state", "pending", "--format", "json").json
    assert [row["action_key"] for row in rows] == [OWN]


@pytest.mark.parametrize(("share", "differs"), [(10, True), (20, False), (20.0, False)])
def test_a_flag_that_is_declared_with_another_share_is_a_warning(make, share, differs):
    """PostHog copies the share of the holdout into the flag, whatever the file of the flag says."""
    flag = in_holdout("a", NAME, share)
    repo = make(seed(), flag, holdout(20))
    plan = repo.run("plan", "--format", "json").json
    (row,) = (row for row in plan["changes"] if row["address"] == ADDRESS)
    messages = [one["message"] for one in row["warnings"] if one["code"] == "rewrites-differ"]

    assert messages == (
        [f"{ADDRESS}: the files give another filters.holdout.exclusion_percentage to a"]
        if differs
        else []
    )
    assert repo.run("apply", "--yes").code == 0
    assert repo.run("plan", "--detailed-exitcode").code == (2 if differs else 0)
