"""`apply`, `undo`, `apply` of the undo under faults: as before, and nothing of others is lost."""

import pytest

from tests.effort import effort
from tests.harness import campaign, scenario
from tests.harness.undoing import Undoing

CHUNK, CHUNKS = effort(1, 100, hunt=10), 10
PEOPLE = ("edit", "vote", "race", "forget", "clock", "task")


def split(faults):
    """The faults of the wire, and what people do."""
    human = [rule for rule in faults if set(PEOPLE) & _names(rule["effect"])]
    return [rule for rule in faults if rule not in human], human


def _names(effect):
    return {effect} if isinstance(effect, str) else set(effect)


def play(sandbox, folder, number):
    """One run, and its undo; what people do begins with the undo."""
    made = scenario.from_number(number)
    wire, _ = split(campaign.schedule(number))
    undoing = Undoing(sandbox, folder, made, number)
    undoing.run(wire, converges=number % 2 == 0)
    wire, human = split(campaign.schedule(number + 500_000))
    if number % 3:
        undoing.check_restored(undoing.undo(wire))
    else:
        undoing.undo([*wire, *human])
        undoing.check_nothing_overwritten()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_an_undo_restores_the_state(shared_sandbox, folder, chunk):
    """After a whole run and after a part of one; the number is the world and the faults."""
    for number in range(1 + chunk * CHUNK, 1 + (chunk + 1) * CHUNK):
        try:
            play(shared_sandbox, folder(), number)
        except AssertionError as error:
            pytest.fail(f"seed={number}\n{error}")
