"""Two windows per host and key; a pause holds everybody."""

import gc
import heapq
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.posthog import rate_limit
from reconciler.posthog.rate_limit import KeyRateLimit, RateLimiter
from tests.support import awaited
from tests.unit.posthog.servers import Time


def _sent(rate_limiter, time, count):
    times = []
    for _ in range(count):
        assert rate_limiter.acquire() == 0.0
        rate_limiter.release()
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
            rate_limiter.release()

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


def test_a_request_counts_from_its_response_because_the_server_counts_its_arrival():
    """Two requests of the first minute arrive late: they are in the server's second window."""
    time = Time()
    rate_limiter = RateLimiter(3, 100, clock=time.clock, sleep=time.sleep)
    for _ in range(3):
        assert rate_limiter.acquire() == 0.0
    rate_limiter.release()
    time.sleep(40)  # the responses to the other two
    rate_limiter.release()
    rate_limiter.release()
    assert ((0, 3), (97, 100)) == rate_limiter.count_left()

    times = _sent(rate_limiter, time, 2)

    assert [1060.25, 1100.25] == times


@given(journeys=st.lists(st.tuples(st.floats(0, 90), st.floats(0, 90)), min_size=5, max_size=40))
def test_the_server_never_counts_too_many_however_long_requests_take(journeys):
    """Each request takes some seconds to the server, and its response some more."""
    time = Time()
    rate_limiter = RateLimiter(4, 30, clock=time.clock, sleep=time.sleep)
    arrivals, responses = [], []
    for there, back in journeys:
        while rate_limiter.acquire(patience_s=0.0) != 0.0:
            if responses and responses[0] <= time.now + rate_limiter.compute_wait_s():
                time.now = max(time.now, heapq.heappop(responses))
                rate_limiter.release()
            else:
                time.now += rate_limiter.compute_wait_s()
        arrivals.append(time.now + there)
        heapq.heappush(responses, time.now + there + back)

    for start in arrivals:
        assert sum(start <= at < start + 60 for at in arrivals) <= 4
        assert sum(start <= at < start + 3600 for at in arrivals) <= 30


def test_a_turn_that_is_under_way_stays_taken():
    """Nobody knows yet when the server counts it."""
    time = Time()
    rate_limiter = RateLimiter(1, 10, clock=time.clock, sleep=time.sleep)
    assert rate_limiter.acquire() == 0.0
    time.sleep(1000)

    assert rate_limiter.acquire(patience_s=60) == 60.25
    rate_limiter.release()
    assert rate_limiter.acquire() == 0.0
    assert time.now == 2060.25


def test_no_time_is_slept_before_the_response_that_frees_a_turn():
    """The turn is free a minute after it, whenever that is."""
    time = Time()
    rate_limiter = RateLimiter(1, 10, clock=time.clock, sleep=time.sleep)
    assert rate_limiter.acquire() == 0.0
    waiting = threading.Thread(target=rate_limiter.acquire, daemon=True)
    waiting.start()
    awaited(rate_limiter.compute_pause_s)

    assert time.slept == []
    rate_limiter.release()
    waiting.join()
    assert sum(time.slept) == pytest.approx(60.25)


def test_what_another_process_has_sent_counts_once():
    """It includes what this process had sent before; a process that dies sends some more."""
    time = Time()
    first, second = (RateLimiter(10, 30, clock=time.clock, sleep=time.sleep) for _ in range(2))
    _sent(first, time, 4)
    second.raise_used(*first.count_used())
    time.sleep(5)
    _sent(second, time, 2)
    assert second.acquire() == 0.0
    assert (7, 7) == second.count_used()
    assert (10, 10) == second.count_used(ahead_s=3.0)  # three in the last three seconds
    time.sleep(61)
    assert (1, 7) == second.count_used()
    assert (6, 12) == second.count_used(ahead_s=30.0)  # the limit allows five on average
    second.release()

    first.raise_used(*second.count_used())
    first.raise_used(*second.count_used())

    assert ((9, 10), (23, 30)) == first.count_left()


@pytest.mark.parametrize("limit", [KeyRateLimit(), KeyRateLimit(10, 25), KeyRateLimit(7, 3)])
def test_the_least_time_of_so_many_requests_is_that_of_the_rate_limiter(limit):
    """What a plan says of its apply is what the rate_limiter then does, to the margin."""
    time = Time()
    rate_limiter = RateLimiter(limit.per_minute, limit.per_hour, clock=time.clock, sleep=time.sleep)
    times = _sent(rate_limiter, time, 2 * limit.per_hour + 1)

    for count, taken in enumerate(times, 1):
        assert 0 <= taken - times[0] - limit.estimate_seconds(count) < 10, count
    assert 0 == limit.estimate_seconds(0)
