"""Killed between two calls that move policies and their people: the rest is never refused."""

import signal

import pytest

from tests.effort import effort
from tests.harness import campaign, child, people
from tests.harness.driver import Driver
from tests.harness.oracle import need
from tests.harness.scenario import NOW
from tests.harness.test_kill import hung

FIRST, EACH = 9, 30  # the request that is hit first, and kills of one world
KILLS = effort(range(7, 1_000, 166), range(1_000), hunt=range(7, 1_000, 83))
CHUNKS = 4


def begin(sandbox, folder, made, before):
    """The world, and the files as a commit after the base where there is one."""
    sandbox.reset(made.seed)
    driver = Driver(folder, sandbox)
    if before:
        dates = {"GIT_COMMITTER_DATE": NOW, "GIT_AUTHOR_DATE": NOW}
        driver.write("all.yaml", *before)
        driver.commit("base", **dates)
        driver.git("update-ref", "refs/reconciler/applied/default", "HEAD")
        driver.write("all.yaml", *made.documents)
        driver.commit("change", **dates)
    else:
        driver.write("all.yaml", *made.documents)
    return driver


def finish(driver, made):
    """Run after run with the same options, people agreeing in between: none ends with 4."""
    for _ in range(2 + made.chain):
        done = campaign.observed(driver, made, "apply", "--yes", "--format", "json")
        need(done.code in {0, 3}, "I15-refuses-its-own-rest", done.out[-900:] + done.err[-900:])
        driver.approve_all()
    campaign.converge(driver, made)


def killed(sandbox, folder, number):
    """One kill: a world, a request of its first apply, and a side of it."""
    made, before = people.from_number(number // EACH)
    driver = begin(sandbox, folder, made, before)
    hit, point = FIRST + number % EACH // 2, ("before", "after")[number % 2]
    driver.faults([campaign.rule("*", "*", hit, "hang", point)])
    running = child.start(driver, "apply", "--yes", "--format", "json")
    if hung(sandbox, running.running):
        running.kill(signal.SIGKILL)
    done = running.result()
    need(done is None or done.code in {0, 3}, "refused at first", done)
    driver.faults([])
    driver.log = sandbox.requests()
    finish(driver, made)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_killed_between_two_calls_and_never_refused(shared_sandbox, folder, chunk):
    """1,000 kills in the soak, spread over roles, levels, default roles and ways to approve."""
    for number in KILLS[chunk::CHUNKS]:
        killed(shared_sandbox, folder(), number)
