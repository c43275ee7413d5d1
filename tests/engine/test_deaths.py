"""Killed and interrupted: another worker continues, and nothing happens twice."""

import json
import signal
import subprocess
from collections import Counter
from contextlib import contextmanager

from tests import acme, support
from tests.effort import effort
from tests.engine.fleets import read_input
from tests.support import awaited

TARGETS = effort(8, 200)
MOST_EVENTS = 150  # of a history, however many targets the killed worker had


@contextmanager
def client(repo, *words):
    """A command as a process."""
    process = subprocess.Popen(
        [support.SCRIPT, *words],
        cwd=repo.folder,
        env=repo.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def effects(repo, kind):
    """How often each object was changed, or filed, by the key of the workers."""
    rows = repo.sandbox.call("GET", "/_sandbox/ledger")[1]
    ours = [row for row in rows if row["user"] == "ci@acme.test"]
    return Counter(row["object"] for row in ours if row["object"].startswith(kind))


def spread(repo, count, *, gated=True):
    """A target for each of `count` flags that anybody may rename, and one that is gated."""
    names = [f"t{n:03}" for n in range(count)]
    repo.configure({name: {} for name in names}, poll="1h")
    for name in names:
        gate = [acme.flag(f"{name}-gated", active=True)] if gated else []
        repo.write(f"{name}/flags.yaml", acme.flag(f"{name}-free", name="renamed"), *gate)
    repo.commit()
    return names


def seed(count):
    names = [f"t{n:03}-{kind}" for n in range(count) for kind in ("free", "gated")]
    project = {
        "name": "Web",
        "id": 1,
        "approval_policies": [acme.policy("feature_flag.enable")],
        "feature_flags": [acme.live_flag(name) for name in names],
    }
    return acme.seed(projects=[project])


def test_a_worker_that_is_killed_in_an_apply_is_replaced(fleet, slow_sandbox):
    """By the sandbox's ledger: each change once, and nothing gated without an approval."""
    repo = fleet(seed(TARGETS), slow_sandbox)
    names = spread(repo, TARGETS)
    with (
        repo.worker("--concurrency", "4") as first,
        client(repo, "fleet", "apply", "--yes", "--format", "json") as process,
    ):
        awaited(lambda: len(effects(repo, "FeatureFlag/")) >= min(TARGETS // 4, 20), process)
        first.kill()
        with repo.worker("--concurrency", "4"):
            out, err = process.communicate(timeout=effort(120, 1200))
        (key,) = [id_ for id_ in repo.workflows() if "/key/" in id_]
        lease = read_input(repo.history(key))
        lengths = [len(repo.history(f"reconciler/apply/{name}")) for name in names[:: TARGETS // 8]]

    assert max(lengths) < MOST_EVENTS, lengths
    assert lease["use"]["minute"] > 0  # what the killed worker had sent
    assert 3 == process.returncode, err
    assert dict.fromkeys(names, 3) == {
        each["target"]: each["exit_code"] for each in json.loads(out)["targets"]
    }
    changed = effects(repo, "FeatureFlag/")
    assert {1} == set(changed.values())
    assert TARGETS == len(changed)
    filed = effects(repo, "ChangeRequest/")
    assert TARGETS == len(filed)
    gated = [
        each
        for each in repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
        if each["key"].endswith("-gated")
    ]
    assert [] == [each["key"] for each in gated if each["active"]]


def test_ctrl_c_ends_the_runs_of_a_fleet(fleet, slow_sandbox):
    """As it ends one apply: what is in flight is finished, nothing more is started, 130."""
    repo = fleet(seed(8), slow_sandbox)
    spread(repo, 8)
    with repo.worker("--concurrency", "2"):
        with client(repo, "fleet", "apply", "--yes", "--format", "json") as process:
            awaited(lambda: effects(repo, "FeatureFlag/"), process)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
            assert 130 == process.returncode, err
        before = effects(repo, "FeatureFlag/")
        assert len(before) < 8
        assert {"COMPLETED", "RUNNING"} >= set(repo.workflows().values())
        assert before == effects(repo, "FeatureFlag/")
