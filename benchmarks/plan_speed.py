"""How fast a plan without changes is: requests, beside octodns-sync, growth, three-way, forecast.

    python benchmarks/plan_speed.py [--flags 10000] [--rounds 5] [--quick]

The server answers from memory, each request after 20 ms, a hundred flags a page.
"""

import argparse
import contextlib
import json
import math
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import data
import peers
from common import RECONCILER, Table, in_turn, median, ratio, run
from static_server import PAGE

HERE = Path(__file__).parent
PLAN = [RECONCILER, "plan"]
ZOOMS = ("totals", "resources", "fields")


@contextlib.contextmanager
def server(document, delay=0.02):
    """Run a server process; yield its URL."""
    words = [sys.executable, HERE / "static_server.py", document, "--delay", str(delay)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def keyed(url):
    """Return the environment of a run against the server."""
    return {"POSTHOG_HOST": url, "POSTHOG_API_KEY": "phx_bench"}


def asked(url):
    """How often the server was asked for each path."""
    with urllib.request.urlopen(f"{url}/_count") as answer:
        return json.load(answer)


def no_change(table, folder, count, rounds):
    """Ours and octodns-sync in turn, each against its own server; the requests of one plan."""
    data.write(folder / "ours", count)
    data.serve(folder / "server.json", count)
    (folder / "zone.json").write_text(json.dumps(peers.zone(count)))
    octodns = peers.octodns()
    with server(folder / "server.json") as url, server(folder / "zone.json") as other:
        run(PLAN, folder / "ours", keyed(url))
        counted = asked(url)
        pages = math.ceil(count / PAGE)
        expected = {"/api/organizations/": 1, data.FLAGS: pages, data.SCHEDULES: 1}
        assert counted == expected, counted
        sent = sum(counted.values())
        table.add(f"plan of {count:,}: requests", sent, "", at_most=sum(expected.values()))
        commands = {"ours": (PLAN, folder / "ours", keyed(url))}
        if octodns:
            peers.write_zone(folder / "octodns", count, other)
            there = ["--config-file", folder / "octodns" / "config.yaml"]
            commands["octodns"] = ([octodns / "octodns-sync", *there], folder)
        found = in_turn(commands, rounds)
    ours = found["ours"]
    assert "No changes" in ours[0].output, ours[0].output
    table.add_runs(f"plan of {count:,} without changes", ours, mib=110)
    for what in ("cpu", "wall") if octodns else ():
        times = ratio(ours, found["octodns"], what)
        table.add("octodns-sync over plan", times, f"x {what}", at_least=4)


def beside_a_plain_plan(table, folder, count, rounds):
    """Measure a plan with many changes, with a base, and with a policy that covers each of them."""
    same, plain, gated = folder / "same", folder / "plain", folder / "gated"
    data.write(same, count)
    moved = count // 10
    data.write(plain, count, moved=moved)
    data.write(gated, count, moved=moved, policy=True)
    data.serve(folder / "plain.json", count)
    data.serve(folder / "gated.json", count, policy=True)
    data.commit(plain)
    data.commit(gated)
    with server(folder / "plain.json") as url, server(folder / "gated.json") as held:
        based = [*PLAN, "--base", "HEAD"]
        commands = {
            "none": (PLAN, same, keyed(url)),
            "neither": (PLAN, plain, keyed(url)),
            **{zoom: ([*PLAN, "--zoom", zoom], plain, keyed(url)) for zoom in ZOOMS},
            "three-way": (based, plain, keyed(url)),
            "forecast": (PLAN, gated, keyed(held)),
            "both": (based, gated, keyed(held)),
        }
        found = in_turn(commands, rounds)
    assert "wait for approval" in found["both"][0].output, found["both"][0].output[-500:]
    table.add_runs(f"plan of {count:,} with {moved:,} changes", found["neither"])
    for zoom in ZOOMS:
        more = ratio(found["none"], found[zoom], "cpu")
        table.add(f"{moved:,} changes over none, --zoom {zoom}", more, "x CPU", at_most=1.4)
    for name in ("three-way", "forecast", "both"):
        more = ratio(found["neither"], found[name], "cpu")
        table.add(f"{name} over {moved:,} changes", more, "x CPU")


def growth(table, folder, counts, rounds):
    """Time of twice as many, over time; and the largest."""
    before, worst = 0.0, 0.0
    for count in counts:
        place = folder / str(count)
        data.write(place, count)
        data.serve(place / "server.json", count)
        with server(place / "server.json") as url:
            runs = [run(PLAN, place, keyed(url)) for _ in range(rounds)]
        cpu = median(runs, "cpu")
        most = {"wall": 7, "mib": 600} if count == 100_000 else {}
        table.add_runs(f"plan of {count:,} without changes", runs, **most)
        worst = max(worst, cpu / before if before else 0.0)
        before = cpu
    table.add("plan of twice as many", worst, "x CPU", at_most=2.1)


def main(table=None, words=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flags", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="grow up to 20,000, not 100,000")
    options = parser.parse_args(words)
    table = table or Table()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "three").mkdir()
        no_change(table, folder, options.flags, options.rounds)
        beside_a_plain_plan(table, folder / "three", options.flags, options.rounds)
        counts = [5_000, 10_000, 20_000] if options.quick else [25_000, 50_000, 100_000]
        growth(table, folder / "growth", counts, 3 if options.quick else 1)
    return table


if __name__ == "__main__":
    main()
