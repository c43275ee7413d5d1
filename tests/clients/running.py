"""Run a client: as a command per operation, or as a driver that is called by name.

A client gets an environment of its own: no variable of this process, so no real key, and a proxy
where nobody listens, so that it reaches the loopback only (Node.js uses a proxy since version 24).
"""

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
INSTALLED = ROOT / ".clients"
PYTHON = INSTALLED / "python" / "bin"
NODE = INSTALLED / "node"
DRIVERS = Path(__file__).parent / "drivers"
_NOWHERE = "http://127.0.0.1:9"
_TIMEOUT_S = 120


class RefusedError(Exception):
    """The client reports a failure: its own words."""


def client_environment(*, address, key, home, project):
    """Return the whole environment of a client of the sandbox at `address`."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "CLIENTS_NODE": str(NODE),
        "POSTHOG_HOST": address,
        "POSTHOG_API_KEY": key,
        "POSTHOG_PROJECT_ID": str(project),
        "HTTP_PROXY": _NOWHERE,
        "HTTPS_PROXY": _NOWHERE,
        "NO_PROXY": "127.0.0.1",
        "NODE_USE_ENV_PROXY": "1",
        "DO_NOT_TRACK": "1",
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }


def run_command(name, *arguments, environment):
    """Run a client's console script; return what it prints on standard output.

    Raises:
        RefusedError: it exits with another code than 0.
    """
    done = subprocess.run(
        [PYTHON / name, *arguments],
        env=environment,
        cwd=environment["HOME"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise RefusedError(done.stdout + done.stderr)
    return done.stdout


class Driver:
    """A running driver, which calls the client's functions."""

    def __init__(self, process, log):
        self._process, self._log = process, log

    def call(self, name, /, **arguments):
        """Call one function of the client; return its result.

        Raises:
            RefusedError: the client reports a failure.
        """
        request = json.dumps({"call": name, "arguments": arguments})
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the driver ended: {self._log.read_text(encoding='utf-8')}"
        answer = json.loads(line)
        if "error" in answer:
            raise RefusedError(answer["error"])
        return answer["result"]


@contextmanager
def driver(file, *, environment):
    """Run a driver of this folder until the block ends."""
    interpreter = "node" if file.endswith(".mjs") else PYTHON / "python"
    log = Path(environment["HOME"]) / f"{file}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [interpreter, DRIVERS / file],
            env=environment,
            cwd=environment["HOME"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield Driver(process, log)
    finally:
        process.stdin.close()
        process.wait(timeout=_TIMEOUT_S)
        process.stdout.close()
