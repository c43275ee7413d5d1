"""Apply in this process: the real packages, a sandbox over HTTP, a clock moved by sleeping."""

import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.apply import executor
from reconciler.apply.journal import Journal
from reconciler.apply.status import RunStatus
from reconciler.config import loader
from reconciler.files import working_tree
from reconciler.model import Outcome, Plan
from reconciler.operations import apply as operations_apply
from reconciler.operations import plan as operations_plan
from reconciler.plan.guardrails import checks
from reconciler.plan.selection import PlanOptions
from reconciler.planfile import results as planfile_results
from reconciler.posthog.client import open_writer
from reconciler.posthog.credentials import Credentials, Secret
from reconciler.posthog.retry_policy import CallLimits

STAMP = "2026-01-05T09:00:00Z"


class Time:
    """A clock and a sleep. `at` calls something once the clock has come so far."""

    def __init__(self):
        self.now = 1000.0
        self.slept: list[float] = []
        self._due: list[tuple[float, Any]] = []
        self._lock = threading.RLock()

    def clock(self):
        return self.now

    def wall(self):
        return 1_767_225_600.0 + self.now

    def at(self, seconds, call):
        """Have `call` called when so many seconds have been slept."""
        self._due.append((self.now + seconds, call))

    def sleep(self, seconds):
        with self._lock:
            self.slept.append(seconds)
            self.now += seconds
            due = [call for when, call in self._due if when <= self.now]
            self._due = [one for one in self._due if one[0] > self.now]
        for call in due:
            call()


@dataclass
class Ran:
    """What a run left behind."""

    made: Plan
    outcomes: tuple[Outcome, ...]  # as they came
    code: int
    journal: str
    time: Time
    said: list[Outcome] = field(
        default_factory=list
    )  # every one, also those that were not the last

    @property
    def rows(self):
        """Outcomes by the name of their object."""
        return {row.address.name: row for row in self.outcomes}

    @property
    def document(self):
        return planfile_results.encode_outcomes(self.outcomes, self.made)

    def results(self):
        return {name: str(row.result) for name, row in self.rows.items()}


def plan(repo, *, base=None, token=None, time=None, **options):
    """(writer, world, plan) for the files of a repository; the writer is open."""
    time = time or Time()
    key = Secret(token or repo.token, "POSTHOG_API_KEY")
    writer = open_writer(
        Credentials(repo.sandbox.url, key),
        clock=time.clock,
        sleep=time.sleep,
        now=time.wall,
        rng=random.Random(7),  # noqa: S311  no secret
        limits=options.pop("patience", CallLimits()),
    )
    tree = working_tree.WorkingTree(cwd=repo.folder, anchor=repo.folder)
    loaded = loader.load_files((Path("all.yaml"),), tree=tree)
    chosen = PlanOptions(**options)
    world = operations_plan.observe(writer, loaded, chosen, base)
    made = operations_plan.plan(
        world, chosen, target="default", host=writer.host, created_at=STAMP, excerpts=False
    )
    return writer, world, made


def apply(repo, *, between=None, time=None, wait_s=0.0, workers=4, stop=None, journal=None, **how):
    """Plan and apply; `between` is called after the plan is made. Never raises for an outcome."""
    time = time or Time()
    writer, world, made = plan(repo, time=time, **how)
    if between is not None:
        between()
    folder = repo.folder / ".runs"
    path = folder / f"{len(list(folder.glob('*'))) if folder.exists() else 0}.jsonl"
    with writer, Journal(path, now=lambda: STAMP, spill=lambda _: None) as book:
        if journal is not None:
            journal(book)
        options = executor.ExecutorOptions(
            workers=workers,
            stop=stop,
            guarded=checks.CODES,
            wait_s=wait_s,
            status=RunStatus(),
        )
        said = list(operations_apply.apply(made, world, writer, book, options=options))
    last = {row.address: row for row in said}
    rows = tuple(last.values())
    code = planfile_results.choose_exit_code(
        planfile_results.complete_outcomes(rows, made), made, guarded=checks.CODES
    )
    return Ran(made, rows, code, path.read_text(encoding="utf-8"), time, said)


def spoil(repo, *rules):
    """Rules as METHOD:ROUTE:HIT:POINT:EFFECT, or whole objects."""
    faults = []
    for rule in rules:
        if isinstance(rule, dict):
            faults.append(rule)
            continue
        method, route, hit, point, effect = rule.split(":", 4)
        match = {"method": method, "route": route, "hit": hit}
        faults.append({"match": match, "point": None if point == "*" else point, "effect": effect})
    status, body = repo.sandbox.call("POST", "/_sandbox/faults", {"faults": faults})
    assert status == 200, body


def created(repo, kind):
    """How often an object of a kind was created, by its ledger."""
    ledger = repo.sandbox.call("GET", "/_sandbox/ledger")[1]
    return sum(row["effect"] == "create" and row["object"].startswith(kind) for row in ledger)


def sent(repo, method, part):
    rows = repo.sandbox.requests()
    return [row for row in rows if row["method"] == method and part in row["path"]]
