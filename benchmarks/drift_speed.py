"""Drift, with the people who caused it, compared to a plan of the same files: time and requests.

    python benchmarks/drift_speed.py [--flags 10000] [--drifted 100] [--rounds 3]

The server is the sandbox, in a process of its own. Somebody has changed a share of some flags.
"""

import argparse
import copy
import json
import math
import tempfile
from collections import Counter
from pathlib import Path

import apply_speed
import data
from common import RECONCILER, Table, in_turn, ratio, run

SHARE = 95  # percent; no flag of the files has it
DRIFT = [RECONCILER, "drift", "--format", "json"]
SEEDED = (
    *("key", "name", "active", "tags", "filters"),
    *("bucketing_identifier", "evaluation_contexts", "evaluation_runtime"),
)


def build_seed(count):
    """Return an organization with an audit log, and the flags that `data.write` declares."""
    answers = map(data.answered, range(count))
    flags = [{name: flag[name] for name in SEEDED} for flag in answers]
    organization = copy.deepcopy(apply_speed.SEED["organizations"][0])
    organization["features"] = ["audit_logs", "approvals"]
    organization["projects"][0]["feature_flags"] = flags
    return {"organizations": [organization]}


def change_shares(url, count):
    """Change a share of the first flags in PostHog."""
    for number in range(count):
        path = f"{data.FLAGS}{number + 1}/"
        filters = apply_speed.call(url, "GET", path)["filters"]
        filters["groups"][0]["rollout_percentage"] = SHARE
        apply_speed.call(url, "PATCH", path, {"filters": filters})


def read_requests(url, command, folder, environ, codes):
    """Return how often a command asks for each path."""
    apply_speed.sent(url)
    run(command, folder, environ, codes)
    return Counter(row["path"] for row in apply_speed.call(url, "GET", "/_sandbox/requests"))


def main(table=None, words=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flags", type=int, default=10_000)
    parser.add_argument("--drifted", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(words)
    table, count = table or Table(), options.flags
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "repository"
        data.write(folder, count)
        data.commit(folder)
        with apply_speed.sandbox(Path(name), **build_seed(count)) as url:
            key = {"POSTHOG_HOST": url, "POSTHOG_API_KEY": "phx_ci"}
            change_shares(url, options.drifted)
            plan = [RECONCILER, "plan"]
            planned = read_requests(url, plan, folder, key, (0,))
            read = read_requests(url, DRIFT, folder, key, (2,))
            commands = {"plan": (plan, folder, key), "drift": (DRIFT, folder, key, (2,))}
            found = in_turn(commands, options.rounds)
    report = json.loads(found["drift"][0].output)
    fields = [field for change in report["changes"] for field in change["fields"]]
    assert len(fields) == options.drifted, len(fields)
    assert all(field["attribution"]["person"] for field in fields), fields[0]
    title = f"drift of {count:,} with {options.drifted:,} drifted fields"
    times = ratio(found["plan"], found["drift"], "cpu")
    table.add(f"{title}, over the plan", times, "x CPU", at_most=1.5)
    table.add_runs(title, found["drift"])
    more = (read - planned).total()  # the log of a hundred objects, and the applied requests
    wanted = math.ceil(options.drifted / 100) + 1
    table.add(f"{title}: requests besides those of the plan", more, "", at_most=wanted)
    return table


if __name__ == "__main__":
    main()
