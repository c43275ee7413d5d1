"""Run git: argument lists, no hook, no monitor, no network, none of git's own variables.

Only `run_with_remote` may use the network. No command is known by name here.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from reconciler.errors import GitError
from reconciler.lazy_pattern import compile_later
from reconciler.operating_system import kill_group
from reconciler.posthog import credentials

TIMEOUT_S: Final = 60
OLDEST: Final = (2, 24)  # the first that knows --end-of-options
DEEPEN: Final = "fetch the whole history: `fetch-depth: 0` in actions/checkout, `GIT_DEPTH: 0` in GitLab, else `git fetch --unshallow`"  # noqa: E501  one sentence

_USAGE: Final = 129  # git's exit code for an unknown option
_SETTINGS: Final = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.untrackedCache=false",
    "gc.auto=0",
    "maintenance.auto=false",
)
_OFFLINE: Final = ("protocol.allow=never",)
_FIXED: Final = {
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_REMOTE: Final = ("GIT_SSH", "GIT_ASKPASS", "GIT_SSL_", "GIT_PROXY_SSL_", "GIT_HTTP_")
_CREDENTIALS: Final = compile_later(r"(?<=://)[^/@\s]+@")


def read_output(arguments: Sequence[str], cwd: Path, *, stdin: bytes = b"") -> bytes:
    """Return the output of a git command; GitError with git's last line if it fails."""
    result = run_offline(arguments, cwd, stdin=stdin)
    if result.returncode != 0:
        raise GitError(f"git {arguments[0]} failed", why=find_last_line(result.stderr))
    return result.stdout


def run_offline(
    arguments: Sequence[str], cwd: Path, *, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a git command that reads, or moves a ref of this repository, without a network."""
    environ = _build_environment(()) | {"GIT_ALLOW_PROTOCOL": ""}
    try:
        result = subprocess.run(
            _build_command(arguments, (*_SETTINGS, *_OFFLINE)),
            cwd=cwd,
            env=environ,
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise _make_missing_error() from None
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise GitError(f"git {arguments[0]} did not answer", why=str(problem)[:200]) from None
    _check_failure(result, arguments, cwd)
    return result


def run_with_remote(
    arguments: Sequence[str], cwd: Path, *, timeout_s: float = TIMEOUT_S
) -> subprocess.CompletedProcess[bytes]:
    """Run a git command that may reach a remote, with git's own credentials.

    It has no terminal, so it never asks for a password. Its child processes end with it.
    """
    try:
        process = subprocess.Popen(
            _build_command(arguments, _SETTINGS),
            cwd=cwd,
            env=_build_environment(_REMOTE),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise _make_missing_error() from None
    except OSError as problem:
        raise GitError(f"git {arguments[0]} did not answer", why=str(problem)[:200]) from None
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise GitError(
            f"git {arguments[0]} did not answer", why=f"no answer within {timeout_s:g} s"
        ) from None
    finally:
        if process.poll() is None:
            kill_group(process)
            process.wait()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _build_command(arguments: Sequence[str], settings: Sequence[str]) -> list[str]:
    words = [word for setting in settings for word in ("-c", setting)]
    return ["git", "--no-pager", *words, *arguments]


def _build_environment(prefixes: Sequence[str]) -> dict[str, str]:
    """Return the environment for git: without keys of PostHog and most of git's own variables.

    Variables that configure git, or begin with one of `also`, stay. Git may run programs that the
    user's configuration names (credential helpers, ssh): none of them needs the key.
    """
    environ = os.environ  # noqa: TID251  a child process gets a part of it
    kept = {
        name: value
        for name, value in environ.items()
        if (not name.startswith("GIT_") or name.startswith(("GIT_CONFIG", *prefixes)))
        and not credentials.may_hold_key(name, environ)
    }
    return kept | _FIXED


def _make_missing_error() -> GitError:
    return GitError(
        "git is not installed, or not on PATH",
        why="this folder is in a git repository, which records what was applied last",
        fix=f"install git {'.'.join(map(str, OLDEST))} or newer, in CI into the job's image",
    )


def make_partial_clone_error() -> GitError:
    """Return the error for objects that a partial clone lacks."""
    return GitError(
        "git lacks files of a commit",
        why="this is a partial clone, and reconciler never fetches",
        fix="clone without --filter, in actions/checkout without `filter`",
    )


def _check_failure(
    result: subprocess.CompletedProcess[bytes], arguments: Sequence[str], cwd: Path
) -> None:
    """Raise GitError for failures that no caller handles.

    Git has one exit code for all of them: only its text distinguishes them.
    """
    if b"promisor remote" in result.stderr:
        raise make_partial_clone_error()
    if b"dubious ownership" in result.stderr:
        raise GitError(
            f"git refuses to read {cwd.name}",
            why="the folder belongs to another user",
            fix=f"git config --global --add safe.directory {cwd}",
        )
    if result.returncode == _USAGE and arguments != ["--version"]:
        output = run_offline(["--version"], cwd).stdout.decode("ascii", "replace")
        version = re.search(r"(\d+)\.(\d+)\S*", output)
        if version and (int(version[1]), int(version[2])) < OLDEST:
            raise GitError(
                f"git {version[0]} is too old",
                why=f"it does not know an option of `git {arguments[0]}`",
                fix=f"install git {'.'.join(map(str, OLDEST))} or newer",
            )


def find_last_line(stderr: bytes) -> str:
    """Return git's last line for people, without credentials and control characters."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    text = lines[-1].removeprefix("fatal: ").removeprefix("error: ") if lines else ""
    printable = "".join(
        character if character.isprintable() else "?" for character in _CREDENTIALS.sub("", text)
    )
    return printable[:300]
