# ruff: noqa: INP001  a script, no package
"""The main job from start to finish, against the embedded sandbox: `make demo`.

Runs the console script as a person would type it, and shows what it prints. Leaves nothing
behind: the server is stopped, the folder it worked in is removed.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

RECONCILER = str(Path(sys.executable).parent / "reconciler")
ROOT = Path(__file__).resolve().parent.parent
ACME = ROOT / "examples" / "acme"
KEYS = {name: f"phx_acme_{name}" for name in ("ci", "alice", "bob")}
READY = "sandbox listening on "
DONE, DRIFTED, WAITING = 0, 2, 3  # exit codes: reconciler's docs/exit-codes.md
GRACE_S = 60  # for a server to stop
MOST_ROUNDS = 4  # of approval, before the demo takes it that apply does not converge
NEW_CHECKOUT = "FeatureFlag/acme/Web/new-checkout"


class UnexpectedError(Exception):
    """A command did not do what the story says."""


@dataclass(frozen=True)
class Shown:
    """What a command left on the screen."""

    code: int
    text: str


@dataclass(frozen=True)
class Desk:
    """A configuration repository, and the server on which its changes are made."""

    folder: Path
    server: dict[str, str]  # the variable that names the server
    timeout_s: float = 60  # of a command

    def run(
        self,
        *arguments: str,
        expect: int | tuple[int, ...],
        person: str = "ci",
        cut: Callable[[list[str]], list[str]] = list,
    ) -> Shown:
        """Type a command as `person` and show what it prints; `cut` leaves out what was seen."""
        key = "" if person == "ci" else f"POSTHOG_API_KEY={KEYS[person]} "
        say(f"\n$ {key}{shlex.join(['reconciler', *arguments])}")
        done = self._call(arguments, person, errors=subprocess.STDOUT)
        say("\n".join(cut(done.stdout.rstrip().splitlines())))
        say(f"(exit code {done.returncode})")
        if done.returncode not in (expect if isinstance(expect, tuple) else (expect,)):
            raise UnexpectedError(f"expected exit code {expect}, got {done.returncode}")
        return Shown(done.returncode, done.stdout)

    def pending(self) -> list[str]:
        """Ids of the change requests that wait, oldest first."""
        found = self.ask("requests", "list", "--state", "pending")
        return [request["id"] for request in reversed(found)]

    def request_for(self, address: str) -> str:
        """Id of the change request that a resource waits for."""
        for change in self.ask("plan")["changes"]:
            if change["address"] == address and change["gate"]["verdict"] == "pending":
                return str(change["gate"]["change_request"])
        raise UnexpectedError(f"the plan knows of no change request for {address}")

    def environment(self, person: str = "ci") -> dict[str, str]:
        """Return the environment of a person: the address of the server, and a key."""
        return {**clean_environment(), **self.server, "POSTHOG_API_KEY": KEYS[person]}

    def ask(self, *arguments: str) -> Any:
        """Return what a command prints for a script; not shown."""
        done = self._call((*arguments, "--format", "json"), "ci", errors=subprocess.PIPE)
        if done.returncode != DONE:
            raise UnexpectedError(f"reconciler {shlex.join(arguments)}\n{done.stderr}")
        return json.loads(done.stdout)

    def _call(
        self, arguments: tuple[str, ...], person: str, *, errors: int
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [RECONCILER, *arguments],
            cwd=self.folder,
            env=self.environment(person),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            timeout=self.timeout_s,
            check=False,
        )


def main() -> int:
    """Tell the story; 0 if it went as told."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="acme-") as folder, sandbox() as host:
            story(Desk(repository(Path(folder) / "acme"), {"POSTHOG_HOST": host}))
    except UnexpectedError as error:
        say(f"\nThe demo failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nThe demo was interrupted.")
        return 130
    say(f"\nThe files and PostHog agree, after {time.monotonic() - began:.0f} s: No changes.")
    return 0


def story(desk: Desk) -> None:
    """Every step that a team takes between a merged pull request and `No changes`."""
    tell("Check the files. This contacts nothing.")
    desk.run("validate", expect=DONE)

    tell("Somebody changed a flag in PostHog. drift shows who, and what.")
    desk.run("drift", "--select", "FeatureFlag/acme/Web/onboarding-tour", expect=DRIFTED)

    tell("What would change, and who will have to approve it? Reads only.")
    desk.run("plan", expect=DONE)

    tell("Apply. Gated changes are filed as change requests, and wait for approval: exit code 3.")
    desk.run("apply", "--yes", expect=WAITING, cut=from_its_summary)
    desk.run("requests", "list", expect=DONE)

    tell("Plan again. The plan shows which changes are waiting; no request is filed twice.")
    desk.run("plan", expect=DONE)

    approve_new_checkout(desk)
    approve_the_rest(desk)
    for _ in range(MOST_ROUNDS):
        tell("Apply again: it finishes the approved changes.")
        if desk.run("apply", "--yes", expect=(DONE, WAITING)).code == DONE:
            break
        approve_the_rest(desk)
    else:
        raise UnexpectedError(f"still waiting after {MOST_ROUNDS} rounds of approval")

    tell("Nothing changed outside git, and nothing is left to do.")
    desk.run("drift", expect=DONE)
    if "No changes" not in desk.run("plan", "--detailed-exitcode", expect=DONE).text:
        raise UnexpectedError("the plan does not say `No changes`")


