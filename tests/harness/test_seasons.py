"""Drift runs by the clock for a long time: people edit, approve, reject; the server fails.

Three days of hourly runs here, a year of them in the soak.
"""

from random import Random

from tests import acme
from tests.effort import effort
from tests.harness import oracle, scenario
from tests.harness.campaign import rule
from tests.harness.driver import Driver

HOURS = effort(24 * 3, 24 * 365, hunt=24 * 14)
A_DAY = 24


def edit(driver, key, **values):
    listed = driver.sandbox.call("GET", "/api/projects/1/feature_flags/", token="phx_alice")[1]
    id_ = next(one["id"] for one in listed["results"] if one["key"] == key)
    path = f"/api/projects/1/feature_flags/{id_}/"
    return driver.sandbox.call("PATCH", path, values, token="phx_alice")[0]


def test_a_long_time_of_drift_runs_and_a_nightly_apply(shared_sandbox, folder):
    """Drift never writes and is never missed; an intent is asked for once, whatever the nights."""
    policies = [acme.policy("feature_flag.update", expires_after="14 00:00:00")]
    flags = [acme.live_flag("a", 10), acme.live_flag("b", 20), scenario.legacy()]
    documents = [acme.flag("a", 10, name="Named"), acme.flag("b", 60)]
    made = scenario.Scenario(scenario.world(policies, flags), documents, chain=1)
    shared_sandbox.reset(made.seed)
    driver = Driver(folder(), shared_sandbox)
    driver.write("all.yaml", *made.documents)
    driver.commit()
    chance, renamed, name = Random(14), 0, "a"
    for hour in range(HOURS):
        shared_sandbox.call("POST", "/_sandbox/clock", {"advance": "1h"})
        dice = chance.random()
        if dice < 0.03:
            name = f"by hand {hour}"
            assert 200 == edit(driver, "a", name=name)
            renamed += 1
        outage = 0.03 < dice < 0.06
        driver.faults([rule("GET", "*", "every", "status(503)")] if outage else [])
        if hour % A_DAY == 2 and not outage:
            done = driver.go("apply", "--yes", "--format", "json", "--prefer", "git")
            twice = "asked twice" in done.out  # and ran out twice: nobody is asked again
            assert done.code in ({4} if twice else {0, 3}), done.out + done.err
            name = "Named"
        shared_sandbox.clear()
        done = driver.go("drift", "--format", "json")
        assert not shared_sandbox.writes()
        if outage:
            assert 1 == done.code
            continue
        assert done.code in {0, 2}, done.err
        moved = {row["address"] for row in done.json["changes"] if row["action"] != "none"}
        assert (name != "Named") == ("FeatureFlag/acme/Web/a" in moved), (hour, name, moved)
    filed = [
        row
        for row in driver.ledger()
        if row["object"].startswith("ChangeRequest/") and row["effect"] == "create"
    ]
    assert renamed
    assert 1 <= len(filed) <= 1 + HOURS // (14 * A_DAY) * 2, len(filed)
    assert {oracle.CI} == {row["user"] for row in filed}
