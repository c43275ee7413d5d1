"""An apply on the engine that waits for approval: it ends by itself, also after a kill."""

from tests import acme
from tests.engine.fleets import LONG, gated_world


def approve_all(fleet):
    """Alice approves every request that waits."""
    rows = fleet.run("requests", "list", "--target", "one", "--format", "json").json
    for row in rows:
        args = ("--yes", "--target", "one")
        assert fleet.run("requests", "approve", row["id"], *args, token="phx_alice").code == 0
    return len(rows)


def test_an_approval_given_while_no_worker_runs_finishes_the_change(fleet):
    """Nobody types a command after it: the next worker goes on where the last one was killed."""
    repo = fleet(gated_world("a"))
    repo.configure({"one": {}})
    repo.write("one/flags.yaml", acme.flag("a", active=True, name="renamed"))
    repo.commit()
    with repo.worker() as worker:
        done = repo.run("fleet", "apply", "--yes", "--format", "json")
        assert 3 == done.code, done.err
        worker.kill()
    assert {"reconciler/apply/one": "RUNNING"}.items() <= repo.workflows().items()

    assert 1 == approve_all(repo)
    with repo.worker():
        repo.await_runs(lambda: repo.workflows()["reconciler/apply/one"] == "COMPLETED")

    applied = repo.git("rev-parse", "refs/reconciler/applied/one").strip()
    assert applied == repo.git("rev-parse", "HEAD").strip()


def test_an_apply_that_waits_for_long_goes_on_in_a_new_history(fleet):
    """Its history stays short, and an approval still finishes the change."""
    repo = fleet(gated_world("a"))
    repo.configure({"one": {}})
    repo.write("one/flags.yaml", acme.flag("a", active=True))
    repo.commit()
    with repo.worker():
        assert 3 == repo.run("fleet", "apply", "--yes").code
        repo.await_runs(lambda: began_from(repo.history("reconciler/apply/one")))
        assert len(repo.history("reconciler/apply/one")) < LONG
        assert 1 == approve_all(repo)
        repo.await_runs(lambda: repo.workflows()["reconciler/apply/one"] == "COMPLETED")

    (flag,) = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    assert flag["active"]


def began_from(history):
    """The run that a run of a workflow continues, if there is one."""
    started = history[0]["workflowExecutionStartedEventAttributes"]
    return started.get("continuedExecutionRunId")
