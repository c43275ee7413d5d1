"""How long commands take to start: the help, the smallest run, and the imports of each command.

python benchmarks/start_speed.py [--rounds 5]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import data
from common import RECONCILER, Table, in_turn, median

from reconciler.cli.main import COMMANDS

IMPORT = "import reconciler.cli.session, reconciler.commands.{}"


def main(table=None, words=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args(words).rounds
    table = table or Table()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data.write(folder, 1)
        commands = {
            "python": ([sys.executable, "-c", "pass"], folder),
            "--help": ([RECONCILER, "--help"], folder),
            "plan --help": ([RECONCILER, "plan", "--help"], folder),
            "validate": ([RECONCILER, "validate"], folder),
        }
        imports = {name: ([sys.executable, "-c", IMPORT.format(name)], folder) for name in COMMANDS}
        found = in_turn({**commands, **imports}, rounds)
    start = median(found["python"], "cpu")
    table.add("python -c pass", start, "s CPU")
    table.add_runs("--help", found["--help"], cpu=0.06)
    table.add_runs("plan --help", found["plan --help"])
    table.add_runs("validate of one file", found["validate"], cpu=0.2)
    for name in COMMANDS:
        table.add(f"imports of {name}", median(found[name], "cpu") - start, "s CPU")
    return table


if __name__ == "__main__":
    main()
