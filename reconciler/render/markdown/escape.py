"""Foreign text in Markdown: in a sentence, in a tag, in a code span, in a fence."""

import html
from collections.abc import Iterable
from typing import Final

from reconciler.lazy_pattern import compile_later
from reconciler.render.shared.sanitize import clip, escape

NAME: Final = 200  # columns of a name
LINE: Final = 400  # columns of a line
_SENTENCE: Final = 800
_MARKUP: Final = compile_later(r"([\\`*_\[\]#|~:$.])")
_START: Final = compile_later(r"^(\d*)([-+=)])")  # where a line begins, these make a list or a rule
# What GitHub or GitLab takes for a person, an issue, a merge request, a snippet, a milestone …
_PINGS: Final = compile_later(r"[@#!$%&~](?=\S)|\bGH-(?=\d)")
_RUN: Final = compile_later("`+")


def escape_prose(text: str) -> str:
    """Return foreign text for a sentence: no markup, no tags, no mentions, no links."""
    shown = html.escape(_break_mentions(clip(escape(text).strip(), _SENTENCE)), quote=False)
    return _START.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", shown))


def escape_tag(text: str) -> str:
    """Return foreign text for between HTML tags, never for inside of a tag."""
    return html.escape(_break_mentions(clip(escape(text), NAME)), quote=False)


def format_code_tag(text: str) -> str:
    """Return foreign text as a `<code>` element of an HTML block: it can be copied as it is shown.

    Nothing in it needs a joiner: code hosts link no person and no issue inside `<code>`.
    """
    return f"<code>{html.escape(clip(escape(text), NAME), quote=False)}</code>"


def _break_mentions(text: str) -> str:
    """Put a zero-width joiner behind what would mention a person or link an issue."""
    return _PINGS.sub("\\g<0>\u200d", text)


def format_code(text: str) -> str:
    """Return foreign text as a code span, whatever backticks it holds."""
    shown = clip(escape(text), NAME)
    ticks = "`" * (_find_longest_run(shown) + 1)
    pad = " " if not shown or "`" in (shown[0], shown[-1]) or shown.isspace() else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def format_fence(lines: Iterable[str], info: str = "") -> str:
    """Return foreign lines in a fence that is longer than any run of backticks in them."""
    shown = [clip(escape(line), LINE) for line in lines]
    ticks = "`" * max(3, _find_longest_run("\n".join(shown)) + 1)
    return "\n".join((f"{ticks}{info}", *shown, ticks))


def _find_longest_run(text: str) -> int:
    return max(map(len, _RUN.findall(text)), default=0)
