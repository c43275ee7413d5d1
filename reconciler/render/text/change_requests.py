"""Change requests on the terminal: a table of many, the whole story of one."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from reconciler.model import Approvers, Payload, Unappliable, format_time
from reconciler.render.shared import change_requests as shared_change_requests
from reconciler.render.shared import phrases, values
from reconciler.render.shared.change_requests import RequestView
from reconciler.render.shared.options import RenderOptions
from reconciler.render.shared.sanitize import count_columns, escape
from reconciler.render.text.style import INDENT, TextStyle, format_difference
from reconciler.render.text.terminal import paint, wrap

_HEAD: Final = ("ID", "STATE", "VOTES", "ACTION", "RESOURCE", "BY", "EXPIRES")
_STYLES: Final = {
    "pending": "cyan",
    "approved": "cyan",
    "applied": "green",
    "rejected": "red",
    "failed": "alarm",
    "expired": "yellow",
}
_OPEN: Final = {"pending", "approved"}
_TENSES: Final = {  # by state: what it does to the values, to other flags, and how it is written
    "pending": ("Would change:", "Also changes", "Written as a whole once approved:"),
    "approved": ("Will change:", "Also changes", "Written as a whole when PostHog applies it:"),
    "applied": ("Changed:", "Also changed", "Written as a whole:"),
}
_ENDED: Final = (
    "Would have changed:",
    "Would also have changed",
    "Would have been written as a whole:",
)
_VERBS: Final = ("approve", "reject")
_YOURS: Final = "* waits for your vote: reconciler requests approve ID, or reject ID"


def change_requests(rows: Iterable[Mapping[str, Any]], options: RenderOptions) -> str:
    """Return a table of request rows, newest first as they came.

    On a terminal that is too narrow, IDs are shortened (a prefix is enough in every command);
    if that is not enough, each request takes two lines.
    """
    every = list(rows)
    if not every:
        return "No change requests."
    yours = any(row["waits_for_you"] for row in every)
    more = (*((_YOURS,) if yours else ()), *_format_troubles(every, options))
    cells = [_list_cells(row) for row in every]
    prefixes = [(phrases.shorten_id(id_), *rest) for id_, *rest in cells]
    tables = [cells] if len({row[0] for row in prefixes}) < len(cells) else [cells, prefixes]
    for table in tables:
        shown = [[escape(cell) for cell in line] for line in (_HEAD, *table)]
        widths = [max(count_columns(line[n]) for line in shown) for n in range(len(_HEAD))]
        if not options.columns or sum(widths) + 2 * (len(widths) - 1) <= options.columns:
            states = ["", *(str(row["state"]) for row in every)]
            lines = _format_table(shown, widths, states, color=options.color)
            return "\n".join((*lines, *more))
    blocks = (line for row in every for line in _format_block(row, options))
    return "\n".join((*blocks, *more))


def _format_table(
    rows: list[list[str]], widths: list[int], states: list[str], *, color: bool
) -> Iterator[str]:
    """Yield aligned lines; the first one is the head."""
    for number, line in enumerate(rows):
        padded = [cell + " " * (widths[n] - count_columns(cell)) for n, cell in enumerate(line)]
        padded[1] = paint(padded[1], _STYLES.get(states[number], ""), on=color)
        shown = "  ".join(padded).rstrip()
        yield shown if number else paint(shown, "dim", on=color)


def _format_block(row: Mapping[str, Any], options: RenderOptions) -> Iterator[str]:
    """Yield a request on two lines, for terminals on which the table does not fit."""
    id_, state, votes, action, resource, requester, expires = _list_cells(row)
    painted = paint(escape(state), _STYLES.get(str(row["state"]), ""), on=options.color)
    yield f"{escape(id_)}  {painted}  {escape(resource)}"
    facts = f"{action}, {votes} votes, by {requester}; expires {expires}"
    yield from wrap(escape(facts), indent="  ", width=options.columns)


def _format_troubles(rows: Iterable[Mapping[str, Any]], options: RenderOptions) -> Iterator[str]:
    """Yield why some open requests cannot be applied, and who has to do what; equal ones once."""
    alike: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["unappliable"] is not None and row["state"] in _OPEN:
            why, fix = row["unappliable"]["why"], row["unappliable"]["fix"]
            alike.setdefault((why, fix), []).append(row["id"])
    for (why, fix), ids in alike.items():
        text = f"! {', '.join(ids)} cannot be applied ({why}): {fix}"
        yield from wrap(escape(text), indent="", width=options.width)


def _list_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    mark = "*" if row["waits_for_you"] else ""
    odd = row["validation_status"] not in {"valid", ""} and row["state"] in _OPEN
    return (
        row["id"],
        row["state"] + mark + (f" ({row['validation_status']})" if odd else ""),
        f"{row['approvals']}/{row['quorum'] or '?'}",
        row["action_key"],
        shared_change_requests.name_resource(row),
        row["requester"],
        format_time(row["expires_at"]),
    )


def inbox(rows: Iterable[Mapping[str, Any]], options: RenderOptions) -> str:
    """Return the requests that wait for the reader, in the order of the rows."""
    every = list(rows)
    if not every:
        return "Nothing waits for you."
    number = phrases.count(len(every), "change request")
    parts = [f"{number} {phrases.choose(len(every), 'waits', 'wait')} for you."]
    parts += ["\n".join(_describe_waiting(row, options)) for row in every]
    return "\n\n".join(parts)


def reminders(rows: Iterable[Mapping[str, Any]], options: RenderOptions) -> str:
    """Return the requests that expire soon, one per line, and what became of the reminder."""
    every = list(rows)
    if not every:
        return "No change request expires soon."
    return "\n".join(
        f"{paint(escape(row['address']), 'bold', on=options.color)}"
        + escape(f": {row['reminder']}; expires {format_time(row['expires_at'])}; ")
        + escape(phrases.shorten_id(row["id"]))
        for row in every
    )


def _describe_waiting(row: Mapping[str, Any], options: RenderOptions) -> Iterator[str]:
    """Yield what is proposed by whom, until when, and the command that decides it."""
    quorum = row["quorum"] if row["quorum"] is not None else "?"
    votes = f"{row['approvals']} of {quorum} approvals"
    yield paint(escape(row["address"]), "bold", on=options.color)
    facts = f"{row['action_key']} by {row['requester']}; {votes}; "
    yield escape(f"  {facts}expires {format_time(row['expires_at'])}")
    yield from wrap(escape(row["proposal"]), indent="  ", width=options.width)
    if row["unappliable"] is not None:
        text = phrases.describe_unappliable(Unappliable(**row["unappliable"]))
        yield from wrap(escape(text), indent="  ", width=options.width)
    yield escape(f"  {row['command']}")
    if row["url"]:
        yield escape(f"  {row['url']}")


def change_request(request: RequestView, options: RenderOptions) -> str:
    """Return what it would change, the votes, who can still approve it, and until when."""
    look = TextStyle(options.color, options.width)
    payload, row = request.payload, request.row
    parts = (
        _format_head(row, look),
        _format_intent(payload, look),
        _format_votes(payload, row, request.able, look),
        _format_problems(payload, row, look),
        _format_next_steps(row),
    )
    return "\n\n".join(text for part in parts if (text := "\n".join(part)))


def _format_head(row: Mapping[str, Any], look: TextStyle) -> Iterator[str]:
    state = look.paint(escape(row["state"]), _STYLES.get(row["state"], ""))
    known = {name: escape(str(value or "unknown")) for name, value in row.items()}
    yield f"{look.paint('change request', 'bold')} {known['id']}: {state or 'unknown'}"
    resource = escape(shared_change_requests.name_resource(row))
    yield f"  {known['action_key']} of {look.paint(resource or 'unknown', 'bold')}"
    filed, expires = format_time(known["created_at"]), format_time(known["expires_at"])
    yield f"  filed by {known['requester']}, {filed}; expires {expires}"
    if row["url"]:
        yield f"  {escape(row['url'])}"


def _format_intent(payload: Payload, look: TextStyle) -> Iterator[str]:
    change, also, whole = _TENSES.get(str(payload.get("state")), _ENDED)
    moves = shared_change_requests.list_value_changes(payload)
    if moves:
        yield change
        wide = max(count_columns(escape(move.path)) for move in moves)
        for move in moves:
            yield from format_difference(
                move.path, (move.old, move.new), min(wide, look.paths), look
            )
    if flags := shared_change_requests.list_affected_flags(payload):
        yield f"{also} the flags {look.clip(escape(', '.join(flags)))}"
    intent = payload.get("intent")
    sent = intent.get("full_request_data") if isinstance(intent, Mapping) else None
    if sent:
        yield whole
        for line in values.format_block(sent, look.room):
            yield f"{INDENT}{look.clip(escape(line))}"


def _format_votes(
    payload: Payload, row: Mapping[str, Any], able: Approvers, look: TextStyle
) -> Iterator[str]:
    needed = row["quorum"] if row["quorum"] is not None else "unknown"
    yield escape(f"Approvals: {row['approvals']} of {needed}")
    for vote in shared_change_requests.list_votes(payload):
        mark, style = ("✓", "green") if vote.approved else ("✗", "red")
        reason = f": {escape(vote.reason)}" if vote.reason else ""
        who = f"{escape(vote.person)}, {escape(format_time(vote.at))}"
        yield f"  {look.paint(mark, style)} {who}{reason}"
    if row["state"] == "pending":
        text = f"can still approve: {phrases.describe_approvers(able)}"
        yield from wrap(escape(text), indent="  ", width=look.width)


def _format_problems(payload: Payload, row: Mapping[str, Any], look: TextStyle) -> Iterator[str]:
    """Yield what keeps it from being applied, or kept it."""
    status, trouble = row["validation_status"], shared_change_requests.find_trouble(payload)
    if status:
        text = f"Validation: {escape(status)}"
        yield text if status == "valid" else look.paint(text, "loud")
    if trouble is not None:
        failed = row["state"] == "failed"
        head = look.paint("Not applied:" if failed else "Cannot be applied:", "alarm")
        yield f"{head} {escape(trouble.why)}"
        yield from wrap(escape(f"Next: {trouble.fix}"), indent="  ", width=look.width)
    elif payload.get("validation_errors"):
        yield f"  {look.clip(escape(values.format_flow(payload['validation_errors'])))}"


def _format_next_steps(row: Mapping[str, Any]) -> Iterator[str]:
    if row["waits_for_you"]:
        approve, reject = (f"reconciler requests {verb} {escape(row['id'])}" for verb in _VERBS)
        if row["unappliable"] is None:
            yield f"Next: {approve}"
            yield f"      {reject} --reason '…'"
        else:
            yield f"Next: {reject} --reason '…'"
