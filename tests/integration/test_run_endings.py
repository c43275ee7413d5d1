"""A run that cannot go on stops cleanly: what was done, what was not, and why."""

from threading import Event

import pytest

from reconciler.posthog.retry_policy import CallLimits
from tests import acme, factories
from tests.integration import running
from tests.integration.running import Time, apply, created, spoil

MANY = [f"f{n:02}" for n in range(20)]


def many(world, **more):
    repo = world(acme.seed(**more))
    repo.write("all.yaml", *(acme.flag(key, 10) for key in MANY))
    return repo


def adds_up(ran):
    account = dict(ran.document["account"])
    planned = account.pop("planned")
    assert planned == sum(account.values()) == len(ran.made.changes)
    return account


def writes(repo):
    return [row for row in repo.sandbox.requests() if row["method"] != "GET"]


@pytest.mark.parametrize("hit", [1, 2, 7, 20])
def test_a_key_that_is_revoked_stops_new_work_at_once(world, hit):
    """In-flight calls end; the others are not sent; no storm of refused calls."""
    repo = many(world)
    spoil(
        repo,
        {
            "match": {"method": "POST", "route": "feature_flags.create", "hit": hit},
            "point": "before",
            "effect": "revoke_key",
        },
    )

    ran = apply(repo, workers=4)

    account = adds_up(ran)
    assert 1 == ran.code
    assert hit - 1 == account["done"] == created(repo, "FeatureFlag")
    hands = 4 + 1  # calls in flight, and who stands behind them
    assert 1 <= account["failed"] <= hands
    assert account["failed"] + account["not_started"] == 20 - (hit - 1)
    assert len([row for row in writes(repo) if row["status"] == 401]) <= hands
    failed = next(row for row in ran.outcomes if row.result == "failed")
    assert "does not accept the key" in failed.problem.what


def test_a_403_in_one_project_fails_that_project_alone(world):
    """403 is not "does not exist", and not the end of the run."""
    seed = acme.seed(
        projects=[
            {"name": "Web", "id": 1, "feature_flags": [acme.live_flag("a", 10)]},
            {"name": "Mobile", "id": 2, "feature_flags": [acme.live_flag("a", 10)]},
        ]
    )
    repo = world(seed)
    repo.write("all.yaml", acme.flag("a", 20), acme.flag("a", 20, project="Mobile"))
    match = {"method": "PATCH", "path": "/api/projects/2/*", "hit": "every"}
    spoil(repo, {"match": match, "effect": {"forbid_scope": "feature_flag:write"}})

    ran = apply(repo)

    results = {row.address.project: str(row.result) for row in ran.outcomes}
    assert ({"Web": "done", "Mobile": "failed"}, 1) == (results, ran.code)


@pytest.mark.parametrize("form", ["header", "date", "text"])
def test_being_told_to_wait_is_no_failure(world, form):
    """429 in each of its forms, in the middle: waited for, then done."""
    repo = many(world)
    match = {"method": "POST", "route": "feature_flags.create", "hit": "5-7"}
    spoil(repo, {"match": match, "effect": {"throttle": {"seconds": 20, "form": form}}})

    ran = apply(repo, workers=2)

    assert (0, 20) == (ran.code, adds_up(ran)["done"])
    assert 20 == created(repo, "FeatureFlag")
    assert 19 <= ran.time.now - 1000 < 120  # a date has whole seconds
    # The clock is no real one: the pause of one hand may outlast the deadline of the other's call.
    arrived, attempts = len(writes(repo)), sum(row.attempts for row in ran.outcomes)
    assert arrived <= attempts <= arrived + 1, "attempts are true"


@pytest.mark.parametrize("value", ["0", "-5", "soon", None])
def test_an_odd_retry_after_is_no_busy_loop(world, value):
    """Nothing, nothing usable, or less than nothing: a jittered wait, never none."""
    repo = many(world)
    headers = {} if value is None else {"Retry-After": value}
    body = {"type": "throttled_error", "code": "throttled", "detail": "Slow down.", "attr": None}
    match = {"method": "POST", "route": "feature_flags.create", "hit": "1-3"}
    status = {"code": 429, "body": body, "headers": headers}
    spoil(repo, {"match": match, "effect": {"status": status}})

    ran = apply(repo, workers=1)

    assert 0 == ran.code
    assert all(slept > 0 for slept in ran.time.slept)
    assert 4 == next(row.attempts for row in ran.outcomes if row.attempts > 1)


def test_being_told_to_come_back_tomorrow_ends_the_run_with_the_time(world):
    """Nobody waits a day in a job: the rest is not started, and the message says when."""
    repo = many(world)
    match = {"method": "POST", "route": "feature_flags.create", "hit": "6-"}
    spoil(repo, {"match": match, "effect": {"throttle": {"seconds": 86400}}})

    ran = apply(repo, workers=1)

    account = adds_up(ran)
    assert (1, 5, 1, 14) == (
        ran.code,
        account["done"],
        account["failed"],
        account["not_started"],
    )
    late = next(row for row in ran.outcomes if row.detail == "not_started")
    assert "after 2026-01-" in late.problem.fix
    assert 6 == len(writes(repo))


