"""Planning opens no file, no socket and no process: what import contracts cannot see."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.plan import planner, selection
from tests.integration.test_generated_change_sets import Dice
from tests.unit.plan import gate_worlds

FORBIDDEN = ("open", "os.", "socket.", "subprocess.", "shutil.", "sqlite3.", "tempfile.", "glob.")
_ears = []  # a list of events for each who listens now


def _heard(event, _):
    if _ears and event.startswith(FORBIDDEN):
        _ears[-1].append(event)


sys.addaudithook(_heard)  # once a process: it cannot be taken off again


@contextmanager
def listening():
    """Every event of the interpreter that a pure function has no part in."""
    _ears.append([])
    try:
        yield _ears[-1]
    finally:
        _ears.pop()


def planned(seed):
    before, after = Dice(seed).state(), Dice(seed + 1).state()
    return planner.build_plan(
        desired=gate_worlds.declared(after),
        base=gate_worlds.declared(before),
        live=gate_worlds.live(before),
        options=selection.PlanOptions(),
    )


def test_planning_opens_nothing():
    """Libraries that are loaded when they are needed are loaded by the first plan."""
    first = [planned(seed) for seed in range(20)]

    with listening() as heard:
        again = [planned(seed) for seed in range(20)]

    assert [] == heard
    assert first == again
    assert any(made.writes for made in again)


@pytest.mark.parametrize("act", [Path(os.devnull).read_bytes, lambda: [*Path().iterdir()]])
def test_who_listens_would_hear_it(act):
    """The other way round, so that silence means something."""
    with listening() as heard:
        act()

    assert heard
