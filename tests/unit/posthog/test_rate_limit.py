"""Two windows per host and key; a pause holds everybody."""

import gc
import threading

import pytest

from reconciler.posthog import rate_limit
from reconciler.posthog.rate_limit import KeyRateLimit, RateLimiter
from tests.unit.posthog.servers import Time


def _sent(rate_limiter, time, count):
    times = []
    for _ in range(count):
        assert rate_limiter.acquire() == 0.0
        times.append(time.now)
    return times


def test_a_full_budget_is_there_at_the_start():
    time = Time()
    rate_limiter = RateLimiter(480, 4800, clock=time.clock, sleep=time.sleep)

    _sent(rate_limiter, time, 480)

    assert time.slept == []


def test_no_window_ever_holds_more_than_its_turns():
    time = Time()
    rate_limiter = RateLimiter(10, 25, clock=time.clock, sleep=time.sleep)

    times = _sent(rate_limiter, time, 80)

    for start in times:
        assert sum(start <= at < start + 60 for at in times) <= 10
        assert sum(start <= at < start + 3600 for at in times) <= 25


def test_two_thousand_requests_take_little_more_than_the_limit_costs():
    time = Time()
    rate_limiter = RateLimiter(480, 4800, clock=time.clock, sleep=time.sleep)

    times = _sent(rate_limiter, time, 2000)

    assert 240 <= times[-1] - times[0] <= 245


def test_a_pause_holds_everybody_and_never_shortens():
    time = Time()
    rate_limiter = RateLimiter(clock=time.clock, sleep=time.sleep)
    rate_limiter.pause(13)
    rate_limiter.pause(2)

    assert rate_limiter.compute_wait_s() == 13
    assert rate_limiter.acquire() == 0.0
    assert time.now == 1013


def test_who_has_no_patience_is_told_how_long_it_would_take():
    time = Time()
    rate_limiter = RateLimiter(clock=time.clock, sleep=time.sleep)
    rate_limiter.pause(50)

    assert rate_limiter.acquire(patience_s=10) == 50
    assert time.slept == []


def test_who_waits_is_woken_by_a_stop_within_a_second():
    time = Time()
    rate_limiter = RateLimiter(clock=time.clock, sleep=time.sleep)
    rate_limiter.pause(1000)

    left = rate_limiter.acquire(stopped=lambda: time.now >= 1005)

    assert 994 <= left <= 996


def test_threads_together_keep_to_the_limit():
    time = Time()
    rate_limiter = RateLimiter(50, 1000, clock=time.clock, sleep=time.sleep)
    times = []

    def work():
        for _ in range(20):
            rate_limiter.acquire()
            times.append(time.now)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(times) == 200
    assert 180 <= max(times) - 1000 <= 185


def test_one_rate_limiter_per_host_and_key_also_after_its_connections_have_ended():
    time = Time()
    limit, hands = KeyRateLimit(), {"clock": time.clock, "sleep": time.sleep}

    first = rate_limit.share_rate_limiter("https://a.test", "digest", limit, **hands)

    assert rate_limit.share_rate_limiter("https://a.test", "digest", limit, **hands) is first
    assert rate_limit.share_rate_limiter("https://b.test", "digest", limit, **hands) is not first
    assert rate_limit.share_rate_limiter("https://a.test", "other", limit, **hands) is not first
    first.pause(99)
    del first
    gc.collect()
    again = rate_limit.share_rate_limiter("https://a.test", "digest", limit, **hands)
    assert again.compute_wait_s() == 99


def test_the_stricter_limits_hold_for_all_connections_of_a_key():
    """In each window, whichever comes first; what was sent before counts."""
    time = Time()
    hands = {"clock": time.clock, "sleep": time.sleep}
    limits = [KeyRateLimit(20, 30), KeyRateLimit(10, 100), KeyRateLimit(480, 25)]

    first = rate_limit.share_rate_limiter("https://a.test", "strict", limits[0], **hands)
    _sent(first, time, 8)
    shared = [
        rate_limit.share_rate_limiter("https://a.test", "strict", limit, **hands)
        for limit in limits
    ]
    assert [first] * 3 == shared
    assert ((2, 10), (17, 25)) == first.count_left()
    times = [1000.0] * 8 + _sent(first, time, 40)

    for start in times:
        assert sum(start <= at < start + 60 for at in times) <= 10
        assert sum(start <= at < start + 3600 for at in times) <= 25


@pytest.mark.parametrize("limit", [KeyRateLimit(), KeyRateLimit(10, 25), KeyRateLimit(7, 3)])
def test_the_least_time_of_so_many_requests_is_that_of_the_rate_limiter(limit):
    """What a plan says of its apply is what the rate_limiter then does, to the margin."""
    time = Time()
    rate_limiter = RateLimiter(limit.per_minute, limit.per_hour, clock=time.clock, sleep=time.sleep)
    times = _sent(rate_limiter, time, 2 * limit.per_hour + 1)

    for count, taken in enumerate(times, 1):
        assert 0 <= taken - times[0] - limit.estimate_seconds(count) < 10, count
    assert 0 == limit.estimate_seconds(0)
