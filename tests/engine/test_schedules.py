"""Schedules: kept by the server, and never two runs at a time."""

from tests import acme
from tests.engine.fleets import gated_world
from tests.support import awaited


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
    (row,) = awaited(lambda: [row for row in listed() if row["skipped"] >= 2])
    assert 1 == row["runs"]
    assert 0 == repo.run("fleet", "schedule", "delete", "drift").code
    assert [] == listed()
    with repo.worker():
        awaited(lambda: repo.workflows().get("reconciler/drift/one") == "COMPLETED")
        awaited(lambda: "RUNNING" not in kinds(repo, "reconciler/schedule"))

    assert {"COMPLETED"} == kinds(repo, "reconciler/schedule")
    assert set() == kinds(repo, "reconciler/drift/two")
    assert 1 == repo.run("fleet", "schedule", "delete", "drift").code


def kinds(repo, prefix):
    """The states of the workflows whose IDs begin so."""
    return {status for id_, status in repo.workflows().items() if id_.startswith(prefix)}
