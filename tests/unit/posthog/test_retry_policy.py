"""Backoff, Retry-After, the retry budget and the circuit breaker."""

from email.utils import formatdate

import pytest

from reconciler.posthog.retry_policy import (
    Breaker,
    Budget,
    CallLimits,
    compute_backoff_s,
    parse_requested_wait_s,
)
from tests.unit.posthog.servers import Time, dice

NOW = 1_767_225_600.0


@pytest.mark.parametrize(
    ("header", "detail", "seconds"),
    [
        ("13", "", 13.0),
        (" 13 ", "", 13.0),
        ("1.5", "", 1.5),
        ("0", "", 0.0),
        ("-5", "", 0.0),
        ("86400", "", 86400.0),
        (formatdate(NOW + 20, usegmt=True), "", 20.0),
        (formatdate(NOW - 20, usegmt=True), "", 0.0),
        ("soon", "", None),
        ("nan", "", None),
        ("1e999", "", None),
        ("Mon, 99 Foo 2026", "", None),
        (None, "Request was throttled. Expected available in 7 seconds.", 7.0),
        (None, "Expected available in 1 second.", 1.0),
        (None, "Request was throttled.", None),
        ("3", "Expected available in 7 seconds.", 3.0),
    ],
)
def test_the_wait_that_the_server_asks_for_is_understood(header, detail, seconds):
    assert parse_requested_wait_s(header, detail, NOW) == seconds


def test_backoff_is_full_jitter_under_a_doubling_ceiling_with_a_cap():
    limits, rng = CallLimits(), dice(1)
    for failures in range(1, 60):
        ceiling = min(30.0, 0.5 * 2 ** (failures - 1))
        waits = [compute_backoff_s(failures, limits, rng) for _ in range(200)]

        assert all(0.05 <= wait <= ceiling for wait in waits)
        assert max(waits) > 0.8 * ceiling
        assert min(waits) < 0.2 * ceiling


def test_the_retry_budget_is_a_floor_and_then_a_share():
    budget = Budget(CallLimits(retry_floor=10, retry_share=0.2))

    assert [budget.take_retry() for _ in range(12)] == [True] * 10 + [False] * 2
    for _ in range(100):
        budget.count_call()
    assert [budget.take_retry() for _ in range(12)] == [True] * 10 + [False] * 2


def test_the_breaker_opens_after_eight_failures_and_probes_every_half_minute():
    time = Time()
    breaker = Breaker(CallLimits(), time.clock)
    for _ in range(7):
        breaker.record(failed=True)
    assert breaker.request_probe() == 0.0

    breaker.record(failed=True)

    assert breaker.request_probe() == 30.0
    time.now += 30
    assert breaker.request_probe() == 0.0, "one probe"
    assert breaker.request_probe() == 30.0, "and no second one"
    breaker.record(failed=True)
    time.now += 29
    assert breaker.request_probe() == 1.0
    time.now += 1
    assert breaker.request_probe() == 0.0
    breaker.record(failed=False)
    assert breaker.request_probe() == 0.0


def test_a_success_in_between_keeps_the_circuit_closed():
    breaker = Breaker(CallLimits(), Time().clock)
    for _ in range(20):
        for _ in range(7):
            breaker.record(failed=True)
        breaker.record(failed=False)

    assert breaker.request_probe() == 0.0
