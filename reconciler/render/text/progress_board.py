"""The board of a running apply: what is queued, in flight, done, and who is waited for."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Outcome, Result
from reconciler.render.shared import phrases
from reconciler.render.shared.sanitize import clip, count_columns, escape
from reconciler.render.text.reading_line import PAUSE_S, describe_pause
from reconciler.render.text.terminal import format_clock, paint

_FLYING: Final = 8  # rows of what is in flight, and
_PARKED: Final = 6  # of what waits for people; of more, how many more
_BAR: Final = 20
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
    pause_s: float = 0.0  # until the rate limit lets calls through
    stopping: bool = False

    @property
    def is_paused(self) -> bool:
        """Return whether what is in flight only waits for the rate limit."""
        return self.pause_s >= PAUSE_S and not self.stopping


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
    """Yield the first line; where it does not fit, without the queue, the bar, further counts."""
    over = sum(now.ended.values())
    full = over * _BAR // now.planned if now.planned else 0
    bar = f"{'█' * full}{'░' * (_BAR - full)} " if now.planned else ""
    flying = 0 if now.is_paused else len(now.in_flight)
    counts = [
        f"{over:,} of {now.planned:,}",
        *(
            f"{now.ended[result]:,} {result}"
            for result in Result
            if result is not Result.DONE and now.ended.get(result)
        ),
        *([f"{len(now.parked)} waiting"] if now.parked else []),
        *([f"{flying} in flight"] if flying else []),
        *([f"{now.queued:,} queued"] if now.queued else []),
    ]
    time = format_clock(now.elapsed_s)
    if (left := estimate_left_s(now)) is not None:
        time += f", about {format_clock(left)} left"
    most = len(counts) - bool(now.queued)
    shapes = ((bar, len(counts)), (bar, most), *(("", number) for number in range(most, 0, -1)))
    heads = [f"applying {shown}{' · '.join(counts[:number])}  {time}" for shown, number in shapes]
    yield "bold", next((head for head in heads if count_columns(head) <= width), heads[-1])


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
    if now.is_paused:
        yield "yellow", f"  {describe_pause(now.pause_s)}"
        return
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
