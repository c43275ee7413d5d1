"""A replay on the terminal: the answer, the changes concerned, the people, what is not known."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.model import format_time
from reconciler.render.shared.options import RenderOptions
from reconciler.render.shared.phrases import count
from reconciler.render.shared.sanitize import clip, count_columns, escape
from reconciler.render.text.terminal import paint, wrap

_HEAD: Final = ("AT", "FLAG", "BY", "ACTION", "WAITED", "WOULD WAIT")
_MOST: Final = 40  # rows of a table
_TIME: Final = 16  # characters of a time, to the minute
_NARROWEST: Final = 10  # columns of a flag and of a person
_LIMITS: Final = {  # name in the document -> singular, plural
    "without_before": ("change without the value before", "changes without the value before"),
    "without_after": ("change without the value after", "changes without the value after"),
    "undated": ("entry without a time, not counted", "entries without a time, not counted"),
    "gaps": ("write that is not logged", "writes that are not logged"),
    "creations_missing": (
        "flag of the window whose creation is not logged: older entries may be hidden",
        "flags of the window whose creation is not logged: older entries may be hidden",
    ),
    "policies_changed": (
        "policy changed in the window; the log does not show the previous policies",
        "policies changed in the window; the log does not show the previous policies",
    ),
    "elsewhere": ("entry of a project not shown here", "entries of projects not shown here"),
}


def replay(document: Mapping[str, Any], options: RenderOptions) -> str:
    """Return the document of a replay for a person."""
    sections = (
        _answer(document, options),
        _list_rows(document["rows"], options),
        _list_people(document, options),
        _list_unknown(document["rows"], options),
        _list_limits(document, options),
    )
    return "\n\n".join("\n".join(lines) for section in sections if (lines := list(section)))


def _answer(document: Mapping[str, Any], options: RenderOptions) -> Iterator[str]:
    """Yield the question and its answer."""
    window = document["window"]
    changes, would_wait = document["changes"], document["would_wait"]
    since = f"since {format_time(window['since'])}"
    if not changes:
        yield f"The activity log has no change of a flag {since}."
        return
    text = (
        f"Of {count(changes, 'change')} {since}, {would_wait:,} would have waited "
        f"instead of {document['waited']:,}."
    )
    if document["unknown"]:
        text += f" Not known: {document['unknown']:,}."
    for line in wrap(text, indent="", width=options.width, hang=""):
        yield paint(line, "bold", on=options.color)


def _list_rows(rows: list[Mapping[str, Any]], options: RenderOptions) -> Iterator[str]:
    """Yield the changes that waited or would have waited, as a table."""
    concerned = [row for row in rows if row["waited"] or row["would_wait"] is True]
    if not concerned:
        return
    shown = concerned if options.verbose else concerned[:_MOST]
    table = [_HEAD, *(_make_cells(row) for row in shown)]
    cells = [[escape(cell) for cell in line] for line in table]
    widths = [max(count_columns(line[n]) for line in cells) for n in range(len(_HEAD))]
    _narrow(widths, options)
    for number, line in enumerate(cells):
        text = "  ".join(
            _pad(clip(cell, width), width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        row = shown[number - 1] if number else None
        yield paint(text, _choose_style(row), on=options.color)
    if len(concerned) > len(shown):
        more = count(len(concerned) - len(shown), "more change")
        yield f"… {more}: --verbose shows them, --format json has every change"


def _make_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    would_wait = {True: "yes", False: "no"}.get(row["would_wait"], "?")
    return (
        format_time(row["at"])[:_TIME],
        str(row["address"]).split("/", 2)[2],
        row["person"] or "?",
        str(row["action_key"] or "").rpartition(".")[2],
        "yes" if row["waited"] else "no",
        would_wait,
    )


def _choose_style(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "dim"
    return "cyan" if row["would_wait"] is True and not row["waited"] else ""


def _narrow(widths: list[int], options: RenderOptions) -> None:
    """Shorten flags, then people, as far as a line is wider than the terminal."""
    for column in (1, 2):
        excess = sum(widths) + 2 * (len(widths) - 1) - options.width
        if excess > 0 and not options.verbose:
            widths[column] = max(_NARROWEST, widths[column] - excess)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - count_columns(text))


def _list_people(document: Mapping[str, Any], options: RenderOptions) -> Iterator[str]:
    """Yield how many requests each person would have had to decide."""
    people, nobody = document["people"], document["nobody_could_approve"]
    if people:
        yield paint("Requests that each person would have had to decide:", "bold", on=options.color)
        names = [escape(person["email"] or "?") for person in people]
        wide = max(map(count_columns, names))
        for name, person in zip(names, people, strict=True):
            yield f"  {_pad(name, wide)}  {person['requests']:,}"
    if nobody:
        text = f"Nobody could have approved {count(nobody, 'change')}."
        yield paint(text, "alarm", on=options.color)


def _list_unknown(rows: list[Mapping[str, Any]], options: RenderOptions) -> Iterator[str]:
    """Yield the reasons why the answer is not known, with the number of changes."""
    reasons = Counter(row["why"] for row in rows if row["would_wait"] == "unknown")
    if not reasons:
        return
    yield paint("Not known:", "bold", on=options.color)
    for reason, number in reasons.most_common():
        yield from wrap(f"{number:,}  {escape(reason)}", indent="  ", width=options.width)


def _list_limits(document: Mapping[str, Any], options: RenderOptions) -> Iterator[str]:
    """Yield what the log does not show, in numbers."""
    limits = document["limits"]
    yield paint("The log:", "bold", on=options.color)
    begin = f", the first of {format_time(limits['first_entry'])}" if limits["first_entry"] else ""
    lines = [f"{count(limits['entries'], 'entry', 'entries')} about flags{begin}"]
    for name, (singular, plural) in _LIMITS.items():
        if number := limits[name]:
            lines.append(f"{number:,} {singular if number == 1 else plural}")
    for line in lines:
        yield from wrap(line, indent="  ", width=options.width)
