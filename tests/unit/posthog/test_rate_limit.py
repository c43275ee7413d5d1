"""Two windows per host and key; a pause holds everybody."""

import gc
import threading

import pytest

from reconciler.posthog import rate_limit
from reconciler.posthog.rate_limit import RateLimit, RateLimiter
from tests.unit.posthog.servers import Time


def _sent(pacer, time, count):
    times = []
    for _ in range(count):
        assert pacer.acquire() == 0.0
        times.append(time.now)
    return times


def test_a_full_budget_is_there_at_the_start():
    time = Time()
    pacer = RateLimiter(480, 4800, clock=time.clock, sleep=time.sleep)

    _sent(pacer, time, 480)

    assert time.slept == []


def test_no_window_ever_holds_more_than_its_turns():
    time = Time()
    pacer = RateLimiter(10, 25, clock=time.clock, sleep=time.sleep)

    times = _sent(pacer, time, 80)

    for start in times:
        assert sum(start <= at < start + 60 for at in times) <= 10
        assert sum(start <= at < start + 3600 for at in times) <= 25


def test_two_thousand_requests_take_hardly_more_than_the_minutes_that_the_limit_costs():
    time = Time()
    pacer = RateLimiter(480, 4800, clock=time.clock, sleep=time.sleep)

    times = _sent(pacer, time, 2000)

    assert 240 <= times[-1] - times[0] <= 245


def test_a_pause_holds_everybody_and_never_shortens():
    time = Time()
    pacer = RateLimiter(clock=time.clock, sleep=time.sleep)
    pacer.pause(13)
    pacer.pause(2)

    assert pacer.wait_s() == 13
    assert pacer.acquire() == 0.0
    assert time.now == 1013


def test_who_has_no_patience_is_told_how_long_it_would_take():
    time = Time()
    pacer = RateLimiter(clock=time.clock, sleep=time.sleep)
    pacer.pause(50)

    assert pacer.acquire(patience_s=10) == 50
    assert time.slept == []


def test_who_waits_is_woken_by_a_stop_within_a_second():
    time = Time()
    pacer = RateLimiter(clock=time.clock, sleep=time.sleep)
    pacer.pause(1000)

    left = pacer.acquire(stopped=lambda: time.now >= 1005)

    assert 994 <= left <= 996


def test_threads_together_keep_to_the_limit():
    time = Time()
    pacer = RateLimiter(50, 1000, clock=time.clock, sleep=time.sleep)
    times = []

    def work():
        for _ in range(20):
            pacer.acquire()
            times.append(time.now)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(times) == 200
    assert 180 <= max(times) - 1000 <= 185


def test_one_pacer_per_host_and_key_as_long_as_somebody_holds_it():
    time = Time()
    limit, hands = RateLimit(), {"clock": time.clock, "sleep": time.sleep}

    first = rate_limit.shared("https://a.test", "digest", limit, **hands)

    assert rate_limit.shared("https://a.test", "digest", limit, **hands) is first
    assert rate_limit.shared("https://b.test", "digest", limit, **hands) is not first
    assert rate_limit.shared("https://a.test", "other", limit, **hands) is not first
    first.pause(99)
    del first
    gc.collect()
    assert rate_limit.shared("https://a.test", "digest", limit, **hands).wait_s() == 0


@pytest.mark.parametrize("limit", [RateLimit(), RateLimit(10, 25), RateLimit(7, 3)])
def test_the_least_time_of_so_many_requests_is_the_pacers_own(limit):
    """What a plan says of its apply is what the pacer then does, to the margin."""
    time = Time()
    pacer = RateLimiter(limit.per_minute, limit.per_hour, clock=time.clock, sleep=time.sleep)
    times = _sent(pacer, time, 2 * limit.per_hour + 1)

    for count, taken in enumerate(times, 1):
        assert 0 <= taken - times[0] - limit.seconds(count) < 10, count
    assert 0 == limit.seconds(0)
