"""Every benchmark, one after the other: `make bench`.

    python benchmarks [--quick] [--json FILE]

Each row has a figure and, where there is one, its target and their ratio. `--json` writes the same
rows. Figures of time depend on the machine; ratios were measured in turn. To compare two states of
the code, see `instructions.py`.
"""

import argparse

import apply_speed
import drift_speed
import fleet_speed
import plan_speed
import sandbox_speed
import start_speed
import validate_speed
from common import Table


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and fewer runs")
    parser.add_argument("--json", metavar="FILE", help="write the rows to a file as well")
    options = parser.parse_args()
    table = Table()
    few = ["--quick", "--rounds", "2"] if options.quick else []
    start_speed.main(table, few[1:])
    validate_speed.main(table, few)
    plan_speed.main(table, few)
    apply_speed.main(table)
    drift_speed.main(table, ["--flags", "2000", *few[1:]] if options.quick else [])
    fleet_speed.main(table, few[:1])
    sandbox_speed.main(table, ["--seconds", "1", "--large", "10000"] if options.quick else [])
    if options.json:
        table.write(options.json)
    print(f"{len(table.missed)} of {sum(row.met is not None for row in table.rows)} targets missed")


if __name__ == "__main__":
    main()
