"""Real parts: what the console script runs, the sandbox as a process, real HTTP between."""

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import (
    chdir,
    closing,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from unittest import mock

import yaml

from reconciler.ci import http as ci_http
from reconciler.cli.main import run
from reconciler.cli.session import Session
from reconciler.posthog import rate_limit
from tests.forked import Program

SCRIPT = os.environ.get("RECONCILER_TEST_SCRIPT") or str(Path(sys.executable).parent / "reconciler")
CLEAN = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": os.environ.get("HOME", "/")}
# For a process that may write few bytes only: Python 3.11 would keep what it compiled cut short.
NO_BYTECODE = {"PYTHONDONTWRITEBYTECODE": "1"}
# A commit would start another process, to see whether there is anything to tidy up.
_GIT = (
    *("-c", "user.name=Test", "-c", "user.email=test@acme.test"),
    *("-c", "maintenance.auto=false", "-c", "core.fsync=none"),
)
_OF_A_PROCESS = ("PYTHON", "LANG", "LC_")  # variables that are read at the start of a process


def awaited(condition, process=None, seconds=60, pause=0.02):
    """The answer of `condition` once it is true; fails at the deadline, or when `process` ends."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert process is None or process.poll() is None, "the process ended before"
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        time.sleep(pause)
    return answer


@dataclass(frozen=True)
class Done:
    """What a finished command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self):
        self.now, self.slept, self._lock = 1_000.0, 0.0, threading.Lock()

    def clock(self):
        with self._lock:
            return self.now

    def sleep(self, seconds):
        with self._lock:
            self.now += max(0.0, seconds)
            self.slept += max(0.0, seconds)


@contextmanager
def virtual_time(moving, chance):
    """Let connections wait without waiting: clock, sleep and chance are handed in."""
    runtime = {"clock": moving.clock, "sleep": moving.sleep, "rng": chance}
    with (
        mock.patch.object(Session, "runtime", runtime),
        mock.patch.object(ci_http, "_BACKOFF_S", 0),
    ):
        yield


def run_in_process(arguments, folder, environ, moving=None, chance=None):
    """Run what the console script runs, with real HTTP and files; a `Done`."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    with (
        Path(os.devnull).open(encoding="utf-8") as nothing,
        chdir(folder),
        virtual_time(moving or Time(), chance or Random(0)),  # noqa: S311  replays, is no secret
    ):
        code = run_with_streams(arguments, environ, nothing, out, err)
    shown = [_content(stream) for stream in (out, err)]
    assert "Traceback" not in shown[1], shown[1]
    return Done(code, *shown)


def run_with_streams(arguments, environ, stdin, stdout, stderr):
    """Run what the console script runs with these streams; its exit code."""
    with (
        mock.patch.dict(os.environ, environ, clear=True),
        mock.patch.object(sys, "stdin", stdin),
        mock.patch.object(sys, "__stdout__", stdout),  # whose width is asked for
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        try:
            return run([str(word) for word in arguments])
        finally:  # what ends with a process: the pace of its key
            rate_limit._rate_limiters.clear()


def _content(stream):
    stream.flush()
    return stream.buffer.getvalue().decode("utf-8").replace("\r\n", "\n")


def _exchange(connection, method, path, headers, data):
    """Send one request over a connection; return its status and parsed body."""
    connection.request(method, path, body=data, headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text else None


def _drop_if_ended(connection):
    """Close a connection that the server has closed: the next request opens another."""
    if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
        connection.close()


class Sandbox:
    """A running sandbox process and its control endpoints."""

    def __init__(self, url, process):
        self.url, self.process = url, process
        self._kept = self._connection()  # for the thread of the tests; others connect anew
        self._owner = threading.get_ident()

    def _connection(self):
        return HTTPConnection(self.url.removeprefix("http://"), timeout=30)

    def call(self, method, path, body=None, token=None, client=None):
        """(status, parsed body) of one request."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if client:
            headers["X-PostHog-Client"] = client
        data = None if body is None else json.dumps(body).encode()
        if threading.get_ident() != self._owner:
            with closing(self._connection()) as connection:
                return _exchange(connection, method, path, headers, data)
        try:
            _drop_if_ended(self._kept)
            return _exchange(self._kept, method, path, headers, data)
        except BaseException:
            self._kept.close()
            raise

    def reset(self, seed):
        status, body = self.call("POST", "/_sandbox/reset", seed)
        assert status == 200, body

    def requests(self, *, clear=False):
        """The request log: every call of the emulated API so far."""
        rows = self.call("GET", "/_sandbox/requests")[1]
        if clear:
            self.clear()
        return rows

    def clear(self):
        self.call("DELETE", "/_sandbox/requests")

    def writes(self):
        return [row for row in self.requests() if row["method"] != "GET"]

    def state(self):
        return self.call("GET", "/_sandbox/state")[1]

    def close(self):
        """Let the connection go that is kept between calls."""
        self._kept.close()

    def stop(self):
        self.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


