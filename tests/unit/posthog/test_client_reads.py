"""Reads over real HTTP: tried again with patience, bounded in time, bytes and number."""

import itertools
import json
import logging
import resource
import ssl
import threading
import time as real_time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from itertools import pairwise

import pytest
import trustme

from reconciler import __version__, errors
from reconciler.model import Request
from reconciler.posthog.rate_limit import KeyRateLimit
from reconciler.posthog.retry_policy import CallLimits
from tests.unit.posthog.servers import (
    KEY,
    DropError,
    Reply,
    Time,
    free_port_url,
    raw_serving,
    read_head,
    reading,
    serving,
    writing,
)

PATH = "/api/users/@me/"
THROTTLED = {"type": "throttled_error", "code": "throttled", "detail": "Request was throttled."}


def _then_fine(count, reply):
    """An answer that fails `count` times and is fine from then on."""
    return lambda _, index: reply if index < count else Reply(body={"id": 1})


def test_a_request_carries_the_key_and_says_who_asks():
    with serving(lambda *_: Reply(body={"id": 1})) as server, reading(server.url) as reader:
        body = reader.get(PATH, {"search": "a b&c", "limit": 5})

    seen = server.seen[0]
    assert body == {"id": 1}
    assert (seen.method, seen.path, seen.query) == ("GET", PATH, {"search": "a b&c", "limit": "5"})
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["x-posthog-client"] == "reconciler"
    assert seen.headers["user-agent"] == f"reconciler/{__version__}"
    assert seen.headers["accept-encoding"] == "gzip"
    assert reader.reads == 1


def test_gzip_is_understood():
    with (
        serving(lambda *_: Reply(body={"id": "x" * 10_000}, zipped=True)) as server,
        reading(server.url) as reader,
    ):
        assert reader.get(PATH) == {"id": "x" * 10_000}


def test_connections_are_kept_and_cookies_are_not():
    reply = Reply(headers={"Set-Cookie": "session=1; Path=/"})
    with serving(lambda *_: reply) as server, reading(server.url) as reader:
        for _ in range(3):
            reader.get(PATH)

    assert server.connections == 1
    assert all("cookie" not in seen.headers for seen in server.seen)


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
def test_a_read_is_tried_four_times(status):
    with (
        serving(_then_fine(3, Reply(status, b"<html>"))) as server,
        reading(server.url) as reader,
    ):
        assert reader.get(PATH) == {"id": 1}
        assert reader.reads == 4

    with serving(_then_fine(4, Reply(status))) as server, reading(server.url) as reader:
        with pytest.raises(errors.ServerError) as caught:
            reader.get(PATH)
        assert reader.reads == 4
    assert caught.value.status == status


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 410, 415, 301, 308])
def test_a_definite_answer_is_not_asked_for_again(status):
    with serving(lambda *_: Reply(status)) as server, reading(server.url) as reader:
        with pytest.raises(errors.ApiError):
            reader.get(PATH)
        assert reader.reads == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"<html>Log in</html>", kind="text/html"),
        Reply(body=b'{"id": 1'),
        Reply(body=b'{"id": NaN}'),
        Reply(body=b'{"id": 1, "id": 2}'),
        Reply(body=b""),
        Reply(204),
        Reply(206, {"count": 0, "results": []}),
        Reply(headers={"Content-Encoding": "br"}),
        Reply(headers={"Content-Encoding": "gzip"}),
    ],
)
def test_an_unreadable_answer_is_asked_for_again_and_then_an_error(reply):
    with serving(_then_fine(2, reply)) as server, reading(server.url) as reader:
        assert reader.get(PATH) == {"id": 1}

    with serving(lambda *_: reply) as server, reading(server.url) as reader:
        with pytest.raises(errors.UnreadableError):
            reader.get(PATH)
        assert reader.reads == 4


