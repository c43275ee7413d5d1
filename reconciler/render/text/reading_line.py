"""The line that a terminal shows while PostHog is read: requests, what came, a pause."""

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.render.shared.phrases import count
from reconciler.render.shared.sanitize import clip, count_columns
from reconciler.render.text.terminal import format_clock, paint

PAUSE_S: Final = 1.0  # a shorter wait is not worth showing
_NOUNS: Final = {  # the last part of a collection's path, and what its rows are called
    "advanced_activity_logs": ("log entry", "log entries"),
    "approval_policies": ("policy", "policies"),
    "change_requests": ("change request", "change requests"),
    "cohorts": ("cohort", "cohorts"),
    "experiments": ("experiment", "experiments"),
    "feature_flags": ("flag", "flags"),
    "members": ("member", "members"),
    "projects": ("project", "projects"),
    "roles": ("role", "roles"),
}


@dataclass(frozen=True, slots=True)
class ReadingState:
    """How far a command is with reading."""

    requests: int
    rows: Mapping[str, int] = field(default_factory=dict)  # by collection
    elapsed_s: float = 0.0
    pause_s: float = 0.0  # until the rate limit lets calls through


def format_reading(now: ReadingState, *, color: bool, width: int) -> str:
    """Return `reading PostHog: 7 requests, 1,400 flags, 12 members … 0:04`, no wider than `width`.

    What there is most of is named first, and shown last if there is no room.
    """
    most = sorted(now.rows.items(), key=lambda item: -item[1])
    facts = [count(now.requests, "request")]
    facts += [count(number, *_NOUNS[name]) for name, number in most if number and name in _NOUNS]
    before, after = "reading PostHog: ", f" … {format_clock(now.elapsed_s)}"
    if now.pause_s >= PAUSE_S:
        before, after = f"{describe_pause(now.pause_s)} (", ")"
    while len(facts) > 1 and count_columns(f"{before}{', '.join(facts)}{after}") > width:
        facts.pop()
    return paint(clip(f"{before}{', '.join(facts)}{after}", width), "dim", on=color)


def describe_pause(seconds: float) -> str:
    """Return `paused: rate limit, resumes in 0:47`."""
    return f"paused: rate limit, resumes in {format_clock(seconds)}"