@contextmanager
def sandbox_process(*options):
    command = [SCRIPT, "sandbox", "--port", "0", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("sandbox listening on http://127.0.0.1:"), (
            line,
            process.stderr.read() if process.poll() is not None else "",
        )
        with closing(Sandbox(line.split()[-1], process)) as running:
            yield running
    finally:
        process.kill()
        process.communicate()


@cache
def _empty_git_folder():
    """What `git init` makes: name -> content of a file, None for a folder."""
    with TemporaryDirectory() as folder:
        command = ("git", "init", "-q", "-b", "main", "--template=", folder)
        subprocess.run(command, env=CLEAN, check=True)
        root = Path(folder, ".git")
        made = {
            str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
            for path in sorted(root.rglob("*"))
        }
    return {**made, "hooks": None, "info": None}


class Repository:
    """A configuration repository in a folder of its own, and the CLI in it."""

    time = chance = None  # of a repository whose commands share them

    def __init__(self, folder, sandbox, token="phx_ci"):
        self.folder, self.sandbox, self.token = folder, sandbox, token

    def write(self, name, *documents):
        """One YAML file of several documents; text is written as it is."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = documents[0] if isinstance(documents[0], str) else yaml.safe_dump_all(documents)
        path.write_text(text, encoding="utf-8")

    def git(self, *arguments, **environ):
        """Run git, and return what it prints."""
        return subprocess.run(
            ["git", *_GIT, *arguments],
            cwd=self.folder,
            env={**CLEAN, **environ},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def commit(self, message="change", **environ):
        if not (self.folder / ".git").exists():
            self._init()
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message, **environ)

    def _init(self):
        """Do what `git init` does, without another process."""
        for name, content in _empty_git_folder().items():
            path = self.folder / ".git" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if content is None else path.write_bytes(content)

    def environment(self, token=None):
        key = {"POSTHOG_API_KEY": token or self.token} if (token or self.token) else {}
        return {**CLEAN, "POSTHOG_HOST": self.sandbox.url, **key}

    def run(self, *arguments, token=None, real_process=False, forked=False, **extra):
        """Run a command to its end: in this process, with streams and environment of its own.

        `forked` is for what belongs to a process, such as its end; `real_process` for its start.
        The variables that Python reads when it starts need the latter.
        """
        environ = {**self.environment(token), **extra}
        if real_process or any(name.startswith(_OF_A_PROCESS) for name in extra):
            started = subprocess.Popen
            arguments = (SCRIPT, *arguments)
        elif forked:
            started = Program
        else:
            return run_in_process(arguments, self.folder, environ, self.time, self.chance)
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
        with started(
            arguments, cwd=self.folder, env=environ, stderr=subprocess.PIPE, text=True, **options
        ) as process:
            try:
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
        assert "Traceback" not in err, err
        return Done(process.returncode, out, err)


@contextmanager
def typing(repo, *arguments):
    """(the command, the master's side of the terminal that it runs on)."""
    master, slave = pty.openpty()
    process = Program(
        arguments,
        cwd=repo.folder,
        env=repo.environment(),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield process, master
    finally:
        os.close(master)


def answer(repo, command, *, ends, typed):
    """Run a command on a terminal, and answer the question that ends so; its code and output."""
    with typing(repo, *command) as (process, terminal):
        shown = ""
        while not shown.rstrip().endswith(ends):
            shown += os.read(terminal, 65536).decode()
        os.write(terminal, f"{typed}\n".encode())
        with suppress(OSError):  # the end of a terminal is an error
            while data := os.read(terminal, 65536):
                shown += data.decode()
    return process.wait(20), shown