def _answer_bytes(number, framing):
    body = json.dumps({"id": number}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(
    "extra", [b"again", b"\r\n", b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_what_follows_an_answer_is_never_the_answer_to_the_next_request(extra, framing, caplog):
    """The library would keep the bytes for the next request on the connection."""
    lock, counter = threading.Lock(), itertools.count(1)

    def script(connection, _):
        while read_head(connection):
            with lock:
                number = next(counter)
            spoiled = _answer_bytes(99, framing) if extra == b"again" else extra
            connection.sendall(_answer_bytes(number, framing) + (spoiled if number == 2 else b""))

    with raw_serving(script) as server, reading(server.url) as reader:
        found = [reader.get(PATH)["id"] for _ in range(4)]
        assert reader.reads == 5

    assert found == [1, 3, 4, 5]
    assert len(server.seen) == 2, "the connection was closed"
    assert "not used" in caplog.text


def test_an_answer_that_others_always_follow_is_an_error_and_unknown_after_a_write():
    def script(connection, _):
        while read_head(connection):
            connection.sendall(_answer_bytes(1, "length") * 2)

    with raw_serving(script) as server:
        with reading(server.url) as reader, pytest.raises(errors.UnreadableError) as caught:
            reader.get(PATH)
        with writing(server.url) as writer, pytest.raises(errors.AmbiguousError):
            writer.send(Request("PATCH", PATH, {}))
    assert "cannot be trusted" in str(caught.value)


def test_a_connection_that_breaks_is_tried_again():
    def answer(_, index):
        if index < 3:
            raise DropError
        return Reply(body={"id": 1})

    with serving(answer) as server, reading(server.url) as reader:
        assert reader.get(PATH) == {"id": 1}


@pytest.mark.parametrize("cut", [1, 20, 40, 60])
def test_an_answer_cut_off_at_any_place_is_not_believed(cut):
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b'{"id": [1, 2, 3]}'

    def script(connection, _):
        read_head(connection)
        connection.sendall(whole[:cut])

    with raw_serving(script) as server, reading(server.url) as reader:
        with pytest.raises(errors.UnreadableError):
            reader.get(PATH)
        assert reader.reads == 4


def test_nobody_listening_is_not_sent():
    time = Time()
    with (
        reading(free_port_url(), time=time) as reader,
        pytest.raises(errors.UnreachableError) as caught,
    ):
        reader.get(PATH)

    assert "refused" in caught.value.why
    assert caught.value.state == "not sent"
    assert 0 < sum(time.slept) <= 0.5 + 1 + 2


def test_a_name_that_does_not_exist_is_not_sent():
    with reading("http://nowhere.invalid") as reader, pytest.raises(errors.UnreachableError):
        reader.get(PATH)


def test_a_certificate_that_nobody_signed_is_refused_at_once():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)

    def script(connection, _):
        with context.wrap_socket(connection, server_side=True) as secure:
            read_head(secure)

    with (
        raw_serving(script) as server,
        reading(server.url.replace("http://127.0.0.1", "https://localhost")) as reader,
    ):
        with pytest.raises(errors.UnreachableError) as caught:
            reader.get(PATH)
        assert reader.reads == 1
    assert "SSL_CERT_FILE" in caught.value.fix


def test_https_goes_through_a_proxy_and_trusts_the_authority_of_the_environment(
    monkeypatch, tmp_path
):
    authority, heads = trustme.CA(), []
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("posthog.invalid").configure_cert(context)

    def script(connection, _):
        heads.append(read_head(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with context.wrap_socket(connection, server_side=True) as secure:
            heads.append(read_head(secure))
            secure.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"id":1}')

    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with raw_serving(script) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with reading("https://posthog.invalid") as reader:
            assert {"id": 1} == reader.get(PATH)

    to_proxy, to_posthog = heads
    assert to_proxy.startswith(b"CONNECT posthog.invalid:443 ")
    assert KEY.encode() not in to_proxy
    assert to_posthog.startswith(f"GET {PATH} ".encode())


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_server_that_drips_is_given_up_at_the_deadline(where):
    """The sockets keep it: each single read would be quick enough."""

    def script(connection, done):
        read_head(connection)
        if where == "body":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(150):  # three seconds: a client without a deadline fails, not hangs
            if done.wait(0.02):
                return
            connection.sendall(b" ")

    hands = {"clock": real_time.monotonic, "limits": CallLimits(deadline_s=0.2, tries=1)}
    with raw_serving(script) as server, reading(server.url, **hands) as reader:
        started = real_time.monotonic()
        with pytest.raises(errors.UnreadableError) as caught:
            reader.get(PATH)
        took = real_time.monotonic() - started

    assert "0.2 s" in caught.value.why
    assert took < 1.5


def test_a_server_that_is_silent_is_given_up_at_the_deadline():
    hands = {"clock": real_time.monotonic, "limits": CallLimits(deadline_s=0.1, tries=2)}
    with (
        raw_serving(lambda _, done: done.wait(5)) as server,
        reading(server.url, **hands) as reader,
    ):
        with pytest.raises(errors.UnreadableError):
            reader.get(PATH)
        assert reader.reads == 2


def test_a_body_over_the_cap_is_an_error_that_names_the_cap():
    limits = CallLimits(max_bytes=10_000)
    with (
        serving(lambda *_: Reply(body={"id": "x" * 10_000})) as server,
        reading(server.url, limits=limits) as reader,
    ):
        with pytest.raises(errors.UnreadableError) as caught:
            reader.get(PATH)
        assert reader.reads == 1, "a large answer is not fetched again"

    assert "10000 bytes" in caught.value.why


def test_a_gzip_bomb_does_not_fill_the_memory():
    bomb = Reply(body=b"[" + b" " * 200_000_000, zipped=True).raw
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        serving(lambda *_: Reply(body=bomb, headers={"Content-Encoding": "gzip"})) as server,
        reading(server.url, limits=CallLimits(max_bytes=1_000_000)) as reader,
        pytest.raises(errors.UnreadableError),
    ):
        reader.get(PATH)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


@pytest.mark.parametrize("target", ["http://127.0.0.1:{port}/x/", "http://localhost:{port}/x/"])
def test_a_redirect_is_not_followed(target):
    with serving(lambda *_: Reply()) as other:
        location = target.format(port=other.url.rpartition(":")[2])
        with (
            serving(lambda *_: Reply(302, headers={"Location": location})) as server,
            reading(server.url) as reader,
            pytest.raises(errors.UnreadableError) as caught,
        ):
            reader.get(PATH)

    assert location.removesuffix("/x/") in str(caught.value)
    assert other.seen == []


@pytest.mark.parametrize(
    "path",
    [
        *("https://evil.test/", "//evil.test/", "@evil.test/", ":1/", ".evil.test/", "/a?b", ""),
        *("/api/../users/", "/api/./users/", "/api/..", "/a\r\nX: y", "/a\x7f"),
    ],
)
def test_no_path_leads_to_another_origin(path):
    with serving(lambda *_: Reply()) as server, reading(server.url) as reader:
        with pytest.raises(errors.UnreachableError):
            reader.get(path)
        assert reader.reads == 0
    assert server.seen == []


def test_a_path_with_control_characters_is_an_error_of_ours():
    with reading("http://127.0.0.1:9") as reader, pytest.raises(errors.UnreachableError):
        reader.get("/api/\r\nX: y/")


@pytest.mark.parametrize(
    ("headers", "detail", "wait"),
    [
        ({"Retry-After": "13"}, "", 13),
        ({"Retry-After": formatdate(Time().wall() + 20, usegmt=True)}, "", 20),
        ({"Retry-After": formatdate(5020, usegmt=True), "Date": formatdate(5000)}, "", 20),
        ({}, "Request was throttled. Expected available in 7 seconds.", 7),
        ({"Retry-After": "299"}, "", 299),
    ],
)
def test_a_429_is_waited_out_as_long_as_it_asks(headers, detail, wait):
    time, reply = Time(), Reply(429, {**THROTTLED, "detail": detail}, headers)
    with serving(_then_fine(1, reply), time=time) as server, reading(server.url, time=time) as r:
        assert r.get(PATH) == {"id": 1}

    first, second = (seen.at for seen in server.seen)
    assert wait <= second - first <= wait + 1


@pytest.mark.parametrize("header", ["0", "-3", "soon", None])
def test_a_429_that_does_not_say_how_long_is_never_a_busy_loop(header):
    time = Time()
    reply = Reply(429, THROTTLED, {} if header is None else {"Retry-After": header})
    with serving(lambda *_: reply, time=time) as server, reading(server.url, time=time) as reader:
        with pytest.raises(errors.ThrottledError):
            reader.get(PATH)
        assert reader.reads == 8

    times = [seen.at for seen in server.seen]
    assert all(later - earlier >= 0.05 for earlier, later in pairwise(times))
    assert times[-1] - times[0] > 2


@pytest.mark.parametrize("header", ["301", "86400", "1" + "0" * 30])
def test_a_huge_wait_stops_the_call_and_says_when_to_come_back(header):
    time, reply = Time(0.0), Reply(429, THROTTLED, {"Retry-After": header})
    with serving(lambda *_: reply) as server, reading(server.url, time=time) as reader:
        with pytest.raises(errors.ThrottledError) as caught:
            reader.get(PATH)
        assert reader.reads == 1

    assert time.slept == []
    assert caught.value.retry_after_s == float(header)
    if header == "86400":
        assert "2026-01-02 00:00:00 UTC" in caught.value.fix


def test_a_long_wait_is_told_once(caplog):
    time, reply = Time(), Reply(429, THROTTLED, {"Retry-After": "60"})
    with (
        serving(_then_fine(2, reply)) as server,
        reading(server.url, time=time) as reader,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda _: reader.get(PATH), range(8)))

    told = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert 1 <= len(told) <= 2
    assert "60 s" in told[0].getMessage()


def test_one_429_makes_all_threads_wait():
    time, reply = Time(), Reply(429, THROTTLED, {"Retry-After": "60"})
    with serving(_then_fine(1, reply), time=time) as server, reading(server.url, time=time) as r:
        r.get(PATH)
        with reading(server.url, time=time) as sibling:
            sibling.get(PATH)
        assert r._transport._retrier._rate_limiter is sibling._transport._retrier._rate_limiter

    assert all(seen.at >= 1060 for seen in server.seen[1:])


def test_requests_are_paced_before_the_server_has_to_say_so():
    time = Time()
    with (
        serving(lambda *_: Reply(), time=time) as server,
        reading(server.url, time=time, rate_limit=KeyRateLimit(10, 1000)) as reader,
    ):
        for _ in range(30):
            reader.get(PATH)

    times = [seen.at for seen in server.seen]
    assert all(sum(start <= at < start + 60 for at in times) <= 10 for start in times)


def test_a_503_with_retry_after_is_waited_out_that_long():
    time, reply = Time(), Reply(503, headers={"Retry-After": "9"})
    with serving(_then_fine(1, reply), time=time) as server, reading(server.url, time=time) as r:
        r.get(PATH)

    assert server.seen[1].at - server.seen[0].at >= 9


def test_retries_of_all_calls_together_have_a_budget():
    limits = CallLimits(breaker_failures=10_000)
    with serving(lambda *_: Reply(503)) as server, reading(server.url, limits=limits) as reader:
        for _ in range(100):
            with pytest.raises(errors.ServerError):
                reader.get(PATH)
        assert reader.reads == 100 + 20


def test_after_eight_failures_in_a_row_new_calls_fail_at_once_but_for_probes():
    time = Time()
    sick = threading.Event()
    sick.set()
    limits = CallLimits(tries=1)
    with (
        serving(lambda *_: Reply(503 if sick.is_set() else 200)) as server,
        reading(server.url, time=time, limits=limits) as reader,
    ):
        for _ in range(8):
            with pytest.raises(errors.ServerError):
                reader.get(PATH)
        with pytest.raises(errors.UnreachableError) as caught:
            reader.get(PATH)
        assert reader.reads == 8
        assert caught.value.state == "not sent"
        assert "30 s" in caught.value.fix

        time.now += 30
        with pytest.raises(errors.ServerError):
            reader.get(PATH)
        with pytest.raises(errors.UnreachableError):
            reader.get(PATH)

        sick.clear()
        time.now += 30
        for _ in range(3):
            reader.get(PATH)


def test_refusals_do_not_open_the_circuit():
    with serving(lambda *_: Reply(404)) as server, reading(server.url) as reader:
        for _ in range(20):
            with pytest.raises(errors.NotFoundError):
                reader.get(PATH)


def test_nothing_is_waited_for_beyond_the_end_of_the_run():
    time, reply = Time(), Reply(429, THROTTLED, {"Retry-After": "60"})
    with (
        serving(lambda *_: reply) as server,
        reading(server.url, time=time, limits=CallLimits(run_s=100)) as reader,
    ):
        with pytest.raises(errors.ThrottledError) as caught:
            reader.get(PATH)
        assert reader.reads == 2
        assert time.now == 1060
        time.now = 2000.0
        with pytest.raises(errors.ThrottledError):
            reader.get(PATH)
        assert reader.reads == 2

    assert "run the command again after" in caught.value.fix


def test_a_stop_wakes_who_waits_and_lets_nothing_more_out():
    time, reply = Time(), Reply(429, THROTTLED, {"Retry-After": "60"})

    def sleep(seconds):
        time.sleep(seconds)
        reader.stop()

    with (
        serving(lambda *_: reply) as server,
        reading(server.url, time=time, sleep=sleep) as reader,
    ):
        with pytest.raises(errors.UnreachableError) as caught:
            reader.get(PATH)
        assert reader.reads == 1
        assert time.now <= 1001

    assert "stopped" in caught.value.why


def test_a_closed_reader_sends_nothing():
    with serving(lambda *_: Reply()) as server, reading(server.url) as reader:
        reader.close()
        with pytest.raises(errors.UnreachableError):
            reader.get(PATH)
    assert server.seen == []


def test_the_servers_clock_is_noticed():
    time = Time(0.0)
    reply = Reply(headers={"Date": formatdate(time.wall() + 90, usegmt=True)})
    with serving(lambda *_: reply) as server, reading(server.url, time=time) as reader:
        assert reader.clock_skew_s is None
        reader.get(PATH)
        assert reader.clock_skew_s == 90


def test_the_key_is_in_no_log_and_no_error(caplog):
    echo = {"detail": f"Authorization: Bearer {KEY} is bad", "code": KEY, "type": KEY, "attr": KEY}
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "reconciler")  # whatever another test's run left there
    shown = []
    for status in (200, 302, 400, 401, 403, 404, 409, 429, 500):
        reply = Reply(
            status,
            f"<{KEY}>".encode() if status == 200 else echo,
            {"Location": f"https://{KEY}@{KEY}.test/{KEY}", "Retry-After": "9999"},
        )
        with serving(lambda *_, reply=reply: reply) as server, reading(server.url) as reader:
            with pytest.raises(errors.ApiError) as caught:
                reader.get(PATH, {"search": KEY})
            error = caught.value
            shown += [str(error), repr(error), error.why, error.state, error.fix, error.detail]
            shown += [error.code, error.type, str(error.attr), repr(reader), repr(vars(reader))]
            shown += [repr(vars(reader._transport)), f"{error.path}{error.method}"]

    assert KEY not in caplog.text
    assert KEY not in "".join(shown)
    assert "GET /api/users/@me/ -> 404" in caplog.text


