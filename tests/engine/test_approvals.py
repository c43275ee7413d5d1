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
    """Nobody types a command after it: the next worker goes on where the last one was killed.

    Also in a new history, which a workflow that waits for long begins.
    """
    repo = fleet(gated_world("a"))
    repo.configure({"one": {}})
    repo.write("one/flags.yaml", acme.flag("a", active=True, name="renamed"))
    repo.commit()
    with repo.worker() as worker:
        done = repo.run("fleet", "apply", "--yes", "--format", "json")
        assert 3 == done.code, done.err
        repo.await_runs(lambda: began_from(repo.history("reconciler/apply/one")))
        assert len(repo.history("reconciler/apply/one")) < LONG
        worker.kill()
    assert {"reconciler/apply/one": "RUNNING"}.items() <= repo.workflows().items()

    assert 1 == approve_all(repo)
    with repo.worker():
        repo.await_runs(lambda: repo.workflows()["reconciler/apply/one"] == "COMPLETED")

    applied = repo.git("rev-parse", "refs/reconciler/applied/one").strip()
    assert applied == repo.git("rev-parse", "HEAD").strip()


def began_from(history):
    """The run that a run of a workflow continues, if there is one."""
    started = history[0]["workflowExecutionStartedEventAttributes"]
    return started.get("continuedExecutionRunId")
