"""Coverage on the terminal: a table by owner, the flags that lose coverage, documents to add."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from reconciler.render.shared.options import RenderOptions
from reconciler.render.shared.phrases import count
from reconciler.render.shared.sanitize import escape
from reconciler.render.text.terminal import paint

_HEAD: Final = ("OWNER", "FLAGS", "COVERED NOW", "AFTER HAND-OVER", "LOSE COVERAGE")
_UNKNOWN: Final = "unknown"


def coverage(
    rows: list[Mapping[str, Any]], documents: Iterable[str], options: RenderOptions
) -> str:
    """Return the report; `after` means after PostHog's hand-over."""
    if not rows:
        return "No flags."
    return "\n".join(
        (*_list_totals(rows, options), *_list_losing(rows, options), *_list_documents(documents))
    )


def _list_totals(rows: list[Mapping[str, Any]], options: RenderOptions) -> Iterator[str]:
    """Yield a table with one line per owner."""
    lines = [_HEAD]
    for owner in dict.fromkeys(row["owner"] for row in rows):
        owned = [row for row in rows if row["owner"] == owner]
        counts = (
            len(owned),
            *(sum(1 for row in owned if row[key]) for key in ("now", "after", "loses")),
        )
        lines.append((owner, *map(str, counts)))
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    for number, line in enumerate(lines):
        cells = [line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]
        text = escape("  ".join(cells))
        yield text if number else paint(text, "dim", on=options.color)


def _list_losing(rows: list[Mapping[str, Any]], options: RenderOptions) -> Iterator[str]:
    """Yield the flags that lose coverage, each with the policies that cover it now."""
    losing = [row for row in rows if row["loses"]]
    yield ""
    if not losing:
        yield "No flag loses coverage in the hand-over."
        return
    verb = "loses" if len(losing) == 1 else "lose"
    yield paint(f"{count(len(losing), 'flag')} {verb} coverage:", "yellow", on=options.color)
    for row in losing:
        now, after = (
            ", ".join(str(policy).rpartition("/")[2] for policy in row[key]) or "nothing"
            for key in ("now", "after")
        )
        yield escape(f"  {row['address']} ({row['owner']}): now {now}; after {after}")
    if any(row["owner"] == _UNKNOWN for row in losing):
        yield "unknown: a survey refers to the flag or owns it; if it owns it, coverage is lost."
    yield "Then no policy covers flags of surveys, product tours and early access features."


def _list_documents(documents: Iterable[str]) -> Iterator[str]:
    """Yield the documents as YAML."""
    texts = list(documents)
    if not texts:
        return
    yield ""
    yield "Policies that keep the flags of experiments covered. PostHog leaves its own copies at"
    yield "the hand-over, and refuses these before it:"
    for text in texts:
        yield "---"
        yield from map(escape, text.splitlines())
