"""Schedules: kept by the server, and never two runs at a time."""

from tests import acme
from tests.code_hosts import serving
from tests.engine.fleets import decode_history, gated_world


def test_a_tick_during_a_run_is_skipped(fleet):
    """Here the run lasts as long as there is no worker."""
    repo = fleet(gated_world("a"))
    repo.configure({"one": {}, "two": {}})
    for name in ("one", "two"):
        repo.write(f"{name}/flags.yaml", acme.flag("a", 10))
    repo.commit()

    def listed():
        return repo.run("fleet", "schedule", "list", "--format", "json").json

    assert [] == listed()
    set_ = ("fleet", "schedule", "set", "drift", "--every", "1s", "--target", "o*")
    assert 0 == repo.run(*set_).code
    (row,) = repo.await_runs(lambda: [row for row in listed() if row["skipped"] >= 2])
    assert 1 == row["runs"]
    assert 0 == repo.run("fleet", "schedule", "delete", "drift").code
    assert [] == listed()
    with repo.worker():
        repo.await_runs(lambda: repo.workflows().get("reconciler/drift/one") == "COMPLETED")
        repo.await_runs(lambda: "RUNNING" not in kinds(repo, "reconciler/schedule"))

    assert {"COMPLETED"} == kinds(repo, "reconciler/schedule")
    assert set() == kinds(repo, "reconciler/drift/two")
    assert 1 == repo.run("fleet", "schedule", "delete", "drift").code


def kinds(repo, prefix):
    """The states of the workflows whose IDs begin so."""
    return {status for id_, status in repo.workflows().items() if id_.startswith(prefix)}


def test_a_run_that_nobody_waits_for_sends_its_own_message_once(fleet):
    """Also if a new worker has a new checkout; the URL is on the worker, and never in a history."""
    flags = [acme.live_flag("a", 10)]
    repo = fleet(acme.seed(projects=[{"name": "Web", "id": 1, "feature_flags": flags}]))
    repo.configure({"one": {"notify": ["env:RECONCILER_NOTIFY_URL"]}})
    repo.write("one/flags.yaml", acme.flag("a", 50))
    repo.commit()

    def ended():
        return sum("drift" in id_ and status == "COMPLETED" for id_, status in repo.runs())

    with serving() as code_host:
        for number in (1, 2):
            with repo.worker(RECONCILER_NOTIFY_URL=f"{code_host.url}/hook/s3cr3t"):
                assert 0 == repo.run("fleet", "drift", "--detach").code
                repo.await_runs(lambda number=number: ended() == number)

        assert 1 == len(code_host.hooks)
    assert "s3cr3t" not in decode_history(repo.history("reconciler/drift/one"))
