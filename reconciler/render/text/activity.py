"""The activity log on the terminal: a line an entry, its changes below, newest first."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from reconciler.model import ABSENT, Payload, format_time
from reconciler.render.shared.options import RenderOptions
from reconciler.render.shared.sanitize import count_columns, escape
from reconciler.render.text.style import TextStyle, format_difference
from reconciler.render.text.terminal import paint

_STYLES: Final = {"created": "green", "deleted": "red", "updated": "yellow"}
_MOST: Final = 20  # values of one filter that are shown


def activity(rows: Iterable[Mapping[str, Any]], options: RenderOptions) -> str:
    """Return rows of `shared.activity.row`, in the order they came."""
    look = TextStyle(options.color, options.width)
    lines = [line for row in rows for line in _format_entry(row, look)]
    return "\n".join(lines) if lines else "No entries."


def _format_entry(row: Mapping[str, Any], look: TextStyle) -> Iterator[str]:
    when = look.paint(escape(format_time(row["created_at"])), "dim")
    what = look.paint(escape(row["activity"]), _STYLES.get(row["activity"], ""))
    where = "/".join(part for part in (row["organization"], row["project"]) if part)
    name = row["name"] or row["item_id"] or ""
    thing = escape(f"{row['scope']} {where}{f'/{name}' if name else ''}")
    person = escape(row["person"]) + _describe_client(row, look)
    yield f"{when}  {person}  {what} {look.paint(thing, 'bold')}"
    moves = [(change["field"] or change["action"], change) for change in row["changes"]]
    wide = min(max((count_columns(escape(name)) for name, _ in moves), default=0), look.paths)
    for field, change in moves:
        sides = (_read_side(change["before"]), _read_side(change["after"]))
        yield from format_difference(field, sides, wide, look)


def _read_side(value: Any) -> Any:
    return ABSENT if value is None else value


def _describe_client(row: Mapping[str, Any], look: TextStyle) -> str:
    """Return the client, and whether it was somebody else in that person's name."""
    parts = [escape(str(row["client"]))] if row["client"] else []
    text = f" ({', '.join(parts)})" if parts else ""
    if row["was_impersonated"]:
        text += " " + look.paint("impersonated", "alarm")
    return text


def activity_filters(payload: Payload, options: RenderOptions) -> str:
    """Return the values that each filter takes here, and the fields that `--detail` can read."""
    lines: list[str] = []
    static = payload.get("static_filters")
    for name, values in (static if isinstance(static, Mapping) else {}).items():
        lines.append(paint(escape(str(name)), "bold", on=options.color))
        lines += [f"  {line}" for line in _format_values(values)]
    fields = payload.get("detail_fields")
    for scope, about in (fields if isinstance(fields, Mapping) else {}).items():
        lines.append(paint(escape(f"detail fields of {scope}"), "bold", on=options.color))
        listed = about.get("fields") if isinstance(about, Mapping) else ()
        lines += [
            f"  {escape(_format_field(field))}"
            for field in listed or ()
            if isinstance(field, Mapping)
        ]
    if not lines:
        return "PostHog offers no values to filter by here (not computed yet, or an empty log)."
    return "\n".join(lines)


def _format_values(values: Any) -> Iterator[str]:
    every = [value for value in values or () if isinstance(value, Mapping)]
    for value in every[:_MOST]:
        label = f"  {value['label']}" if value.get("label") else ""
        yield escape(f"{value.get('value')}{label}")
    if len(every) > _MOST:
        yield f"… {len(every) - _MOST} more (--format json has all)"
    if not every:
        yield "(none)"


def _format_field(entry: Mapping[str, Any]) -> str:
    kinds = entry.get("types")
    return f"{entry.get('name')}  {', '.join(map(str, kinds))}" if kinds else str(entry.get("name"))
