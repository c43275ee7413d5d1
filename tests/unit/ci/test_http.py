"""Calls to a code host: one deadline, no redirect, and no secret in a message."""

import socket
import threading
from contextlib import contextmanager

import pytest

from reconciler.ci.http import OriginClient
from reconciler.errors import DeliveryError
from tests.code_hosts import serving


@contextmanager
def dripping(head):
    """A host that sends `head`, and then a byte from time to time, until the test is over."""
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.sendall(head)
                while not is_over.wait(0.05):
                    connection.sendall(b"x")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        is_over.set()
        thread.join(5)


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"],
    ids=["in the headers", "in the body"],
)
def test_a_host_that_drips_is_left_at_the_deadline(head):
    """Each byte in time is not an answer in time."""
    with dripping(head) as url, pytest.raises(DeliveryError) as caught:
        OriginClient(url, deadline_s=0.3).send("POST", "/x")

    assert "no complete answer within 0.3 s" in caught.value.what
    assert caught.value.may_have_arrived


@pytest.mark.parametrize("token", ["ghs_secret\n", "ghs_secret\N{SNOWMAN}", "ghs_secret\r\nX: y"])
def test_a_token_that_is_not_a_header_is_in_no_message(token):
    """The library that refuses it would quote it."""
    with serving() as host, pytest.raises(DeliveryError) as caught:
        OriginClient(host.url, {"Authorization": f"Bearer {token}"}).send("POST", "/x")

    error = caught.value
    assert "ghs_secret" not in f"{error.what} {error.why} {error.fix}"
    assert [] == host.calls


def test_a_redirect_is_an_error_and_is_not_followed():
    """The token would go along."""
    with serving() as host, serving() as other:
        host.fail = {("POST", "/hook"): 302}
        host.location = f"{other.url}/hook"
        with pytest.raises(DeliveryError) as caught:
            OriginClient(host.url).send("POST", "/hook")

    assert 302 == caught.value.status
    assert [] == other.calls


def test_a_proxy_of_the_environment_is_not_used_for_loopback(monkeypatch):
    """It cannot reach what listens on this machine only."""
    with serving() as host, serving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        OriginClient(host.url).send("POST", "/hook")

    assert [("POST", "/hook")] == host.calls
    assert [] == proxy.calls


def test_a_proxy_of_the_environment_is_used_for_a_remote_host(monkeypatch):
    """It is asked for a tunnel; the name of the host is not looked up here."""
    with serving() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with pytest.raises(DeliveryError) as caught:
            OriginClient("https://code-host.invalid").send("POST", "/x")

    assert "no answer" in caught.value.what
    assert "501" in caught.value.why