def approve_new_checkout(desk: Desk) -> None:
    """One request in full: who may, two votes, done."""
    request = desk.request_for(NEW_CHECKOUT)
    tell("Alice looks at a request with her own key. It needs two approvals.")
    desk.run("requests", "show", request, expect=DONE, person="alice")
    vote = ("requests", "approve", request, "--yes")
    desk.run(*vote, expect=DONE, person="alice", cut=first_lines)
    tell("One approval of two: it still waits.")
    desk.run("requests", "wait", request, "--timeout", "1s", expect=WAITING)
    tell("Bob gives the second approval. PostHog applies the change immediately.")
    desk.run(
        *vote, "--reason", "the load test is green", expect=DONE, person="bob", cut=first_lines
    )


def approve_the_rest(desk: Desk) -> None:
    """Everything that waits, by Alice and, where it takes two, by Bob; then wait for all."""
    waiting = desk.pending()
    if not waiting:
        raise UnexpectedError("nothing waits for approval")
    tell("Approve the other requests.")
    for person in ("alice", "bob"):
        for request in desk.pending():
            vote = ("requests", "approve", request, "--yes")
            desk.run(*vote, expect=DONE, person=person, cut=first_lines)
    desk.run("requests", "wait", *waiting, "--timeout", "10s", expect=DONE)


def repository(folder: Path) -> Path:
    """Create a copy of examples/acme as a git repository of one commit."""
    shutil.copytree(ACME, folder, ignore=shutil.ignore_patterns(".reconciler"))
    commit_all(folder, "PostHog as code")
    return folder


def commit_all(folder: Path, message: str) -> None:
    """Create a git repository in a folder, with one commit."""
    identity = ("-c", "user.name=Acme", "-c", "user.email=ci@acme.test", "-c", "commit.gpgsign=no")
    for arguments in (
        ("init", "--quiet", "--initial-branch", "main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message", message),
    ):
        subprocess.run(
            ["git", *identity, *arguments], cwd=folder, env=clean_environment(), check=True
        )


@contextmanager
def sandbox() -> Iterator[str]:
    """Run a sandbox with Acme's world; yield its address."""
    seed = str((ACME / "seed.yaml").relative_to(ROOT))
    with start("sandbox", "--port", "0", "--seed", seed, cwd=ROOT, ready=READY) as (_, line):
        yield line.removeprefix(READY)


@contextmanager
def start(
    *words: str, cwd: Path, ready: str, environment: dict[str, str] | None = None
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run a server until the block ends; yield it with the line that says that it is ready."""
    say(f"$ {shlex.join(['reconciler', *words])}")
    process = subprocess.Popen(
        [RECONCILER, *words],
        cwd=cwd,
        env=environment or clean_environment(),
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        line = process.stdout.readline().strip() if process.stdout else ""
        if not line.startswith(ready):
            raise UnexpectedError(f"{words[0]} did not start: {line or 'it printed nothing'}")
        say(line)
        yield process, line
    finally:
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def clean_environment() -> dict[str, str]:
    """Return this environment without variables that would redirect the program or git."""
    prefixes = ("POSTHOG_", "RECONCILER_", "GIT_", "GITHUB_", "CI")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    if sys.stdout.isatty() and not kept.get("NO_COLOR"):
        kept["FORCE_COLOR"] = "1"
    return {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def from_its_summary(lines: list[str]) -> list[str]:
    """Without the plan that was shown a moment ago."""
    start = next((n for n, line in enumerate(lines) if line.startswith("Plan: ")), 0)
    return [f"… the plan, {start} lines", *lines[start:]] if start else lines


def first_lines(lines: list[str]) -> list[str]:
    """Return the outcome of a vote, without its request."""
    shown = 3
    return [*lines[:shown], f"… {len(lines) - shown} lines"] if len(lines) > shown + 1 else lines


def tell(sentence: str) -> None:
    """One sentence between two commands."""
    say(f"\n# {sentence}")


def say(text: str) -> None:
    """Print a line of the demo, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
