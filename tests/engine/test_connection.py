"""The connection to the server: with TLS, and what is said if there is none."""

import socket
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import pytest
import trustme

from tests.support import CLEAN

LIST = ("fleet", "schedule", "list")
NO_TEMPORAL = "does not respond as Temporal without TLS does"


@pytest.fixture(scope="module")
def authority():
    """An authority that nothing on this machine trusts."""
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_port(temporal, authority):
    """A server in front of Temporal that speaks TLS: the development server does not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    with forwarding(temporal.address, context) as port:
        yield port


@contextmanager
def forwarding(address, context):
    """The port of a server whose connections, without TLS, go to an address."""
    host, port = address.split(":")

    def copy(source, destination):
        with suppress(OSError):
            while data := source.recv(65536):
                destination.sendall(data)
        for each in (source, destination):  # both directions end
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def forward(connection):
        with (
            suppress(OSError),
            connection,
            context.wrap_socket(connection, server_side=True) as outer,
            socket.create_connection((host, int(port))) as inner,
        ):
            back = threading.Thread(target=copy, args=(inner, outer))
            back.start()
            copy(outer, inner)
            back.join()

    def serve():
        with suppress(OSError):
            while True:
                threading.Thread(target=forward, args=listener.accept()[:1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)  # ends `accept`
        thread.join()


@pytest.fixture
def repo(fleet):
    made = fleet({"users": [], "organizations": []})
    made.configure({"one": {}})
    return made


def test_a_server_with_tls_is_used_with_the_variables_of_the_sdk(
    repo, tls_port, authority, tmp_path
):
    """The authority of its certificate is in a file."""
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    done = repo.run(
        *LIST,
        TEMPORAL_ADDRESS=f"localhost:{tls_port}",
        TEMPORAL_TLS="true",
        TEMPORAL_TLS_SERVER_CA_CERT_PATH=str(trusted),
    )

    assert (0, True) == (done.code, done.out.startswith("no schedules")), done.err


@pytest.mark.parametrize(
    ("environ", "why", "fix"),
    [
        ({}, NO_TEMPORAL, "TEMPORAL_TLS=true"),
        ({"TEMPORAL_TLS": "true"}, "is not trusted", "TEMPORAL_TLS_SERVER_CA_CERT_PATH"),
    ],
)
def test_a_server_with_tls_that_cannot_be_used_says_why(repo, tls_port, environ, why, fix):
    """With the variable to set."""
    done = repo.run(*LIST, TEMPORAL_ADDRESS=f"localhost:{tls_port}", **environ)

    assert 1 == done.code
    assert why in done.err
    assert fix in done.err


def test_tls_with_a_server_that_has_none_says_so(repo, temporal):
    """It is switched on by a variable, or by an API key."""
    for environ in ({"TEMPORAL_TLS": "true"}, {"TEMPORAL_API_KEY": "a-secret-of-temporal"}):
        done = repo.run(*LIST, TEMPORAL_ADDRESS=temporal.address, **environ)

        assert (1, True) == (done.code, "TLS with it fails" in done.err), done.err
        assert "TEMPORAL_TLS=false" in done.err
        assert "a-secret-of-temporal" not in done.err


@pytest.mark.parametrize("address", ["localhost", "localhost:port", ":7233"])
def test_an_address_without_a_port_is_refused_with_the_form(repo, address):
    """Of the variable, or of reconciler.yaml."""
    done = repo.run(*LIST, TEMPORAL_ADDRESS=address)

    assert (1, True) == (done.code, "write HOST:PORT" in done.err), done.err


@pytest.mark.parametrize("words", [LIST, ("fleet", "worker"), ("fleet", "plan")])
def test_a_namespace_that_the_server_does_not_have_is_an_error(repo, words):
    """Before a worker says that it is ready, and before a list looks empty."""
    repo.commit()

    done = repo.run(*words, TEMPORAL_NAMESPACE="missing")

    assert (1, "") == (done.code, done.out)
    assert 'the Temporal server has no namespace "missing"' in done.err
    assert "temporal operator namespace create -n missing" in done.err


CORE = """
import asyncio, logging, sys, threading
from temporalio.client import Client
from temporalio.worker import Worker
from reconciler.fleet.engine.temporal import worker
from reconciler.fleet.engine.temporal.workflows import KeyWorkflow

class Handler(logging.Handler):
    def emit(self, record):
        print(record.levelname, record.getMessage())
        logged.set()

async def serve():
    client = await Client.connect(sys.argv[1], namespace="missing")
    async with Worker(client, task_queue="x", workflows=[KeyWorkflow]):
        await asyncio.Event().wait()  # until the worker fails

logged = threading.Event()
worker.forward_log()
log = logging.getLogger("temporalio")
log.addHandler(Handler())
log.propagate = False
try:
    asyncio.run(serve())
except RuntimeError:
    sys.exit(not logged.wait(20))
"""


def test_the_core_of_the_sdk_logs_where_the_rest_of_it_does(temporal):
    """Its own format on stderr is neither a line of ours nor JSON."""
    command = [sys.executable, "-c", CORE, temporal.address]
    done = subprocess.run(command, env=CLEAN, capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("WARNING ")
