"""A target on the terminal: its resources one per line, and its status."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.model import format_time
from reconciler.render.shared.options import RenderOptions
from reconciler.render.shared.phrases import count, describe_unappliable, shorten_id
from reconciler.render.shared.sanitize import count_columns, escape
from reconciler.render.text.terminal import paint, wrap

_COMMIT: Final = 10  # characters of a commit that are shown


def listing(rows: list[Mapping[str, Any]], options: RenderOptions) -> str:
    """Return one address per line, with file and line of its document if there is one."""
    addresses = [escape(row["address"]) for row in rows]
    width = max(map(count_columns, addresses), default=0)
    lines = []
    for address, row in zip(addresses, rows, strict=True):
        source = row["source"]
        if source is None:
            lines.append(address)
            continue
        place = paint(escape(f"{source['file']}:{source['line']}"), "dim", on=options.color)
        lines.append(f"{address}{' ' * (width - count_columns(address))}  {place}")
    return "\n".join(lines)


def status(status: Mapping[str, Any], options: RenderOptions) -> str:
    """Return what was applied last, what is new since then, and which requests are open."""
    facts = [("target", f"{status['target']} ({status['host']})"), *_list_commits(status)]
    lines = [f"{label + ':':<10}{escape(text)}" for label, text in facts]
    requests = status["requests"]
    lines.append(f"{'requests:':<10}{len(requests):,} open")
    for request in requests:
        lines += _describe_request(request, options)
    return "\n".join(lines)


def _list_commits(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    base = status["base"]
    if base is None:
        yield "base", "none; the first complete apply records one"
    else:
        at = f", applied {format_time(base['at'])}" if base["at"] else ""
        yield "base", f"{base['commit'][:_COMMIT]} ({base['ref']}){at}"
    since = "since then" if base is not None else "in all"
    dirty = status["dirty"]
    files = f"; {count(dirty, 'file')} not committed" if dirty else ""
    yield "commits", f"{status['commits_since']:,} {since}{files}"


def _describe_request(request: Mapping[str, Any], options: RenderOptions) -> Iterator[str]:
    yield f"  {paint(escape(request['address']), 'bold', on=options.color)}"
    facts = (request["action_key"], shorten_id(request["id"]), f"by {request['requester']}")
    yield escape(f"    {', '.join(facts)}; expires {format_time(request['expires_at'])}")
    people = ", ".join(request["waiting_for"])
    waits = f"waits for {people}" if people else "waits for nobody that this key can see"
    yield escape(f"    {'approved, not applied yet' if request['is_approved'] else waits}")
    if request["unappliable"] is not None:
        text = describe_unappliable(request["unappliable"])
        yield from wrap(escape(text), indent="    ", width=options.width)
