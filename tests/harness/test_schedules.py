"""20 random schedules of one to eight faults each; ten thousand in the soak.

`python -m tests.harness N` replays one.
"""

import pytest

from tests.effort import effort
from tests.harness import campaign, scenario

CHUNK, CHUNKS = effort(1, 500, hunt=50), 20


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_schedules(shared_sandbox, folder, chunk):
    """No lost update, no duplicate, no gate passed by, no unasked delete, no wrong report."""
    for number in range(1 + chunk * CHUNK, 1 + (chunk + 1) * CHUNK):
        made, faults = scenario.from_number(number), campaign.schedule(number)
        try:
            campaign.play(shared_sandbox, folder(), made, faults, seed=number)
        except AssertionError as error:
            pytest.fail(f"seed={number}: replay with `python -m tests.harness {number}`\n{error}")


@pytest.mark.parametrize("number", [3512, 4401, 4774, 6861, 7776, 9640])
def test_schedules_that_failed_once(shared_sandbox, folder, number):
    """What the soak found: edits between the last read and a write that has no version to send."""
    made, faults = scenario.from_number(number), campaign.schedule(number)
    campaign.play(shared_sandbox, folder(), made, faults, seed=number)


@pytest.mark.parametrize("number", [80, 262, 390])
def test_the_same_number_is_the_same_ledger(shared_sandbox, folder, number):
    """I18: what failed once can be looked at again."""
    ledgers = []
    for _ in range(2):
        made, faults = scenario.from_number(number), campaign.schedule(number)
        driver = campaign.play(shared_sandbox, folder(), made, faults, seed=number)
        rows = [
            (row["object"].split("/")[0], row["effect"], row["user"]) for row in driver.ledger()
        ]
        ledgers.append(sorted(map(str, rows)))

    assert ledgers[0] == ledgers[1]
