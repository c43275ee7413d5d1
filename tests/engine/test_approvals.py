"""An apply on the engine that waits for approval: it ends by itself, also after a kill."""

from tests import acme
from tests.engine.fleets import gated_world
from tests.support import awaited


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
        awaited(lambda: repo.workflows()["reconciler/apply/one"] == "COMPLETED")

    applied = repo.git("rev-parse", "refs/reconciler/applied/one").strip()
    assert applied == repo.git("rev-parse", "HEAD").strip()
