"""The board of a running apply: what is queued, in flight, done, and who is waited for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.model import Address, Outcome, Result
from reconciler.render.shared import phrases
from reconciler.render.shared.sanitize import clip, count_columns, escape
from reconciler.render.text.terminal import paint

_FLYING: Final = 8  # rows of what is in flight, and
_PARKED: Final = 6  # of what waits for people; of more, how many more
_BAR: Final = 20
_NARROW: Final = 60  # columns below which there is no bar
_SOON_S: Final = 60
_STYLES: Final = {
    Result.DONE: "green",
    Result.FAILED: "alarm",
    Result.REFUSED: "alarm",
    Result.SKIPPED: "yellow",
    Result.WAITING: "cyan",
}


@dataclass(frozen=True, slots=True)
class BoardState:
    """How a run stands at one moment."""

    planned: int
    ended: Mapping[str, int] = field(default_factory=dict)  # by result
    in_flight: Mapping[Address, float] = field(default_factory=dict)  # for how many seconds
    parked: tuple[Outcome, ...] = ()  # what waits, and the run waits with it
    queued: int = 0
    elapsed_s: float = 0.0
    wait_left_s: float | None = None
    budget: tuple[tuple[int, int], ...] = ()  # requests left, of how many: minute, hour
    stopping: bool = False


def draw_board(now: BoardState, *, color: bool, width: int, height: int) -> list[str]:
    """Return the lines of the board, none wider than `width`, no more than `height`."""
    foot = list(_draw_foot(now))
    room = max(0, height - 1 - len(foot))
    rows = [*_draw_parked(now), *_draw_in_flight(now)]
    if len(rows) > room:
        rows = [*rows[: max(0, room - 1)], ("dim", f"… and {len(rows) - room + 1} more")][:room]
    lines = [*_draw_head(now, width), *rows, *foot]
    return [paint(clip(text, width), style, on=color) for style, text in lines[:height]]


def _draw_head(now: BoardState, width: int) -> Iterator[tuple[str, str]]:
    over = sum(now.ended.values())
    bar = ""
    if width >= _NARROW and now.planned:
        full = over * _BAR // now.planned
        bar = f"{'█' * full}{'░' * (_BAR - full)} "
    counts = [f"{over:,} of {now.planned:,}"]
    counts += [
        f"{now.ended[result]:,} {result}"
        for result in Result
        if result is not Result.DONE and now.ended.get(result)
    ]
    counts += [f"{len(now.in_flight)} in flight"] if now.in_flight else []
    counts += [f"{len(now.parked)} waiting"] if now.parked else []
    counts += [f"{now.queued:,} queued"] if now.queued else []
    time = format_clock(now.elapsed_s)
    if (left := estimate_left_s(now)) is not None:
        time += f", about {format_clock(left)} left"
    yield "bold", f"applying {bar}{' · '.join(counts)}  {time}"


def estimate_left_s(now: BoardState) -> float | None:
    """Return the seconds until the rest is sent, at the speed so far and the rate limit."""
    over, rest = sum(now.ended.values()), now.queued + len(now.in_flight)
    if not rest or not over:
        return None
    left = now.elapsed_s / over * rest
    if now.budget:
        minute_left, minute = now.budget[0]
        left = max(left, (rest - minute_left) / max(1, minute) * 60.0)
    return left


def _draw_in_flight(now: BoardState) -> Iterator[tuple[str, str]]:
    longest = sorted(now.in_flight.items(), key=lambda item: -item[1])
    for address, seconds in longest[:_FLYING]:
        yield "", f"  ↻ {escape(str(address))}  {seconds:.0f} s"
    if len(longest) > _FLYING:
        yield "dim", f"    and {len(longest) - _FLYING} more in flight"


def _draw_parked(now: BoardState) -> Iterator[tuple[str, str]]:
    for outcome in now.parked[:_PARKED]:
        who = phrases.describe_approval(outcome, None) or outcome.change_request or "approval"
        yield _STYLES[Result.WAITING], f"  ⏸ {escape(str(outcome.address))}  {escape(who)}"
    if len(now.parked) > _PARKED:
        yield "dim", f"    and {len(now.parked) - _PARKED} more waiting for approval"


def _draw_foot(now: BoardState) -> Iterator[tuple[str, str]]:
    if now.wait_left_s is not None and now.parked:
        yield "cyan", f"  waiting for approvals: {format_clock(now.wait_left_s)} left"
    if now.stopping:
        yield "loud", "  stopping: what is in flight is finished; again to leave at once"
    elif now.budget:
        names = ("this minute", "this hour")
        parts = (
            f"{left:,} of {most:,} {name}"
            for (left, most), name in zip(now.budget, names, strict=False)
        )
        yield "dim", f"  requests left: {', '.join(parts)}"


def format_clock(seconds: float) -> str:
    """Return `0:07`, `12:40`, `1:02:03`."""
    whole = int(max(0.0, seconds))
    minutes, rest = divmod(whole, _SOON_S)
    hours, minutes = divmod(minutes, _SOON_S)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count_rows(lines: list[str], width: int) -> int:
    """Return the rows that lines drawn for another width take in a terminal of this one."""
    bare = (count_columns(_strip_colors(line)) for line in lines)
    return sum(max(1, -(-wide // max(1, width))) for wide in bare)


def _strip_colors(line: str) -> str:
    """Return the line without its colours: those are our own, the text is escaped."""
    text, _, rest = line.partition("\x1b[")
    while rest:
        _, _, rest = rest.partition("m")
        piece, _, rest = rest.partition("\x1b[")
        text += piece
    return text
