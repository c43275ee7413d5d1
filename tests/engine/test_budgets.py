"""Keys and their rate limits: one worker for each key, and no key waits for another."""

import time
from contextlib import ExitStack

import pytest

from tests import acme
from tests.effort import effort
from tests.support import sandbox_process

MANY, FEW = effort(6, 40), 2  # targets of each key


def two_keys(repo):
    """Many targets of one key, and a few of another; their names begin with that of the key."""
    names = [f"many-{n:02}" for n in range(MANY)] + [f"few-{n}" for n in range(FEW)]
    keys = {"many": "POSTHOG_KEY_MANY", "few": "POSTHOG_KEY_FEW"}
    repo.configure({name: {"api_key_env": keys[name.split("-")[0]]} for name in names})
    for name in names:
        repo.write(f"{name}/flags.yaml", acme.flag(name, name="renamed"))
    repo.commit()
    return names


def world_of(names, **limits):
    flags = [acme.live_flag(name) for name in names]
    return {**acme.seed(projects=[{"name": "Web", "id": 1, "feature_flags": flags}]), **limits}


KEYS = {"POSTHOG_KEY_MANY": "phx_ci", "POSTHOG_KEY_FEW": "phx_carol"}


def reports(repo, name):
    """The names of the targets whose reports a worker has written."""
    return {path.parent.name for path in (repo.folder.parent / name).rglob("summary.json")}


def test_all_runs_of_a_key_are_on_one_worker_and_the_few_do_not_wait_for_the_many(
    fleet, slow_sandbox
):
    """Two workers, two keys."""
    repo = fleet(acme.seed(), slow_sandbox)
    names = two_keys(repo)
    slow_sandbox.reset(world_of(names))
    with ExitStack() as running:
        for number in (1, 2):
            out = str(repo.folder.parent / f"out-{number}")
            running.enter_context(repo.worker("--out", out, "--concurrency", "2", **KEYS))
        done = repo.run("fleet", "apply", "--yes", "--format", "json")

    assert 0 == done.code, done.err
    ended = [line.split(":")[0].strip() for line in done.err.splitlines() if "-" in line]
    last_few = max(n for n, line in enumerate(ended) if "few-" in line)
    assert last_few < len(names) - 2, ended
    for key in ("many", "few"):
        users = [n for n in (1, 2) if any(key in each for each in reports(repo, f"out-{n}"))]
        assert 1 == len(users), key


@pytest.mark.soak
def test_no_request_is_turned_away(fleet):
    """The limits are the sandbox's own; the loads need more than one window of one key."""
    limit = {"per_minute": 120, "per_hour": 4800}
    with sandbox_process() as limited:
        repo = fleet(acme.seed(), limited)
        names = two_keys(repo)
        repo.configure(
            {
                name: {
                    "api_key_env": f"POSTHOG_KEY_{name.split('-')[0].upper()}",
                    "rate_limit": limit,
                }
                for name in names
            }
        )
        repo.commit()
        limited.reset(world_of(names, rate_limit=limit))
        ended = {}
        with repo.worker(**KEYS), repo.worker(**KEYS):
            started = time.monotonic()
            assert 0 == repo.run("fleet", "apply", "--yes", "--detach").code

            def note():
                for id_, status in repo.workflows().items():
                    if "/apply/" in id_ and status == "COMPLETED":
                        ended.setdefault(id_.split("/")[-1], time.monotonic() - started)
                return len(ended) == len(names)

            repo.await_runs(note, seconds=600)
        statuses = [row["status"] for row in limited.requests()]

    assert 0 == statuses.count(429)
    assert len(statuses) > 2 * limit["per_minute"]
    few = [seconds for name, seconds in ended.items() if name.startswith("few")]
    assert max(few) < max(ended.values()) / 2
