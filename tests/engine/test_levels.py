"""In this process and on the engine: the same document, apart from times."""

import asyncio

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from reconciler.fleet.engine.temporal.workflows import (
    KeyWorkflow,
    ScheduledWorkflow,
    TargetWorkflow,
)
from tests import acme
from tests.effort import effort
from tests.engine.fleets import Fleet, decode_history

COUNT = effort(6, 30)  # targets
SECRET = "http://127.0.0.1:1/services/secret-of-a-webhook"


@pytest.fixture(scope="module")
def sandboxes(start_sandbox):
    """Three instances of PostHog."""
    return tuple(start_sandbox(number=number) for number in range(3))


@pytest.fixture(scope="module")
def three(sandboxes, temporal, tmp_path_factory):
    """A fleet over three sandboxes, with a worker that serves the whole module."""
    folder = tmp_path_factory.mktemp("levels") / "repo"
    folder.mkdir()
    repo = Fleet(folder, sandboxes[0], temporal)
    names = [f"t{n:02}" for n in range(COUNT)]
    targets = {name: {"host": sandboxes[n % 3].url} for n, name in enumerate(names)}
    targets[names[-1]]["needs"] = [names[0]]
    targets[names[-2]]["needs"] = [names[1]]  # which will wait for an approval
    repo.configure(targets, poll="1h")
    for name in names:
        gated = {"active": True} if name in {names[1], names[2]} else {}
        repo.write(f"{name}/flags.yaml", acme.flag(name, name="new", **gated))
    repo.commit()
    with repo.worker():
        yield repo


@pytest.fixture
def world(three, sandboxes):
    """The fleet at its beginning: every sandbox knows the flags of all targets."""

    def reset():
        for sandbox in sandboxes:
            flags = [acme.live_flag(f"t{n:02}") for n in range(COUNT)]
            policies = [acme.policy("feature_flag.enable")]
            project = {"name": "Web", "id": 1, "approval_policies": policies}
            sandbox.reset(acme.seed(projects=[{**project, "feature_flags": flags}]))
        for name in three.git("for-each-ref", "--format=%(refname)", "refs/reconciler").split():
            three.git("update-ref", "-d", name)
        return three

    return reset


def documents(world, *words):
    """What a command reports on both levels, each from the same beginning."""
    found = []
    for engine in ("local", "temporal"):
        repo = world()
        done = repo.run("fleet", *words, "--engine", engine, "--format", "json")
        assert done.code == done.json["exit_code"], done.err
        found.append(strip(done.json))
    return found


def strip(document):
    """A document without times, and without the IDs that a server makes up."""
    for target in document["targets"]:
        del target["seconds"]
    document["waiting"].sort(key=lambda request: request["address"])  # it is by expiry
    for request in document["waiting"]:
        for name in ("id", "url", "expires_at"):
            del request[name]
    return document


def test_a_plan_is_the_same(world):
    """Summaries, requests, and who will have to approve what."""
    local, engine = documents(world, "plan", "--detailed-exitcode")

    assert local == engine
    assert 2 == local["exit_code"]
    assert COUNT == len(local["targets"])


def test_an_apply_is_the_same(world):
    """One target waits for approval, and the one that needs it is skipped."""
    local, engine = documents(world, "apply", "--yes")

    assert local == engine
    assert 3 == local["exit_code"]
    assert ["t01", "t02"] == [request["target"] for request in local["waiting"]]
    skipped = [each for each in local["targets"] if each["skipped_because"]]
    assert [f"t{COUNT - 2:02}"] == [each["target"] for each in skipped]


def test_drift_is_the_same(world, sandboxes):
    """One person has made the same edit in several targets: one cause."""

    def drifted():
        repo = world()
        assert 3 == repo.run("fleet", "apply", "--yes", "--engine", "local").code
        for name in ("t00", "t03"):
            sandbox = sandboxes[int(name[1:]) % 3]
            flags = sandbox.call("GET", "/api/projects/1/feature_flags/", token="phx_bob")[1]
            (id_,) = (each["id"] for each in flags["results"] if each["key"] == name)
            path = f"/api/projects/1/feature_flags/{id_}/"
            assert 200 == sandbox.call("PATCH", path, {"name": "by hand"}, token="phx_bob")[0]
        return repo

    local, engine = documents(drifted, "drift")

    assert local == engine
    assert 2 == local["exit_code"]
    causes = {cause["person"]: set(cause["targets"]) for cause in local["causes"]}
    assert {"t00", "t03"} == causes["bob@acme.test"]


def test_the_engine_keeps_neither_keys_nor_plans(three, world):
    """Everything that the server has stored about all runs of this module, decoded."""
    world()
    three.run("fleet", "drift", "--target", "t00", "--notify", SECRET)

    kept = "".join(decode_history(three.history(id_)) for id_ in three.workflows())

    assert "reconciler-target" in kept
    for secret in ("phx_", "@acme.test", "rollout_percentage", SECRET):
        assert secret not in kept, secret
    refused = three.run("fleet", "drift", "--detach", "--notify", SECRET)
    assert 64 == refused.code
    assert SECRET not in refused.err


def test_a_history_leads_to_the_same_steps_again(three, world):
    """A worker that takes a workflow over replays it: nothing else may decide about the steps."""
    world()
    assert 3 == three.run("fleet", "apply", "--yes").code
    replayer = Replayer(workflows=[TargetWorkflow, KeyWorkflow, ScheduledWorkflow])
    ids = three.workflows()

    for id_ in ids:
        history = WorkflowHistory.from_json(id_, {"events": three.history(id_)})
        asyncio.run(replayer.replay_workflow(history))

    assert COUNT < len(ids)
