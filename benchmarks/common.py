"""What every benchmark does: run whole processes in turn, take medians, print a table.

Figures are of whole processes, so that start-up counts. Two commands are compared in turn,
A B A B, and by the median of the ratios of each pair, so that a busy moment hits both.
"""

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
RECONCILER = BIN / "reconciler"


@dataclass(frozen=True)
class Run:
    """One process: seconds of the clock, seconds of CPU, peak of resident memory."""

    wall: float
    cpu: float
    mib: float
    output: str = ""


@dataclass
class Table:
    """Rows of name, figure, target, and whether it is met; printed as they come."""

    rows: list = field(default_factory=list)

    def add(self, name, figure, target="", met=None):
        """One row. `met` is None where there is no target."""
        self.rows.append((name, figure, target, met))
        verdict = "" if met is None else "met" if met else "MISSED"
        print(f"{name:<52} {figure:>24}  {target:<24} {verdict}", flush=True)

    @property
    def missed(self):
        """Names of the targets that were not met."""
        return [name for name, _, _, met in self.rows if met is False]


def run(command, cwd, environ=None, codes=(0,)):
    """Run a process to its end, which has to be one of `codes`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTHOG_")}
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean | (environ or {}),
    )
    output = process.stdout.read().decode("utf-8", "replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in codes:
        raise SystemExit(f"{command} ended with {process.returncode}:\n{output[-1000:]}")
    took = time.perf_counter() - started
    return Run(took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


def in_turn(commands, rounds):
    """Run each command by its name, in turn, `rounds` times; the first round warms up.

    `commands` maps a name to the arguments of `run`.
    """
    found = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, arguments in commands.items():
            one = run(*arguments)
            if number:
                found[name].append(one)
    return found


def median(runs, what):
    """Of one figure of several runs."""
    return statistics.median(getattr(one, what) for one in runs)


def ratio(runs, others, what):
    """How many times as much the others take, pair by pair."""
    pairs = zip(runs, others, strict=True)
    return statistics.median(getattr(b, what) / getattr(a, what) for a, b in pairs)


def told(runs):
    """`0.51 s, CPU 0.49 s, 73 MiB` of several runs."""
    wall, cpu, mib = (median(runs, what) for what in ("wall", "cpu", "mib"))
    return f"{wall:.2f} s  {cpu:.2f} CPU  {mib:.0f} MiB"
