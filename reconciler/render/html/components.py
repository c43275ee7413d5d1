"""What every part of the page is made of. `text` is the one way to print a foreign string."""

from collections.abc import Iterable
from html import escape
from typing import Final

from reconciler.render.shared.phrases import Phrase, Tone
from reconciler.render.shared.sanitize import escape as quiet
from reconciler.render.shared.sanitize import page

_TONES: Final = {Tone.WAIT: "wait", Tone.LOUD: "loud", Tone.STOP: "stop"}


def text(value: object) -> str:
    """The one escape function: for text between tags and for attribute values in quotes."""
    return escape(quiet(str(value)), quote=True)


def lines(rows: Iterable[object]) -> str:
    """Foreign lines, one below the other."""
    return "\n".join(map(text, rows))


def link(shown: str, url: str | None, host: str) -> str:
    """Escaped text that opens a page of the plan's own host; as it is if the page is elsewhere."""
    if not url or not page(url, host):
        return shown
    return f'<a href="{text(url)}" rel="noopener noreferrer">{shown}</a>'


def link_after(shown: str, url: str | None, host: str) -> str:
    """Return a link to put behind a sentence; nothing if the page is not of the plan's host."""
    return f" {link(shown, url, host)}" if url and page(url, host) else ""


def tone(found: Tone) -> str:
    """The class of a box that says something so loudly."""
    return _TONES[found]


def box(said: Phrase, *, more: str = "") -> str:
    """A sentence with its mark, and what is worth adding to it."""
    notes = "".join(f"<p>{text(note)}</p>" for note in said.more)
    first = f"<p>{mark(said.mark)} {text(said.text)}{more}</p>"
    return f'<div class="box {tone(said.tone)}">{first}{notes}</div>'


def mark(sign: str) -> str:
    """A sign that says how it is; one that most fonts of browsers have."""
    return f'<span class="mark" aria-hidden="true">{text("‖" if sign == "⏸" else sign)}</span>'


def count(number: int, name: str, *, key: str, look: str) -> str:
    """A tile with a number; `key` says which one it is."""
    kind = "tile zero" if not number else f"tile {look}"
    return f'<li class="{kind}"><b data-count="{key}">{number:,}</b><span>{name}</span></li>'
