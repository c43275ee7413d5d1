"""Collections of several pages that move while they are read: nothing is taken for absent."""

import pytest

from tests import acme
from tests.harness import oracle, scenario
from tests.harness.campaign import rule
from tests.harness.driver import Driver

MANY = 205  # three pages, with ten others
BODY = {
    "key": "by-hand",
    "active": False,
    "filters": {"groups": [{"properties": [], "rollout_percentage": 1}]},
}
ODD = {"results[0].filters": 7}


def deletion(key):
    edit = {"as": "alice@acme.test", "project": 1, "flag": key, "delete": True}
    return {"edit": edit}


MOVES = {
    "nothing moves": [],
    "a flag is created between pages": [
        rule("GET", "feature_flags.list", 2, _made, "before")
        for _made in [
            {
                "call": {
                    "as": "alice@acme.test",
                    "method": "POST",
                    "path": "/api/projects/1/feature_flags/",
                    "body": BODY,
                }
            }
        ]
    ],
    "a flag is deleted between pages": [
        rule("GET", "feature_flags.list", 2, deletion("other-3"), "before")
    ],
    "a page begins late": [rule("GET", "feature_flags.list", 2, "shift_page(3)")],
    "a page begins early": [rule("GET", "feature_flags.list", 3, "shift_page(-2)")],
    "a page is empty": [rule("GET", "feature_flags.list", 2, "empty_list")],
    "the first page is empty": [rule("GET", "feature_flags.list", 1, "empty_list")],
    "a page is of yesterday": [rule("GET", "feature_flags.list", 2, "stale(3)")],
    "the count is wrong": [
        rule("GET", "feature_flags.list", 1, {"mutate": {"set": {"count": 100}}}, "after")
    ],
    "there is no next": [
        rule("GET", "feature_flags.list", 1, {"mutate": {"set": {"next": None}}}, "after")
    ],
    "a page comes twice": [
        rule("GET", "feature_flags.list", 3, "shift_page(-100)"),
    ],
    "a row has filters of another type": [
        rule(
            "GET", "feature_flags.list", 2, {"mutate": {"set": {"results[0].filters": 7}}}, "after"
        )
    ],
    "a row lost its key": [
        rule("GET", "feature_flags.list", 2, {"mutate": {"drop": ["results[0].key"]}}, "after")
    ],
}


@pytest.mark.parametrize("name", MOVES)
def test_every_declared_flag_is_found_or_nothing_is_written(shared_sandbox, folder, name):
    """All of them are live and as declared: no create may be tried, no delete, no update."""
    flags = [acme.live_flag(f"flag-{n}", 10) for n in range(MANY)]
    others = [acme.live_flag(f"other-{n}", 10) for n in range(10)]
    documents = [acme.flag(f"flag-{n}", 10) for n in range(MANY)]
    made = scenario.Scenario(scenario.world([], [*flags, *others]), documents, 0)
    shared_sandbox.reset(made.seed)
    driver = Driver(folder(), shared_sandbox)
    driver.write("all.yaml", *documents)
    driver.faults(MOVES[name])

    done = driver.go("apply", "--yes", "--format", "json")
    writes = [row for row in shared_sandbox.writes() if row["user"] == oracle.CI]

    by_us = [row for row in driver.ledger() if row["user"] == oracle.CI]

    assert done.code in {0, 1}, done.err
    assert [] == by_us
    assert {400} >= {row["status"] for row in writes}, "a name that is taken is refused"
    assert not writes or name == "the first page is empty"
    driver.faults([])
    assert 0 == driver.go("plan", "--detailed-exitcode").code
