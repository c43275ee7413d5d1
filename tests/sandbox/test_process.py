"""The sandbox as a process and as a thread: starting, stopping, crashes."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.sandbox import server
from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.server.testing import Sandbox
from tests import support
from tests.effort import effort

from .conftest import FLAGS, SEED, Api

ROOT = Path(__file__).parents[2]
RUN = """
import json, pathlib, sys
from reconciler.sandbox import server
from reconciler.sandbox.protocol import errors
options = json.loads(sys.argv[1])
for name in ("seed", "data"):
    if name in options:
        options[name] = pathlib.Path(options[name])
try:
    server.run(**options)
except errors.SandboxError as error:
    sys.exit(error.message)
"""


@pytest.fixture
def seed(tmp_path):
    path = tmp_path / "seed.json"
    path.write_text(json.dumps(SEED), encoding="utf-8")
    return str(path)


@contextmanager
def process(**options):
    command = [sys.executable, "-c", RUN, json.dumps(options)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        line = running.stdout.readline()
        assert line.startswith("sandbox listening on http://127.0.0.1:"), line
        yield Api(Sandbox(line.split()[-1])), running
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_and_it_prints_one_line(seed, number):
    with process(seed=seed) as (api, running):
        assert api.get(FLAGS).status == 200
        running.send_signal(number)

        assert running.wait(10) == 0
        assert running.stdout.read() == ""


def test_a_signal_stops_it_although_a_request_hangs(seed):
    with process(seed=seed, faults="GET:*:*:before:hang") as (api, running):

        def ask():
            with pytest.raises(OSError, match=r"."):
                api.get(FLAGS)

        hanging = threading.Thread(target=ask)
        hanging.start()
        support.awaited(api.sandbox.requests, running)
        running.terminate()

        assert running.wait(10) == 0
        hanging.join()


def test_answered_writes_survive_a_kill(seed, tmp_path):
    data = str(tmp_path / "world.db")
    with process(seed=seed, data=data) as (api, running):
        for number in range(20):
            body = {"key": f"f{number}", "filters": {"groups": [{}]}}
            assert api.post(f"{FLAGS}/", body).status == 201
        before = api.sandbox.state(), api.sandbox.ledger(), api.sandbox.requests()
        running.send_signal(signal.SIGKILL)
        running.wait(10)
    with process(data=data) as (api, _):
        after = api.sandbox.state(), api.sandbox.ledger(), api.sandbox.requests()
        assert after == before
        new = api.post(f"{FLAGS}/", {"key": "z", "filters": {"groups": [{}]}}).body
        assert new["id"] == 23
        api.sandbox.reset()
        assert api.get(FLAGS).body["count"] == 2


def test_a_kill_during_writes_leaves_no_partial_write(seed, tmp_path):
    data = str(tmp_path / "world.db")
    answered = []
    with process(seed=seed, data=data) as (api, running):

        def write():
            try:
                for number in range(10_000):
                    body = {"key": f"f{number}", "filters": {"groups": [{}]}}
                    answered.append(api.post(f"{FLAGS}/", body).body["key"])
            except (OSError, http.client.HTTPException):
                pass

        writer = threading.Thread(target=write)
        writer.start()
        while len(answered) < 30:
            pass
        running.send_signal(signal.SIGKILL)
        running.wait(10)
        writer.join()
    with process(data=data) as (api, _):
        kept = {one["key"] for one in api.results(f"{FLAGS}/?limit=20000")}
        created = [one for one in api.sandbox.ledger() if one["object"].startswith("FeatureFlag")]
        assert set(answered) <= kept
        assert len(created) == len(kept) - 2


def test_two_processes_may_share_a_file(seed, tmp_path):
    data = str(tmp_path / "world.db")
    with process(seed=seed, data=data) as (one, _), process(data=data) as (two, _):

        def write(api, word):
            for number in range(40):
                body = {"key": f"{word}{number}", "filters": {"groups": [{}]}}
                assert api.post(f"{FLAGS}/", body).status == 201

        writers = [threading.Thread(target=write, args=pair) for pair in ((one, "a"), (two, "b"))]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()

        found = one.results(f"{FLAGS}/?limit=1000")
        assert len({flag["id"] for flag in found}) == len(found) == 82
        assert one.sandbox.state() == two.sandbox.state()
        assert [line["n"] for line in one.sandbox.ledger()] == list(
            range(1, len(one.sandbox.ledger()) + 1)
        )


def test_killing_two_writers_repeatedly_loses_no_answered_write(seed, tmp_path):
    data = str(tmp_path / "world.db")
    answered = {}

    def write(api, word):
        try:
            for number in range(10_000):
                body = {"key": f"{word}-{number}", "filters": {"groups": [{}]}}
                made = api.post(f"{FLAGS}/", body).body
                answered[made["key"]] = made["id"]
        except (OSError, http.client.HTTPException):
            pass

    for turn in range(effort(2, 3, hunt=3)):
        first = {"seed": seed} if turn == 0 else {}
        with process(data=data, **first) as (one, a), process(data=data) as (two, b):
            found = {flag["key"]: flag["id"] for flag in one.results(f"{FLAGS}/?limit=20000")}
            assert answered.items() <= found.items()
            assert len(set(found.values())) == len(found)
            before, words = len(answered), [f"{turn}a", f"{turn}b"]
            writers = [
                threading.Thread(target=write, args=pair)
                for pair in zip((one, two), words, strict=True)
            ]
            for writer in writers:
                writer.start()
            support.awaited(lambda least=before + 40: len(answered) >= least)
            a.kill()
            b.kill()
            for writer in writers:
                writer.join()
    with process(data=data) as (api, _):
        found = {flag["key"]: flag["id"] for flag in api.results(f"{FLAGS}/?limit=20000")}
        assert answered.items() <= found.items()
        made = [line for line in api.sandbox.ledger() if line["object"].startswith("FeatureFlag/")]
        assert len(made) == len(found) - 2


def start(**options):
    with server.background(**{"seed": SEED, **options}) as running:
        return Sandbox(running.url).state()


def test_options_override_the_seed():
    options = {"now": "2027-01-01", "cloud": True, "rate_limit": "5/50"}
    with server.background(seed=SEED, **options) as running:
        api = Api(Sandbox(running.url))
        state = api.sandbox.state()
        api.sandbox.reset({**SEED, "cloud": False})
        later = api.sandbox.state()

    assert state["now"] == "2027-01-01T00:00:00Z"
    assert (state["cloud"], state["rate_limit"]) == (True, {"per_minute": 5, "per_hour": 50})
    assert (later["now"], later["cloud"]) == ("2026-01-05T09:00:00Z", False)


def test_options_apply_to_an_existing_world(tmp_path):
    data = tmp_path / "world.db"
    start(data=data)

    state = start(seed=None, data=data, now="2027-01-01", cloud=True, rate_limit="5")

    assert (state["now"], state["cloud"]) == ("2027-01-01T00:00:00Z", True)
    assert state["rate_limit"] == {"per_minute": 5}


def test_the_random_seed_determines_the_uuids():
    first, again, other = (start(rng_seed=number) for number in (1, 1, 2))

    assert first == again
    assert first["users"][0]["uuid"] != other["users"][0]["uuid"]


def test_a_seed_may_be_a_text_a_file_or_nothing(seed):
    for given in (json.dumps(SEED), Path(seed), SEED):
        assert start(seed=given)["organizations"][0]["slug"] == "acme"
    assert start(seed=None)["organizations"]


def test_latency_is_real():

    with server.background(seed=SEED, latency_ms=50) as running:
        began = time.monotonic()
        Api(Sandbox(running.url)).get(FLAGS)
        assert time.monotonic() - began >= 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "0.0.0.0"}, "needs --public"),  # noqa: S104 - what is refused
        ({"host": "no.such.host.invalid"}, "no such address"),
        ({"port": 70000}, "--port 70000"),
        ({"profile": "g9"}, "unknown profile 'g9'"),
        ({"latency_ms": -1}, "--latency"),
        ({"rate_limit": "many"}, "'many' is not a rate limit"),
        ({"rate_limit": "1/2/3"}, "is not a rate limit"),
        ({"rate_limit": "0"}, "at least 1"),
        ({"now": "soon"}, "--now"),
        ({"faults": "moon"}, "--faults moon"),
        ({"seed": Path("/no/such/seed.yaml")}, "cannot be read"),
        ({"data": Path("/no/such/folder/x.db")}, "cannot be opened"),
    ],
    ids=str,
)
def test_an_invalid_option_is_refused_in_one_sentence(options, message):
    with pytest.raises(SandboxError) as caught:
        server.run(**options)

    assert message in caught.value.message


def test_a_taken_port_is_refused_in_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SandboxError) as caught:
            server.run(port=taken.getsockname()[1])

    assert "cannot listen" in caught.value.message


def test_a_world_in_a_file_is_not_overwritten_by_a_seed(tmp_path):
    data = tmp_path / "world.db"
    start(data=data)

    with pytest.raises(SandboxError, match="needs --reset"):
        start(data=data)
    assert start(data=data, reset=True, now="2030-01-01")["now"] == "2030-01-01T00:00:00Z"


def test_a_first_start_with_an_invalid_seed_leaves_no_partial_world(tmp_path):
    data = tmp_path / "world.db"
    with pytest.raises(SandboxError, match="moon"):
        start(seed={"moon": 1}, data=data)

    assert start(data=data)["users"]


def test_a_file_of_another_program_is_not_changed(tmp_path):

    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("important " * 500, encoding="utf-8")
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE important (x)")
    connection.close()

    for path in (text, other):
        with pytest.raises(SandboxError):
            start(data=path, reset=True)
    assert text.read_text(encoding="utf-8").startswith("important")


def test_a_file_of_another_version_needs_a_reset(tmp_path):

    data = tmp_path / "world.db"
    start(data=data)
    connection = sqlite3.connect(data)
    connection.execute("PRAGMA user_version=99")
    connection.close()

    with pytest.raises(SandboxError, match="a newer version"):
        start(seed=None, data=data)
    assert start(data=data, reset=True)["users"]


def test_it_listens_on_the_loopback_of_ipv6_too():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    command = [sys.executable, "-c", RUN, json.dumps({"host": "::1"})]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as running:
        line = running.stdout.readline()
        running.terminate()

    assert line.startswith("sandbox listening on http://[::1]:")


PLUGIN = """
import pytest

@pytest.fixture
def posthog_sandbox_seed():
    return {"users": [{"email": "a@b.test", "tokens": [{"token": "phx_a"}]}]}

def test_it(posthog_sandbox):
    me = posthog_sandbox.call("GET", "/api/users/@me/", token="phx_a")
    assert me.body["email"] == "a@b.test"
    assert [one["status"] for one in posthog_sandbox.requests()] == [200]

def test_each_test_starts_fresh(posthog_sandbox):
    assert posthog_sandbox.requests() == []
"""


def test_the_plugin_provides_a_sandbox_to_other_projects(tmp_path):
    (tmp_path / "test_mine.py").write_text(PLUGIN, encoding="utf-8")
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "error",
        "-p",
        "reconciler.sandbox.server.testing",
    ]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )

    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
