"""A time axis: places in percent of its width, and marks at whole days or hours."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from reconciler.lazy_dataclass import dataclass

_MARGIN: Final = 2.0  # percent on both sides
_HOUR: Final = 3_600
_DAY: Final = 24 * _HOUR
_BEFORE, _AFTER = 60 * _DAY, 90 * _DAY  # the most that is shown around now
_STEPS: Final = (
    *(hours * _HOUR for hours in (1, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 4, 7, 14, 28, 91, 364)),
)
_TICKS: Final = 6  # marks at most
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of the axis and its label."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """The time between two moments, as seconds since 1970."""

    start: float
    end: float

    @property
    def right(self) -> float:
        """Return the place of the end."""
        return 100 - _MARGIN

    def place(self, moment: datetime) -> float:
        """Return the place of a moment; of one beyond the axis, the end that is nearer."""
        return self._place(moment.timestamp())

    def _place(self, second: float) -> float:
        share = (second - self.start) / ((self.end - self.start) or 1)
        return round(_MARGIN + min(max(share, 0), 1) * (100 - 2 * _MARGIN), 2)

    def list_ticks(self) -> tuple[Tick, ...]:
        """Return marks at whole hours or days, so few that their labels have room."""
        span = self.end - self.start
        step = next((step for step in _STEPS if span / step <= _TICKS), None)
        if step is None:
            return ()
        first = -int(-self.start // step) * step
        seconds = range(first, int(self.end) + 1, step)
        return tuple(Tick(self._place(second), _format_tick(second, step)) for second in seconds)


def make_axis(moments: Iterable[datetime | None], now: datetime | None) -> Axis | None:
    """Return the axis from the first known moment to the last, or as much as is near to now."""
    known = [moment.timestamp() for moment in (*moments, now) if moment is not None]
    if not known:
        return None
    start, end = min(known), max(known)
    if now is not None:
        start = max(start, now.timestamp() - _BEFORE)
        end = min(end, now.timestamp() + _AFTER)
    return Axis(start, end)


def _format_tick(second: int, step: int) -> str:
    """Return `7 Dec`; for steps of hours the hour."""
    moment = datetime.fromtimestamp(second, UTC)
    if step < _DAY and moment.hour:
        return f"{moment:%H:%M}"
    return f"{moment.day} {_MONTHS[moment.month - 1]}"
