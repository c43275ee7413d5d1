"""A fleet: 1,000 targets of 60 requests each, as fast as the limits of its keys allow.

    python benchmarks/fleet_speed.py [--quick]

Four keys may each send 480 requests a minute and 4,800 an hour, in virtual time. Wanted: exactly
the sum of the requests of the targets, no 429, at most 1.05 times the least time, and a peak of
memory that does not depend on the number of targets. The last row is what a target costs besides
its requests, in seconds of CPU of this process.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from threading import Lock

import yaml
from apply_speed import SEED, Virtual, call, sandbox
from common import Table

from reconciler.cli.main import run
from reconciler.cli.session import Session
from reconciler.posthog.client import open_reader
from reconciler.posthog.credentials import Credentials, Secret
from reconciler.posthog.rate_limit import KeyRateLimit, RateLimiter

KEYS = 4
PROJECTS = 19  # each read three times: its settings, and its access rules in two parts
REQUESTS = 60  # so the last project has no settings; with organizations, projects, people, roles
LIMIT = KeyRateLimit(480, 4800)
FEWER = KeyRateLimit(120, 4800)  # for the quick run: few requests take several minutes as well


class QuietTime(Virtual):
    """Virtual time that passes only when no request is under way.

    Otherwise one thread's sleep would make the request of another seem late.
    """

    def __init__(self, url):
        super().__init__(url)
        self.sending, self.counts = 0, Lock()
        acquire, release = RateLimiter.acquire, RateLimiter.release

        def counted_acquire(limiter, **options):
            wait = acquire(limiter, **options)
            self.add(0 if wait else 1)
            return wait

        def counted_release(limiter):
            release(limiter)
            self.add(-1)

        RateLimiter.acquire, RateLimiter.release = counted_acquire, counted_release

    def add(self, number):
        """Count a request that has its turn, or that has its response."""
        with self.counts:
            self.sending += number

    def sleep(self, seconds):
        """Let them pass, as soon as no request is under way."""
        while self.sending > 0:
            time.sleep(0.0002)
        super().sleep(seconds)


def make_world(limit):
    """Return a seed: an organization with the projects, and a person for each key."""
    people = [
        {"email": f"ci{n}@acme.test", "tokens": [{"token": f"phx_ci{n}", "scopes": ["*"]}]}
        for n in range(KEYS)
    ]
    users = [*people, *SEED["users"]]
    organization = {
        **SEED["organizations"][0],
        "members": [{"email": user["email"], "level": "owner"} for user in users],
        "projects": [
            {
                "name": f"P{n}",
                "id": n + 1,
                "access_controls": [{"resource": "survey", "access_level": "viewer"}],
            }
            for n in range(PROJECTS)
        ],
    }
    return {
        "now": "2026-01-05T09:00:00Z",
        "rate_limit": asdict(limit),
        "users": users,
        "organizations": [organization],
    }


def write_files(folder, count, limit):
    """Write settings with so many targets, and the documents that all of them have."""
    documents = []
    for n in range(PROJECTS):
        rules = {"survey": {"default": "viewer"}}
        place = {"organization": "acme", "project": f"P{n}"}
        documents.append({"kind": "ProjectAccess", "metadata": place, "spec": rules})
    for n in range(PROJECTS - 1):
        place = {"organization": "acme", "name": f"P{n}"}
        documents.append({"kind": "Project", "metadata": place, "spec": {"app_urls": []}})
    (folder / "config.yaml").write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    targets = {f"t{n:04}": {"api_key_env": f"POSTHOG_KEY_{n % KEYS}"} for n in range(count)}
    defaults = {"paths": ["config.yaml"], "rate_limit": asdict(limit)}
    settings = {"version": 1, "defaults": defaults, "targets": targets}
    (folder / "reconciler.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def run_fleet(url, folder):
    """Plan every target in this process; print what it took as JSON."""
    time_ = QuietTime(url)
    Session.runtime = {"clock": time_.clock, "sleep": time_.sleep}
    out, started = io.StringIO(), time.process_time()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out):
        code = run(["--quiet", "fleet", "plan", "--format", "json"])
    assert code == 0, out.getvalue()[:2000]
    document = json.loads(out.getvalue())
    print(
        json.dumps(
            {
                "cpu": time.process_time() - started,
                "virtual": time_.now,
                "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "reads": [row["requests"]["reads"] for row in document["targets"]],
            }
        )
    )


def measure_fleet(count, limit):
    """Return what a fleet of so many targets took, in its own process, and what the server saw."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, count, limit)
        with sandbox(folder, **make_world(limit)) as url:
            keys = {f"POSTHOG_KEY_{n}": f"phx_ci{n}" for n in range(KEYS)}
            done = subprocess.run(
                [sys.executable, __file__, "--child", url, str(folder)],
                env={**os.environ, **keys, "POSTHOG_HOST": url},
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            )
            rows = call(url, "GET", "/_sandbox/requests")
    return {
        **json.loads(done.stdout),
        "sent": len(rows),
        "throttled": sum(row["status"] == 429 for row in rows),
    }


def measure_requests(rounds):
    """Return the seconds of CPU of sending the requests of one target, and nothing else."""
    with tempfile.TemporaryDirectory() as name:
        limit = KeyRateLimit(10**6, 10**6)
        with (
            sandbox(Path(name), **make_world(limit)) as url,
            open_reader(Credentials(url, Secret("phx_ci0")), rate_limit=limit) as reader,
        ):
            for number in range(-1, rounds):
                if number == 0:
                    started = time.process_time()
                for project in range(REQUESTS):
                    reader.get(f"/api/projects/{project % PROJECTS + 1}/access_controls/")
    return (time.process_time() - started) / rounds


def main(table=None, arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="48 targets instead of 1,000")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        run_fleet(options.child[0], Path(options.child[1]))
        return None
    os.environ.setdefault("POSTHOG_API_KEY", "phx_ci")
    table = table or Table()
    few, many = (24, 48) if options.quick else (100, 1_000)
    limit = FEWER if options.quick else LIMIT
    small, large = measure_fleet(few, limit), measure_fleet(many, limit)
    assert set(large["reads"]) == {REQUESTS}, set(large["reads"])
    table.add(f"requests of a fleet of {many:,}", large["sent"], "", at_most=many * REQUESTS)
    assert large["sent"] == many * REQUESTS, large["sent"]
    least = limit.estimate_seconds(many // KEYS * REQUESTS)
    name = f"fleet of {many:,} with {KEYS} keys, over the least time"
    table.add(
        name, large["virtual"] / least, "x", at_most=1.05, note=f"{large['virtual'] / 60:,.0f} min"
    )
    table.add("429 responses to it", large["throttled"], "", at_most=0)
    table.add(f"its memory, over that of {few}", large["mib"] / small["mib"], "x", at_most=1.2)
    own = large["cpu"] / many - measure_requests(10)
    table.add("a target of it besides its requests", own * 1000, "ms CPU", at_most=150)
    return table


if __name__ == "__main__":
    main()
