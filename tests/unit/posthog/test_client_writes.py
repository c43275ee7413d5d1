"""Writes over real HTTP: sent once, and every end of one has its class."""

import json
import socket
import struct
import time as real_time
from types import MappingProxyType

import pytest

from reconciler import errors
from reconciler.model import Request
from reconciler.posthog.responses import Call
from reconciler.posthog.retry_policy import CallLimits
from tests.unit.posthog.servers import (
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

PATH = "/api/projects/1/feature_flags/7/"
PATCH = Request("PATCH", PATH, {"active": True})


def test_a_write_sends_its_body_and_returns_the_answer():
    with serving(lambda *_: Reply(201, {"id": 7})) as server, writing(server.url) as writer:
        body = {"name": "ä", "filters": MappingProxyType({"groups": ()}), "n": None}
        answer = writer.send(Request("POST", PATH, body))

        assert answer == {"id": 7}
        assert (writer.reads, writer.writes) == (0, 1)
    seen = server.seen[0]
    assert (seen.method, seen.path, seen.query) == ("POST", PATH, {})
    assert seen.headers["content-type"] == "application/json"
    assert json.loads(seen.body) == {"name": "ä", "filters": {"groups": []}, "n": None}


def test_a_delete_has_no_body_and_no_answer():
    with serving(lambda *_: Reply(204)) as server, writing(server.url) as writer:
        assert writer.send(Request("DELETE", PATH)) is None
    assert server.seen[0].body == b""
    assert "content-type" not in server.seen[0].headers


@pytest.mark.parametrize("status", [302, 308, 408, 409, 423, 500, 502, 503, 504, 520, 529])
def test_an_answer_that_says_nothing_is_ambiguous_and_not_sent_again(status):
    with serving(lambda *_: Reply(status)) as server, writing(server.url) as writer:
        with pytest.raises(errors.AmbiguousError) as caught:
            writer.send(PATCH)
        assert writer.writes == 1
    assert caught.value.status == status


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 413, 415, 422, 425])
def test_a_refusal_is_definite_and_not_sent_again(status):
    with serving(lambda *_: Reply(status, {"code": "x"})) as server, writing(server.url) as writer:
        with pytest.raises(errors.ApiError) as caught:
            writer.send(PATCH)
        assert writer.writes == 1
    assert not isinstance(caught.value, errors.AmbiguousError)
    assert caught.value.state == "sent, not applied"


@pytest.mark.parametrize("code", ["approval_required", "change_request_pending"])
def test_a_filed_request_is_not_sent_again(code):
    body = {"code": code, "change_request_id": "b7c1", "change_request": {"id": "b7c1"}}
    with serving(lambda *_: Reply(409, body)) as server, writing(server.url) as writer:
        with pytest.raises(errors.ApprovalRequiredError) as caught:
            writer.send(PATCH)
        assert writer.writes == 1
    assert caught.value.change_request_id == "b7c1"


def _hang_up(_seen, _index):
    raise DropError


def _reset(connection, _):
    read_head(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _half_a_head(connection, _):
    read_head(connection)
    connection.sendall(b"HTTP/1.1 20")


def _half_a_body(connection, _):
    read_head(connection)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id": 7')


def _nonsense(connection, _):
    read_head(connection)
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


@pytest.mark.parametrize("script", [_reset, _half_a_head, _half_a_body, _nonsense])
def test_a_write_whose_answer_is_lost_is_ambiguous_and_not_sent_again(script):
    with raw_serving(script) as server, writing(server.url) as writer:
        with pytest.raises(errors.AmbiguousError) as caught:
            writer.send(PATCH)
        assert writer.writes == 1
    assert len(server.seen) == 1
    assert "may or may not" in caught.value.state


def test_a_hang_up_on_a_kept_connection_is_ambiguous_and_not_sent_again():
    def answer(seen, index):
        if seen.method == "GET":
            return Reply()
        return _hang_up(seen, index)

    with serving(answer) as server, writing(server.url) as writer:
        writer.get(PATH)
        with pytest.raises(errors.AmbiguousError):
            writer.send(PATCH)
    assert server.methods == ["GET", "PATCH"]


@pytest.mark.parametrize(
    "reply", [Reply(body=b"<html>", kind="text/html"), Reply(body=b'{"id": '), Reply(body=b"")]
)
def test_a_success_that_cannot_be_read_is_ambiguous(reply):
    with serving(lambda *_: reply) as server, writing(server.url) as writer:
        with pytest.raises(errors.AmbiguousError):
            writer.send(PATCH)
        assert writer.writes == 1


def test_a_write_that_is_not_answered_in_time_is_ambiguous():
    hands = {"clock": real_time.monotonic, "limits": CallLimits(deadline_s=0.1)}
    with (
        raw_serving(lambda _, done: done.wait(5)) as server,
        writing(server.url, **hands) as writer,
    ):
        with pytest.raises(errors.AmbiguousError):
            writer.send(PATCH)
        assert writer.writes == 1


def test_a_write_that_was_not_sent_is_tried_again_and_then_said_to_be_not_sent():
    with writing(free_port_url()) as writer:
        with pytest.raises(errors.UnreachableError) as caught:
            writer.send(PATCH)
        assert writer.writes == 4
    assert (caught.value.state, caught.value.sends) == ("not sent", 0)


def test_a_throttled_write_was_not_carried_out_so_it_is_sent_again():
    time = Time()

    def answer(_, index):
        return Reply(429, {}, {"Retry-After": "5"}) if index < 3 else Reply(body={"id": 7})

    with serving(answer, time=time) as server, writing(server.url, time=time) as writer:
        assert writer.send(PATCH) == {"id": 7}
        assert writer.writes == 4
    assert [seen.at for seen in server.seen] == [1000, 1005, 1010, 1015]
    assert {seen.body for seen in server.seen} == {b'{"active": true}'}


def test_a_write_that_stays_throttled_ends_as_not_sent():
    reply = Reply(429, {}, {"Retry-After": "1"})
    with serving(lambda *_: reply) as server, writing(server.url) as writer:
        with pytest.raises(errors.ThrottledError) as caught:
            writer.send(PATCH)
        assert writer.writes == 8
    assert caught.value.state == "not sent"


def test_ambiguous_writes_open_the_circuit_too():
    with serving(lambda *_: Reply(502)) as server, writing(server.url) as writer:
        for _ in range(8):
            with pytest.raises(errors.AmbiguousError):
                writer.send(PATCH)
        with pytest.raises(errors.UnreachableError):
            writer.send(PATCH)
        assert writer.writes == 8


def test_a_reader_cannot_write():
    """No method for it, and the connection below refuses the verb before a socket is touched."""
    with serving(lambda *_: Reply()) as server, reading(server.url) as reader:
        assert not [name for name in dir(reader) if name in ("send", "post", "put", "patch")]
        assert not hasattr(reader._transport, "send")
        for method in ("POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
            with pytest.raises(RuntimeError):
                reader._transport._deliver(Call(method, PATH))
    assert server.seen == []


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "get"])
def test_a_writer_sends_no_verb_that_the_api_does_not_know(method):
    with (
        serving(lambda *_: Reply()) as server,
        writing(server.url) as writer,
        pytest.raises(RuntimeError),
    ):
        writer.send(Request(method, PATH))
    assert server.seen == []
