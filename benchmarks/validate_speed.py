"""How fast `validate` is: beside others in one run, growth, and peak memory.

python benchmarks/validate_speed.py [--resources 10000] [--rounds 5] [--quick]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import data
import peers
from common import RECONCILER, Table, in_turn, median, ratio, run

VALIDATE = [RECONCILER, "validate", "config"]


def beside_others(table, folder, count, rounds):
    """Ours, what most people would write, and octoDNS, in turn."""
    data.write(folder / "ours", count)
    size = sum(path.stat().st_size for path in (folder / "ours" / "config").iterdir())
    print(f"{count:,} resources, {size / 1e6:.1f} MB, {count // data.PER_FILE} files")
    commands = {
        "ours": (VALIDATE, folder / "ours"),
        "naive": ([sys.executable, "-c", peers.NAIVE, "config"], folder / "ours"),
    }
    if octodns := peers.octodns():
        peers.write_zone(folder / "octodns", count)
        there = ["--config-file", folder / "octodns" / "config.yaml"]
        commands["octodns"] = ([octodns / "octodns-validate", *there], folder)
    found = in_turn(commands, rounds)
    ours = found["ours"]
    table.add_runs(f"validate of {count:,}", ours, mib=130)
    beside(table, "CSafeLoader + jsonschema over validate, same files", ours, found["naive"], 5)
    if octodns:
        beside(table, "octodns-validate over validate", ours, found["octodns"], 3)
    else:
        print("octoDNS cannot be installed here: no comparison with it")


def beside(table, name, ours, others, target):
    """Add how many times as long the others take, by CPU time: the machine may be busy."""
    table.add(name, ratio(ours, others, "cpu"), "x CPU", at_least=target)
    table.add(name, ratio(ours, others, "wall"), "x wall")


def growth(table, folder, counts, rounds):
    """Time of twice as many, over time; and the largest."""
    before, worst = 0.0, 0.0
    for count in counts:
        data.write(folder / str(count), count)
        runs = [run(VALIDATE, folder / str(count)) for _ in range(rounds)]
        cpu = median(runs, "cpu")
        most = {"wall": 4, "mib": 500} if count == 100_000 else {}
        table.add_runs(f"validate of {count:,}", runs, **most)
        worst = max(worst, cpu / before if before else 0.0)
        before = cpu
    table.add("validate of twice as many", worst, "x CPU", at_most=2.1)


def main(table=None, words=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="grow up to 20,000, not 100,000")
    options = parser.parse_args(words)
    table = table or Table()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        beside_others(table, folder, options.resources, options.rounds)
        counts = [5_000, 10_000, 20_000] if options.quick else [12_500, 25_000, 50_000, 100_000]
        growth(table, folder / "growth", counts, 1 if not options.quick else 3)
    return table


if __name__ == "__main__":
    main()
