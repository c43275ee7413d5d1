"""Real parts for fleets on the engine: a Temporal server, worker processes, sandboxes, a clone."""

import asyncio
import base64
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from temporalio.client import Client

from tests import acme
from tests.support import CLEAN, SCRIPT, Repository, awaited

TEMPORAL = shutil.which("temporal", path=str(Path(sys.executable).parent))
LONG = 40  # events of a history: a workflow that waits begins a new one (else 4,096)
NAMESPACES = 40  # one for each test: workflow IDs are the same in all of them


@dataclass(frozen=True)
class Server:
    """A development server, which forgets everything when it ends."""

    address: str
    namespaces: "itertools.count" = field(default_factory=itertools.count)

    def ask(self, namespace, question):
        """Return what `question`, an async function, finds out with a client of a namespace."""

        async def connect_and_ask():
            return await question(await Client.connect(self.address, namespace=namespace))

        return asyncio.run(connect_and_ask())


@contextmanager
def temporal_server():
    """Start the server of the wheel; fails where `make test` has not installed it."""
    assert TEMPORAL, "the Temporal server is missing: make .venv/.temporal"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = [word for n in range(NAMESPACES) for word in ("--namespace", f"test-{n}")]
    limit = ("--dynamic-config-value", f"limit.historyCount.suggestContinueAsNew={LONG}")
    command = [TEMPORAL, "server", "start-dev", "--headless", "--port", str(port), *names, *limit]
    process = subprocess.Popen(
        [*command, "--log-level", "error"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=CLEAN,
    )
    try:
        awaited(lambda: is_listening(port), process)
        yield Server(f"127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def is_listening(port):
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Fleet(Repository):
    """A configuration repository with several targets, an engine, and workers."""

    def __init__(self, folder, sandbox, server):
        super().__init__(folder, sandbox)
        self.server = server
        self.namespace = f"test-{next(server.namespaces)}"

    def configure(self, targets, poll="1s", **defaults):
        """Write reconciler.yaml; `targets` are names, or what they differ in."""
        document = {
            "version": 1,
            "fleet": {"engine": "temporal", "namespace": self.namespace, "poll": poll},
            "defaults": {"host": self.sandbox.url, **defaults},
            "targets": {name: {"paths": [name], **own} for name, own in targets.items()},
        }
        self.write("reconciler.yaml", yaml.safe_dump(document, sort_keys=False))

    def environment(self, token=None):
        environ = super().environment(token)
        del environ["POSTHOG_HOST"]
        return {**environ, "TEMPORAL_ADDRESS": self.server.address}

    @contextmanager
    def worker(self, *options, **environ):
        """A worker process that is ready; it is stopped by SIGTERM if it still runs."""
        log = self.folder.parent / f"worker-{os.urandom(4).hex()}.log"
        with log.open("w+", encoding="utf-8") as out:
            process = subprocess.Popen(
                [SCRIPT, "fleet", "worker", *options],
                cwd=self.folder,
                env={**self.environment(), **environ},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            process.read_log = lambda: log.read_text(encoding="utf-8")
            try:
                awaited(lambda: "worker ready" in process.read_log() or process.poll() is not None)
                assert process.poll() is None, process.read_log()
                yield process
            finally:
                if process.poll() is None:
                    process.terminate()
                process.wait(60)
                assert "Traceback" not in process.read_log(), process.read_log()

    def runs(self):
        """(ID, status) of each run of a workflow, the newest first."""

        async def list_runs(client):
            return [(run.id, run.status.name) async for run in client.list_workflows()]

        return self.server.ask(self.namespace, list_runs)

    def workflows(self):
        """The status of each workflow by its ID, the last run of each."""
        return dict(reversed(self.runs()))

    def await_runs(self, condition, **options):
        """Return the answer of `condition`, which asks the engine, once it is true."""
        return awaited(condition, pause=0.2, **options)

    def history(self, id_):
        """The events of the last run of a workflow."""

        async def fetch(client):
            return await client.get_workflow_handle(id_).fetch_history()

        return self.server.ask(self.namespace, fetch).to_json_dict()["events"]


def decode_history(events):
    """Everything that a history holds, as text: payloads are base64 in the export."""
    text = json.dumps(events)
    payloads = re.findall(r'"data": "([A-Za-z0-9+/=]+)"', text)
    return text + "".join(base64.b64decode(data).decode("utf-8", "replace") for data in payloads)


def read_input(history):
    """The argument of a run of a workflow."""
    started = history[0]["workflowExecutionStartedEventAttributes"]
    (payload,) = started["input"]["payloads"]
    return json.loads(base64.b64decode(payload["data"]))


def drop_times(report):
    """The document of a fleet without what differs between two runs at the same state."""
    plain = json.loads(json.dumps(report))
    for target in plain["targets"]:
        del target["seconds"]
    return plain


def gated_world(*keys, **organization):
    """A world in which each of these flags is switched on only with an approval."""
    return acme.seed(
        projects=[
            {
                "name": "Web",
                "id": 1,
                "approval_policies": [acme.policy("feature_flag.enable")],
                "feature_flags": [acme.live_flag(key) for key in keys],
            }
        ],
        **organization,
    )