def test_a_host_that_is_gone_is_not_hammered(world):
    """The circuit opens; what had not begun is not started; nothing is unsaid."""
    repo = many(world)

    def gone():
        spoil(repo, "*:*:*:before:refuse")
        repo.sandbox.clear()

    ran = apply(repo, workers=4, between=gone)

    account = adds_up(ran)
    assert 1 == ran.code
    assert 0 == created(repo, "FeatureFlag")
    assert account["not_started"] >= 12
    assert account["unknown"] + account["not_started"] + account["failed"] == 20
    assert len(repo.sandbox.requests()) < 60
    spoil(repo)
    assert 0 == apply(repo).code


def test_a_host_that_comes_back_within_a_minute_is_waited_for(world):
    """Some calls fail for a while: looked up after half a minute, and nothing is lost."""
    repo = many(world)
    time = Time()

    def gone():
        spoil(repo, "*:*:*:before:reset")
        time.at(20, lambda: spoil(repo))

    ran = apply(repo, workers=4, between=gone, time=time)
    again = apply(repo)

    assert 20 == created(repo, "FeatureFlag")
    assert adds_up(ran)["done"] >= 16, ran.results()
    assert 0 == again.code


def test_one_part_that_is_broken_for_good_stops_no_other(world):
    """Every call to one project fails; the other is done in the same run."""
    repo = world(acme.seed())
    repo.write(
        "all.yaml",
        *(acme.flag(key, 10, project="Mobile") for key in MANY),
        *(acme.flag(key, 10) for key in MANY),
    )

    def broken():
        match = {"path": "/api/projects/2/*", "hit": "every"}
        spoil(repo, {"match": match, "point": "before", "effect": "reset"})

    ran = apply(repo, workers=4, between=broken)

    done = [row for row in ran.outcomes if row.address.project == "Web"]
    assert {"done"} == {str(row.result) for row in done}
    assert 1 == ran.code
    adds_up(ran)


def test_one_object_that_always_fails_stops_no_other(world):
    """Eight of them, side by side: PostHog fails at each, and the others are done."""
    repo = many(world)
    match = {"method": "POST", "route": "feature_flags.create", "hit": "every"}
    bad = [f"f{n:02}" for n in range(8)]
    ids = {key: acme.live_flag(key, 5) for key in bad}
    repo = world(factories.seed(*ids.values()))
    repo.write("all.yaml", *(acme.flag(key, 10) for key in MANY))
    numbers = range(1, 9)
    spoil(
        repo,
        *(
            {
                "match": {
                    **match,
                    "method": "PATCH",
                    "route": "*",
                    "path": f"*/feature_flags/{n}/",
                },
                "point": "before",
                "effect": "status(500)",
            }
            for n in numbers
        ),
    )

    ran = apply(repo, workers=8)

    account = adds_up(ran)
    assert (12, 8) == (account["done"], account["unknown"]), ran.results()
    assert all(row.attempts <= 3 for row in ran.outcomes)


def test_an_interrupt_finishes_what_is_in_flight_and_starts_nothing(world):
    """Counted as not started; the reads that a lost answer needs are still sent."""
    repo = many(world)
    stop, time = Event(), Time()
    writers = []

    def halt():
        stop.set()
        writers[0].stop(30.0)

    spoil(
        repo,
        "POST:feature_flags.create:4:after:reset",
    )

    made = running.plan

    def watched(*args, **options):
        found = made(*args, **options)
        writers.append(found[0])
        return found

    running.plan = watched
    try:
        time.at(0.1, halt)  # in the quiet time of the lost answer
        ran = apply(repo, workers=1, time=time, stop=stop)
    finally:
        running.plan = made

    account = adds_up(ran)
    assert (4, 16) == (account["done"], account["not_started"]), ran.results()
    assert 4 == created(repo, "FeatureFlag")
    late = next(row for row in ran.outcomes if row.detail == "not_started")
    assert "interrupted" in late.problem.why


def test_retries_are_a_small_share_of_all_calls(world):
    """A sick server is left alone: at most a fifth on top, or ten."""
    repo = many(world)

    def sick():
        match = {"method": "GET", "hit": "every"}
        spoil(
            repo,
            {"match": match, "point": "before", "effect": "status(503)"},
            "POST:feature_flags.create:*:after:reset",
        )
        repo.sandbox.clear()

    ran = apply(repo, workers=2, between=sick, patience=CallLimits(breaker_failures=1000))

    reads = [row for row in repo.sandbox.requests() if row["method"] == "GET"]
    assert 20 == adds_up(ran)["unknown"]
    assert len(reads) <= 20 + 10 + 8
