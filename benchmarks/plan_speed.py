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
from common import RECONCILER, Table, in_turn, median, ratio, run, told
from static_server import PAGE

HERE = Path(__file__).parent
PLAN = [RECONCILER, "plan"]


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
        exact = counted == {"/api/organizations/": 1, data.FLAGS: pages}
        told_ = f"{counted.get(data.FLAGS)} + {sum(counted.values()) - counted.get(data.FLAGS, 0)}"
        table.add(f"plan, no change, {count:,}: requests", told_, f"{pages} + 1", exact)
        commands = {"ours": (PLAN, folder / "ours", keyed(url))}
        if octodns:
            peers.write_zone(folder / "octodns", count, other)
            there = ["--config-file", folder / "octodns" / "config.yaml"]
            commands["octodns"] = ([octodns / "octodns-sync", *there], folder)
        found = in_turn(commands, rounds)
    ours = found["ours"]
    assert "No changes" in ours[0].output, ours[0].output
    wall, mib = median(ours, "wall"), median(ours, "mib")
    times = ratio(ours, found["octodns"], "wall") if octodns else 0.0
    by_cpu = ratio(ours, found["octodns"], "cpu") if octodns else 0.0
    table.add("plan, no change", told(ours))
    table.add("  beside octodns-sync", f"x {times:.1f} wall, x {by_cpu:.1f} CPU")
    table.add("  time", f"{wall:.2f} s", "<= 1.3 s, or x 2", wall <= 1.3 or times >= 2)
    table.add("  peak", f"{mib:.0f} MiB", "< 200 MiB", mib < 200)


def beside_a_plain_plan(table, folder, count, rounds):
    """Measure the same plan with a base, and with a policy that covers each of many changes."""
    plain, gated = folder / "plain", folder / "gated"
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
            "neither": (PLAN, plain, keyed(url)),
            "three-way": (based, plain, keyed(url)),
            "forecast": (PLAN, gated, keyed(held)),
            "both": (based, gated, keyed(held)),
        }
        found = in_turn(commands, rounds)
    assert "wait for approval" in found["both"][0].output, found["both"][0].output[-500:]
    table.add(f"plan, {moved:,} changes", told(found["neither"]))
    for name in ("three-way", "forecast", "both"):
        more = ratio(found["neither"], found[name], "cpu") - 1
        target, met = ("< 20 %", more < 0.2) if name == "both" else ("", None)
        table.add(f"  {name}", f"{more:+.0%} CPU", target, met)


def growth(table, folder, counts, rounds):
    """Time of twice as many, over time; and the largest."""
    before, worst, runs = 0.0, 0.0, []
    for count in counts:
        place = folder / str(count)
        data.write(place, count)
        data.serve(place / "server.json", count)
        with server(place / "server.json") as url:
            runs = [run(PLAN, place, keyed(url)) for _ in range(rounds)]
        cpu = median(runs, "cpu")
        table.add(f"plan, no change, {count:,}", told(runs))
        worst = max(worst, cpu / before if before else 0.0)
        before = cpu
    table.add("  twice as many take", f"x {worst:.2f} CPU", "< x 2.3", worst < 2.3)
    return runs


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
        last = growth(table, folder / "growth", counts, 3 if options.quick else 1)
        if not options.quick:
            wall, mib = median(last, "wall"), median(last, "mib")
            table.add("plan of 100,000", f"{wall:.1f} s", "< 15 s", wall < 15)
            table.add("  peak", f"{mib:.0f} MiB", "< 1,024 MiB", mib < 1024)
    return table


if __name__ == "__main__":
    main()
