"""Writing: how near an apply comes to what latency and the rate limit allow, and what it sends.

    python benchmarks/apply_speed.py

1. 1,000 new flags, 8 at a time, 20 ms a request: wanted at least 92 % of the bound
   (writes x latency / connections) for the writing itself, exactly listings + writes requests,
   and no write by a second apply.
2. 2,000 new flags where a key may send 480 requests a minute, in virtual time: wanted at most
   1.1 times what the limit allows, and no 429.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from threading import Lock

import yaml
from common import Table

from reconciler.cli.main import run
from reconciler.cli.session import Session

LATENCY_MS, CONNECTIONS = 20, 8
SEED = {
    "users": [{"email": "ci@acme.test", "tokens": [{"token": "phx_ci", "scopes": ["*"]}]}],
    "organizations": [
        {
            "name": "Acme",
            "slug": "acme",
            "features": [],
            "members": [{"email": "ci@acme.test", "level": "owner"}],
            "projects": [{"name": "Web", "id": 1}],
        }
    ],
}


def flags(count):
    return [
        {
            "kind": "FeatureFlag",
            "metadata": {"organization": "acme", "project": "Web", "key": f"flag-{n}"},
            "spec": {
                "name": f"Flag {n}",
                "active": False,
                "filters": {"groups": [{"properties": [], "rollout_percentage": 10}]},
            },
        }
        for n in range(count)
    ]


@contextlib.contextmanager
def sandbox(folder, *options, **changes):
    """Run a server in its own process; yield the address for the program."""
    seed = folder / "seed.json"
    seed.write_text(json.dumps({**SEED, **changes}), encoding="utf-8")
    script = str(Path(sys.executable).parent / "reconciler")
    call_ = [script, "sandbox", "--port", "0", "--seed", str(seed), *options]
    with subprocess.Popen(call_, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().split()[-1]
            os.environ["POSTHOG_HOST"] = url
            yield url
        finally:
            process.terminate()


def command(folder, *arguments):
    """Run the program in this process; return (exit code, standard output)."""
    out = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out):
        code = run(["--quiet", *arguments])
    return code, out.getvalue()


def call(url, method, path, body=None):
    """Make one call as the only user, and return the body of its response."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Authorization": "Bearer phx_ci", "Content-Type": "application/json"}
    request = urllib.request.Request(url + path, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def sent(url):
    """Return (reads, writes, 429s) since the log was emptied, and the seconds between writes."""
    rows = call(url, "GET", "/_sandbox/requests")
    call(url, "DELETE", "/_sandbox/requests")
    writes = [row for row in rows if row["method"] != "GET"]
    throttled = sum(row["status"] == 429 for row in rows)
    return len(rows) - len(writes), len(writes), throttled


def against_latency(table, folder, count):
    """Measure writes without a rate limit."""
    unlimited = {"rate_limit": {"per_minute": 10**6, "per_hour": 10**6}, "paths": ["flags.yaml"]}
    settings = {"version": 1, "targets": {"bench": unlimited}}
    (folder / "reconciler.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with sandbox(folder, "--latency", str(LATENCY_MS)) as url:
        started = time.perf_counter()
        code, _ = command(folder, "plan")
        planned = time.perf_counter() - started
        reads = sent(url)[0]
        started = time.perf_counter()
        applied, out = command(
            folder, "apply", "--yes", "--format", "json", "--concurrency", str(CONNECTIONS)
        )
        took = time.perf_counter() - started
        apply_reads, writes, _ = sent(url)
        again, _ = command(folder, "apply", "--yes")
        second = sent(url)
    assert (code, applied, again) == (0, 0, 0), out[:500]
    bound = count * LATENCY_MS / 1000 / CONNECTIONS
    share = bound / (took - planned)
    table.add(f"apply of {count:,}: share of the latency's bound", share, "", at_least=0.92)
    assert writes == count, writes
    table.add("requests of the apply besides its writes", apply_reads, "", at_most=reads)
    assert second[1] == 0, f"a second apply wrote {second[1]} times"


class Virtual:
    """Time that passes when somebody sleeps, here and on the server."""

    def __init__(self, url):
        self.url, self.now, self.lock = url, 0.0, Lock()

    def clock(self):
        """Seconds so far."""
        with self.lock:
            return self.now

    def sleep(self, seconds):
        """Let them pass at once."""
        with self.lock:
            self.now += seconds  # and the server's clock with it
            call(self.url, "POST", "/_sandbox/clock", {"advance": f"{seconds:.3f}s"})


def against_the_limit(table, folder, count):
    """Measure writes as fast as the limit allows: 480 in any minute."""
    limit = {"now": "2026-01-05T09:00:00Z", "rate_limit": {"per_minute": 480}}
    with sandbox(folder, **limit) as url:
        time_ = Virtual(url)
        Session.runtime = {"clock": time_.clock, "sleep": time_.sleep}
        try:
            code, out = command(folder, "apply", "--yes", "--format", "json")
        finally:
            Session.runtime = {}
        reads, writes, throttled = sent(url)
    assert code == 0, out[:500]
    least = ((reads + writes - 1) // 480) * 60.0
    name = f"{count:,} writes at 480 a minute, over the least time"
    table.add(name, time_.now / least, "x", at_most=1.1, note=f"{time_.now:.0f} s")
    assert throttled == 0, f"{throttled} responses were 429"


def main(table=None):
    """Print the table."""
    os.environ["POSTHOG_API_KEY"] = "phx_ci"
    table = table or Table()
    for measure, count in ((against_latency, 1_000), (against_the_limit, 2_000)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            text = yaml.safe_dump_all(flags(count))
            (folder / "flags.yaml").write_text(text, encoding="utf-8")
            measure(table, folder, count)
    return table


if __name__ == "__main__":
    main()
