"""How fast `validate` is: beside others in one run, growth, and peak memory.

python benchmarks/validate_speed.py [--resources 10000] [--rounds 5] [--quick]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import data
import peers
from common import RECONCILER, Table, in_turn, median, ratio, run, told

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
    table.add("validate", told(ours))
    table.add("  peak", f"{median(ours, 'mib'):.0f} MiB", "< 130 MiB", median(ours, "mib") < 130)
    beside(table, "  CSafeLoader + jsonschema, same files", ours, found["naive"], 5)
    if octodns:
        beside(table, "  octodns-validate, as many records", ours, found["octodns"], 3)
        helps = {"ours": ([RECONCILER, "--help"], folder)}
        helps["octodns"] = ([octodns / "octodns-validate", "--help"], folder)
        found = in_turn(helps, 2 * rounds)
        beside(table, "--help: octodns-validate --help", found["ours"], found["octodns"], 1)
    else:
        print("octoDNS cannot be installed here: no comparison with it")


def beside(table, name, ours, others, target):
    """Add how many times as long the others take, by CPU time: the machine may be busy."""
    by_wall, by_cpu = ratio(ours, others, "wall"), ratio(ours, others, "cpu")
    figure = f"x {by_wall:.1f} wall, x {by_cpu:.1f} CPU"
    table.add(name, figure, f">= x {target}", by_cpu >= target)


def growth(table, folder, counts, rounds):
    """Time of twice as many, over time; and the largest."""
    before, worst, last = 0.0, 0.0, None
    for count in counts:
        data.write(folder / str(count), count)
        runs = [run(VALIDATE, folder / str(count)) for _ in range(rounds)]
        cpu, last = median(runs, "cpu"), runs
        table.add(f"validate of {count:,}", told(runs))
        worst = max(worst, cpu / before if before else 0.0)
        before = cpu
    table.add("  twice as many take", f"x {worst:.2f} CPU", "< x 2.3", worst < 2.3)
    return last


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
        last = growth(table, folder / "growth", counts, 1 if not options.quick else 3)
        if not options.quick:
            wall, mib = median(last, "wall"), median(last, "mib")
            table.add("validate of 100,000", f"{wall:.1f} s", "< 12 s", wall < 12)
            table.add("  peak", f"{mib:.0f} MiB", "< 700 MiB", mib < 700)
    return table


if __name__ == "__main__":
    main()
