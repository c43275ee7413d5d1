"""What every benchmark does: run whole processes in turn, take medians, print a table.

Figures are of whole processes, so that start-up counts. Two commands are compared in turn,
A B A B, and by the median of the ratios of each pair, so that a busy moment hits both.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
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


@dataclass(frozen=True)
class Row:
    """One figure. With a target, `ratio` is the figure over the target: the better way is `way`."""

    name: str
    value: float
    unit: str
    way: str = ""  # "<=" or ">=" the target; empty without one
    target: float | None = None
    note: str = ""

    @property
    def ratio(self):
        """Return the figure over its target; None without one."""
        return self.value / self.target if self.target else None

    @property
    def met(self):
        """Return whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.way == "<=" else self.value >= self.target

    def document(self):
        """Return the row for `--json`."""
        return {**asdict(self), "ratio": self.ratio, "met": self.met}

    def __str__(self):
        figure = f"{_shown(self.value)} {self.unit}".strip()
        target = f"{self.way} {_shown(self.target)}" if self.target is not None else ""
        ratio = f"{self.ratio:.2f}" if self.ratio is not None else ""
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        return f"{self.name:<56} {figure:>14} {target:>10} {ratio:>6}  {verdict:<7}{self.note}"


@dataclass
class Table:
    """Rows in the order in which they were measured; printed as they come."""

    rows: list = field(default_factory=list)

    def add(self, name, value, unit="", *, at_most=None, at_least=None, note=""):
        """Add one figure, with the most or the least that it may be."""
        way = "<=" if at_most is not None else ">=" if at_least is not None else ""
        target = at_most if at_most is not None else at_least
        self.rows.append(Row(name, value, unit, way, target, note))
        print(self.rows[-1], flush=True)

    def add_runs(self, name, runs, *, wall=None, cpu=None, mib=None):
        """Add the medians of some processes: seconds, seconds of CPU, MiB; each with its most."""
        for what, unit, most in (("wall", "s", wall), ("cpu", "s CPU", cpu), ("mib", "MiB", mib)):
            self.add(name, median(runs, what), unit, at_most=most)

    @property
    def missed(self):
        """Names of the targets that were not met."""
        return [row.name for row in self.rows if row.met is False]

    def write(self, file):
        """Write all rows as JSON."""
        Path(file).write_text(json.dumps([row.document() for row in self.rows], indent=1) + "\n")


def _shown(value):
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def run(command, cwd, environ=None, codes=(0,)):
    """Run a process to its end, which has to be one of `codes`.

    Compiled modules are kept, as in any installation: else each run would compile them again.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTHOG_")}
    clean.pop("PYTHONDONTWRITEBYTECODE", None)
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
