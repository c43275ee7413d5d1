"""The findings of a plan: worst first, each with its place, its line of the file, why and fix."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from reconciler.model import Finding, Plan
from reconciler.render.html.components import text
from reconciler.render.shared import summary
from reconciler.render.shared.findings import excerpt
from reconciler.render.shared.phrases import count

_SHOWN: Final = 12  # the rest is folded


def section(plan: Plan) -> Iterator[str]:
    """All of them."""
    found = iter(summary.findings(plan))
    first = list(islice(found, _SHOWN))
    rest = list(found)
    if not first:
        return
    yield '<section id="findings"><h2>Findings</h2>'
    yield from map(card, first)
    if rest:
        yield f'<details class="notice"><summary>{count(len(rest), "more finding")}</summary>'
        yield from map(card, rest)
        yield "</details>"
    yield "</section>"


def card(one: Finding) -> str:
    """One finding."""
    place = f'<span class="place">{text(one.source)}</span>' if one.source else ""
    about = f" <code>{text(one.address)}</code>" if one.address is not None else ""
    rows = [
        f'<p><b class="severity">{one.severity}</b> {text(one.message)}</p>',
        f'<p class="about">{place}{about}</p>' if place or about else "",
    ]
    if lines := list(excerpt(one)):
        shown = "\n".join(text(line) for line in lines)
        rows.append(f"<pre>{shown}</pre>")
    for label, said in (("why", one.why), ("fix", one.fix)):
        if said:
            rows.append(f'<p><span class="label">{label}</span> {text(said)}</p>')
    return f'<div class="finding {one.severity}">{"".join(rows)}</div>'
