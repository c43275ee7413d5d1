"""What a process inherits may be missing: standard input, threads. The account stays complete."""

import subprocess

import pytest

from tests import acme
from tests.support import SCRIPT

LIMIT = """\
import threading
start = threading.Thread.start

def limited(thread):
    running = [other for other in threading.enumerate() if other.name.startswith("apply")]
    if thread.name.startswith("apply") and len(running) >= {limit}:
        raise RuntimeError("can't start new thread")
    start(thread)

threading.Thread.start = limited
"""
EXHAUSTED = """\
import threading
count = 0
import reconciler.apply.journal as journal
line = journal.Journal.record

def exhausted(self, *arguments, **facts):
    global count
    count += threading.current_thread().name.startswith("apply")
    if count == {count}:
        count += 1
        raise MemoryError
    return line(self, *arguments, **facts)

journal.Journal.record = exhausted
"""


def many_flags(world, count=12):
    """Return a repository that renames as many flags."""
    names = [f"f{number}" for number in range(count)]
    flags = [acme.live_flag(name) for name in names]
    repo = world(acme.seed(projects=[{"name": "Web", "feature_flags": flags}]))
    repo.write("flags.yaml", *(acme.flag(name, name="New") for name in names))
    return repo


def run_with(repo, code, *arguments):
    """Run the console script in a process that runs `code` first."""
    (repo.folder / "site").mkdir()
    (repo.folder / "site" / "sitecustomize.py").write_text(code)
    return repo.run(*arguments, PYTHONPATH=str(repo.folder / "site"))


@pytest.mark.parametrize("limit", [1, 3])
def test_fewer_threads_are_enough(world, limit):
    """A limit on threads makes the run slower, and nothing else."""
    repo = many_flags(world)
    done = run_with(
        repo, LIMIT.format(limit=limit), "apply", "--yes", "--format", "json", "--concurrency", "8"
    )

    assert 0 == done.code, done.err
    assert 12 == done.json["summary"]["done"]


def test_without_any_thread_nothing_is_sent(world):
    """It is an error that names the limit, not a defect."""
    repo = many_flags(world)
    done = run_with(repo, LIMIT.format(limit=0), "apply", "--yes")

    assert 1 == done.code
    assert "the system refuses to start a thread" in done.err
    assert [] == repo.sandbox.writes()


def test_a_program_that_fails_in_the_middle_still_accounts_for_every_change(world):
    """Out of memory in a worker: that change is unknown, the rest is done or not started."""
    repo = many_flags(world)
    done = run_with(repo, EXHAUSTED.format(count=9), "apply", "--yes", "--format", "json")
    account = done.json["account"]

    assert 1 == done.code, done.err
    assert "defect:" not in done.err
    assert 12 == len({row["address"] for row in done.json["results"]})
    assert 1 == account["unknown"]
    assert account["done"] + account["unknown"] + account["not_started"] == 12


@pytest.mark.parametrize(
    "arguments", [("apply",), ("drift", "--revert"), ("requests", "approve", "1")]
)
def test_without_standard_input_nobody_can_be_asked(world, arguments):
    """Some process managers start jobs without descriptor 0: the same as without a terminal."""
    repo = world(acme.seed())
    repo.write("flags.yaml", acme.flag("a", 20))
    repo.git("init", "--quiet")
    repo.commit()
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" "$@" <&-', SCRIPT, *arguments],
        cwd=repo.folder,
        env=repo.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (64, False) == (done.returncode, "defect" in done.stderr), done.stderr
    assert [] == repo.sandbox.writes()
