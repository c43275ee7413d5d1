"""Count the instructions of some commands with valgrind, here or against another checkout.

    python benchmarks/instructions.py [--against ../main] [--most 1.03] [--json FILE]

A count of instructions hardly differs from run to run, so it shows a change of one percent where
time shows nothing: a busy machine, or a runner shared with others, takes as many. The other
checkout has an environment of its own in `.venv`. Exit code 1: some command takes more than
`--most` times as many.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import data
from common import Table
from plan_speed import keyed, server

ROOT = Path(__file__).parent.parent
COUNT = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
FOUND = re.compile(r"I\s+refs:\s+([\d,]+)")


def count(python, words, folder, environ):
    """Return how many instructions a command takes, without compiling any module."""
    program = [python, "-m", "reconciler", *words]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTHOG_")}
    clean.pop("PYTHONDONTWRITEBYTECODE", None)
    clean |= {"PYTHONHASHSEED": "0", **environ}
    subprocess.run(program, cwd=folder, env=clean, check=True, stdout=subprocess.DEVNULL)
    ran = subprocess.run(
        [*COUNT, *program], cwd=folder, env=clean, check=True, capture_output=True, text=True
    )
    return int(FOUND.search(ran.stderr)[1].replace(",", ""))


def cases(folder, flags, stack):
    """Return the commands by name: words, folder and environment."""
    for name, number, moved in (("one", 1, 0), ("same", flags, 0), ("moved", flags, flags // 10)):
        data.write(folder / name, number, moved=moved)
    data.serve(folder / "server.json", flags)
    key = keyed(stack.enter_context(server(folder / "server.json", delay=0)))
    return {
        "--help": (["--help"], folder / "one", {}),
        "validate of one file": (["validate"], folder / "one", {}),
        f"validate of {flags:,}": (["validate"], folder / "same", {}),
        f"plan of {flags:,} without changes": (["plan"], folder / "same", key),
        f"plan of {flags:,} with {flags // 10:,} changes": (["plan"], folder / "moved", key),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flags", type=int, default=500)
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout")
    parser.add_argument("--most", type=float, default=1.03, help="times as many instructions")
    parser.add_argument("--json", metavar="FILE", help="write the rows to a file as well")
    options = parser.parse_args()
    table = Table()
    there = options.against and options.against.resolve() / ".venv" / "bin" / "python"
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        for title, case in cases(Path(name), options.flags, stack).items():
            number = count(sys.executable, *case)
            table.add(title, number / 1e6, "million")
            if there:
                times = number / count(there, *case)
                table.add(f"{title}, over the other", times, "x", at_most=options.most)
    if options.json:
        table.write(options.json)
    sys.exit(bool(table.missed))


if __name__ == "__main__":
    main()