def test_a_proxy_of_the_environment_is_used_but_not_for_loopback(monkeypatch):
    with (
        serving(lambda *_: Reply(body={"proxied": True})) as proxy,
        serving(lambda *_: Reply(body={"proxied": False})) as server,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with reading(server.url) as reader:
            assert reader.get(PATH) == {"proxied": False}
        with reading("http://posthog.invalid") as reader:
            assert reader.get(PATH) == {"proxied": True}


def test_the_name_and_password_of_a_proxy_reach_it_and_nobody_else(monkeypatch):
    with serving(lambda *_: Reply()) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url.replace("//", "//bob:p%40ss@").rstrip("/"))
        monkeypatch.setenv("NO_PROXY", "elsewhere.invalid, .inside.invalid")
        with reading("http://posthog.invalid") as reader:
            reader.get(PATH)
        with (
            reading("http://eu.inside.invalid") as reader,
            pytest.raises(errors.UnreachableError),
        ):
            reader.get(PATH)

    (seen,) = proxy.seen
    assert f"Basic {b64encode(b'bob:p@ss').decode()}" == seen.headers["proxy-authorization"]


@pytest.mark.parametrize(
    ("path", "sent"),
    [("/a b/ä/", "/a%20b/%C3%A4/"), ("/100%/%2f%20/", "/100%25/%2f%20/"), ("/@me/a:b,c/", None)],
)
def test_what_a_url_may_not_hold_is_quoted_once(path, sent):
    with serving(lambda *_: Reply()) as server, reading(server.url) as reader:
        reader.get(path)

    assert [sent or path] == [request.path for request in server.seen]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "gopher://x"),
        ("HTTPS_PROXY", "socks5://x"),
        ("HTTPS_PROXY", "http://x:port"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
    ],
)
def test_a_broken_environment_is_an_error_that_names_it(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(errors.TargetError) as caught, reading("https://us.posthog.com"):
        pass

    assert "SSL_CERT_FILE" in caught.value.fix
