"""Running git: argument lists, no hook, no monitor, no network, none of git's own variables.

`talk` alone may use the network. Nothing here knows what is asked.
"""

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from reconciler.errors import GitError
from reconciler.posthog import credentials

TIMEOUT_S: Final = 60
OLDEST: Final = (2, 24)  # the first that knows --end-of-options
DEEPEN: Final = "fetch the whole history: `fetch-depth: 0` in actions/checkout, `GIT_DEPTH: 0` in GitLab, else `git fetch --unshallow`"  # noqa: E501  one sentence

_USAGE: Final = 129  # how git ends when it does not know an option
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
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s]+@")


def output(arguments: Sequence[str], cwd: Path, *, stdin: bytes = b"") -> bytes:
    """Output of a git command that has to succeed; GitError with git's last words if not."""
    done = run(arguments, cwd, stdin=stdin)
    if done.returncode != 0:
        raise GitError(f"git {arguments[0]} failed", why=last_line(done.stderr))
    return done.stdout


def run(
    arguments: Sequence[str], cwd: Path, *, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """A git command that reads, or moves a ref of this repository. It cannot reach a network."""
    environ = _environment(()) | {"GIT_ALLOW_PROTOCOL": ""}
    try:
        done = subprocess.run(
            _command(arguments, (*_SETTINGS, *_OFFLINE)),
            cwd=cwd,
            env=environ,
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise _missing() from None
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise GitError(f"git {arguments[0]} did not answer", why=str(problem)[:200]) from None
    _check(done, arguments, cwd)
    return done


def talk(
    arguments: Sequence[str], cwd: Path, *, timeout_s: float = TIMEOUT_S
) -> subprocess.CompletedProcess[bytes]:
    """A git command that may reach a remote, with the credentials that git itself has.

    Nobody is asked for a password: it has no terminal. Whatever it started ends with it.
    """
    try:
        process = subprocess.Popen(
            _command(arguments, _SETTINGS),
            cwd=cwd,
            env=_environment(_REMOTE),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise _missing() from None
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
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _command(arguments: Sequence[str], settings: Sequence[str]) -> list[str]:
    words = [word for setting in settings for word in ("-c", setting)]
    return ["git", "--no-pager", *words, *arguments]


def _environment(also: Sequence[str]) -> dict[str, str]:
    """Return the environment for git: without keys of PostHog and most of git's own variables.

    What configures git stays, and what begins with one of `also`. git may run programs that the
    configuration of the user names (credential helpers, ssh): none of them needs the key.
    """
    environ = os.environ  # noqa: TID251  a child process gets a part of it
    kept = {
        name: value
        for name, value in environ.items()
        if (not name.startswith("GIT_") or name.startswith(("GIT_CONFIG", *also)))
        and not credentials.may_hold_key(name, environ)
    }
    return kept | _FIXED


def _missing() -> GitError:
    return GitError(
        "git is not installed, or not on PATH",
        why="this folder is in a git repository: what was applied last stands in it",
        fix=f"install git {'.'.join(map(str, OLDEST))} or newer, in CI into the job's image",
    )


def partial_clone() -> GitError:
    """What was asked for is not here, and nothing is ever fetched."""
    return GitError(
        "git lacks files of a commit",
        why="this is a partial clone, and nothing is ever fetched",
        fix="clone without --filter, in actions/checkout without `filter`",
    )


def _check(done: subprocess.CompletedProcess[bytes], arguments: Sequence[str], cwd: Path) -> None:
    """Raise for what no caller can make sense of.

    git has one exit code for all of it: only its text tells them apart.
    """
    if b"promisor remote" in done.stderr:
        raise partial_clone()
    if b"dubious ownership" in done.stderr:
        raise GitError(
            f"git refuses to read {cwd.name}",
            why="the folder belongs to another user",
            fix=f"git config --global --add safe.directory {cwd}",
        )
    if done.returncode == _USAGE and arguments != ["--version"]:
        said = run(["--version"], cwd).stdout.decode("ascii", "replace")
        found = re.search(r"(\d+)\.(\d+)\S*", said)
        if found and (int(found[1]), int(found[2])) < OLDEST:
            raise GitError(
                f"git {found[0]} is too old",
                why=f"it does not know what `git {arguments[0]}` is asked with",
                fix=f"install git {'.'.join(map(str, OLDEST))} or newer",
            )


def last_line(stderr: bytes) -> str:
    """The last of what git said, for people: no credentials, no control characters."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    text = lines[-1].removeprefix("fatal: ").removeprefix("error: ") if lines else ""
    shown = "".join(one if one.isprintable() else "?" for one in _CREDENTIALS.sub("", text))
    return shown[:300]
