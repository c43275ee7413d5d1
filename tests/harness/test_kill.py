"""SIGKILL at every request, before and after it has acted; then one run that just goes on."""

import json
import signal
import subprocess
import time

import pytest

from tests.effort import cross, effort
from tests.harness import campaign, child, oracle, scenario
from tests.harness.driver import Driver
from tests.support import SCRIPT

EACH = effort(1, 330, hunt=10)  # worlds of a chunk
REQUESTS = 20  # of the first apply; the hit after the last is never met, and the run just ends


def begin(sandbox, folder, made):
    sandbox.reset(made.seed)
    driver = Driver(folder, sandbox)
    driver.write("all.yaml", *made.documents)
    return driver


def hung(sandbox, running):
    """Await that the request which hangs has arrived, or that the run has ended."""
    while running():
        if any("hang" in (row["fault"] or "") for row in sandbox.requests()):
            return True
        time.sleep(0.005)  # a list of all requests takes the sandbox as long as a call
    return False


def journal_has_every_write(driver, requests):
    """The last intent is never missing: each write that reached the server is in the journal."""
    lines = []
    for path in (driver.folder / ".reconciler" / "runs").glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue  # the line that was being written
    intents = [(one["method"], one["path"]) for one in lines if one["event"] == "write"]
    for row in requests:
        if row["method"] != "GET" and row["user"] == oracle.CI:
            assert (row["method"], row["path"]) in intents, row
            intents.remove((row["method"], row["path"]))


def killed_at(sandbox, folder, made, hit, point):
    """Kill the first apply at a request; then it converges."""
    driver = begin(sandbox, folder, made)
    driver.faults([campaign.rule("*", "*", hit, "hang", point)])
    running = child.start(driver, "apply", "--yes", "--format", "json")
    if hung(sandbox, running.running):
        running.kill(signal.SIGKILL)
    running.result()
    journal_has_every_write(driver, sandbox.requests())
    driver.faults([])
    driver.log = sandbox.requests()
    campaign.converge(driver, made)


@pytest.mark.parametrize(("hit", "point"), cross(range(1, REQUESTS + 1), ["before", "after"], 2))
def test_killed_at_a_request_of_the_six_writes(shared_sandbox, folder, hit, point):
    """No manual step, no duplicate, nothing lost."""
    killed_at(shared_sandbox, folder(), scenario.six_writes(), hit, point)


@pytest.mark.parametrize("chunk", range(6))
def test_killed_somewhere_in_random_scenarios(shared_sandbox, folder, chunk):
    """Each world killed at a request that its number says."""
    for number in range(2_000 + chunk * EACH, 2_000 + (chunk + 1) * EACH):
        made = scenario.from_number(number)
        killed_at(shared_sandbox, folder(), made, 3 + number % 14, ["before", "after"][number % 2])


@pytest.mark.parametrize("hit", [9, 11, 13])
def test_the_console_script_itself_is_killed(shared_sandbox, folder, hit):
    """The same with the program as people run it."""
    made = scenario.six_writes()
    driver = begin(shared_sandbox, folder(), made)
    driver.faults([campaign.rule("*", "*", hit, "hang", "after")])
    with subprocess.Popen(
        [SCRIPT, "apply", "--yes", "--format", "json"],
        cwd=driver.folder,
        env=driver.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert hung(shared_sandbox, lambda: process.poll() is None)
        process.kill()
    driver.faults([])
    driver.log = shared_sandbox.requests()
    campaign.converge(driver, made)
