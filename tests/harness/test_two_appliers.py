"""Two applies at once, interleaved at every request; and an apply beside people at a browser."""

import pytest

from tests.effort import effort
from tests.harness import campaign, child, oracle, scenario
from tests.harness.driver import Driver
from tests.harness.turnstile import Gateway, Turnstile

CHUNK, CHUNKS = effort((1, 4), (100, 50), hunt=(4, 4))


def race(sandbox, folder, made, seed):
    """Both applies to their end, one call at a time in an order of the seed."""
    sandbox.reset(made.seed)
    gate = Turnstile(sandbox.url, seed)
    gateways = {name: Gateway(gate, name) for name in ("a", "b")}
    drivers, running = {}, {}
    for name, token in (("a", "phx_ci"), ("b", "phx_ci_spare")):
        drivers[name] = Driver(folder(), sandbox, token)
        drivers[name].write("all.yaml", *made.documents)
    for name, driver in drivers.items():
        host = {"POSTHOG_HOST": gateways[name].url}
        running[name] = child.start(
            driver, "apply", "--yes", "--format", "json", "--concurrency", "2", **host
        )
    with gateways["a"].opened(), gateways["b"].opened():
        gate.drive({name: one.running for name, one in running.items()})
        results = {name: one.result() for name, one in running.items()}
    return drivers, results


def check(sandbox, made, drivers, results):
    """Nothing lost, nothing twice; what both say together is what the ledger says."""
    driver = drivers["a"]
    ledger, requests = driver.ledger(), sandbox.requests()
    oracle.check_ledger(made, ledger, requests)
    oracle.untouched(made, sandbox.state())
    documents = {oracle.address(d): d for d in made.documents}
    state = sandbox.state()
    for name, done in results.items():
        assert done is not None
        assert done.code in {0, 1, 3, 4}, done.err
        for row in done.json["results"]:
            if row["outcome"] in {"done", "unchanged"}:
                document = documents[row["address"]]
                oracle.need(oracle.holds(state, document), f"I14-{name}-says-done", (row, document))
    driver.log = requests
    campaign.converge(driver, made)


@pytest.mark.parametrize("seed", range(effort(4, 8, hunt=8)))
def test_two_applies_of_the_six_writes(shared_sandbox, folder, seed):
    """Each write is by one of them or refused; both end with a true report."""
    made = scenario.six_writes()

    check(shared_sandbox, made, *race(shared_sandbox, folder, made, seed))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_two_applies_of_random_scenarios(shared_sandbox, folder, chunk):
    """Replay: the number is the scenario and the order."""
    for number in range(5_000 + chunk * CHUNK, 5_000 + (chunk + 1) * CHUNK):
        made = scenario.from_number(number)
        try:
            check(shared_sandbox, made, *race(shared_sandbox, folder, made, number))
        except AssertionError as error:
            pytest.fail(f"seed={number}\n{error}")
