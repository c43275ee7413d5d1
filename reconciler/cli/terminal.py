"""What the place that output goes to is able to do: colours, links, signs beyond ASCII."""

import codecs
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO

import click

from reconciler.errors import DeclinedError, UsageError

# Terminals that open OSC 8 links; others may print them as they are.
_PROGRAMS = frozenset({"iTerm.app", "WezTerm", "vscode", "Hyper", "ghostty", "Tabby", "rio"})
_TERMS = frozenset({"xterm-kitty", "alacritty", "foot", "foot-extra", "xterm-ghostty", "contour"})
_VTE = 5000  # GNOME Terminal and its relatives, from 0.50 on
_PLAIN = {
    "→": "->",
    "…": "...",
    "⏸": "(wait)",
    "‼": "!!",
    "✗": "x",
    "✓": "ok",
    "»": ">>",
    "↻": "~",
    "█": "#",
    "░": ".",
    "·": "-",
}


def colors(choice: str, stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Return whether to colour what goes to `stream`; NO_COLOR and FORCE_COLOR are honoured."""
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return environ["FORCE_COLOR"] != "0"
    return stream.isatty() and environ.get("TERM") != "dumb"


def opens_links(stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Return whether `stream` is a terminal that opens links; FORCE_HYPERLINK decides if set."""
    if forced := environ.get("FORCE_HYPERLINK"):
        return forced != "0"
    if not stream.isatty() or environ.get("CI") or environ.get("TMUX"):
        return False
    version = environ.get("VTE_VERSION", "")
    return (
        environ.get("TERM_PROGRAM") in _PROGRAMS
        or environ.get("TERM") in _TERMS
        or bool(environ.get("WT_SESSION") or environ.get("KONSOLE_VERSION"))
        or (version.isdecimal() and int(version) >= _VTE)
    )


def is_file(stream: IO[str]) -> bool:
    """Return whether a stream goes to a regular file: nobody sees it now."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def read_size(stream: IO[str]) -> tuple[int, int]:
    """Return columns and rows of a terminal at this moment; it may not know them, and says 0."""
    size = os.terminal_size((0, 0))
    with suppress(OSError, ValueError):
        size = os.get_terminal_size(stream.fileno())
    return max(20, size.columns or 80), max(3, size.lines or 24)


def fit(text: str, stream: IO[str]) -> str:
    """Return text whose lines fit on the terminal; unchanged if `stream` is not a terminal."""
    if not stream.isatty():
        return text
    from reconciler.render.text import terminal  # noqa: PLC0415  --help does without

    return terminal.fit_lines(text, read_size(stream)[0])


def can_ask() -> bool:
    """Return whether somebody can answer a question: a process may have no standard input."""
    return sys.stdin is not None and sys.stdin.isatty()


def require_answer(command: str, *, yes: bool) -> None:
    """Refuse a command that asks before it writes where nobody can answer (64)."""
    if not yes and not can_ask():
        raise UsageError(
            f"{command} asks before it writes, and there is no terminal to ask on",
            fix="add --yes, or run it on a terminal",
        )


def confirm(question: str, *, name: str | None = None) -> None:
    """Ask on the terminal before something is done.

    Args:
        question: a yes/no question.
        name: what has to be typed instead of `y`, if it is that important.

    Raises DeclinedError if the answer is not yes.

    """
    if name is None:
        text = fit(f"{question} [y/N]:", sys.stderr)
        is_confirmed = click.confirm(text, prompt_suffix=" ", show_default=False, err=True)
    else:
        click.echo(fit(question, sys.stderr), err=True)
        prompt = "Type the name of the target to confirm"
        typed = click.prompt(prompt, default="", show_default=False, err=True)
        is_confirmed = typed.strip() == name
    if not is_confirmed:
        raise DeclinedError("Cancelled. Nothing was changed.")


def _replace_sign(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return our own signs in ASCII, everything else as an escape: nothing is lost."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    return _PLAIN.get(sign, sign.encode("ascii", "backslashreplace").decode()), error.start + 1


def accept_any_text(stream: IO[str]) -> None:
    """Let the stream take any text from here on, whatever its encoding lacks."""
    codecs.register_error("plainly", _replace_sign)
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="plainly")
