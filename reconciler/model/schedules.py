"""Define what PostHog will change in a flag at a later time (contract 18). Values only."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model.approvals import Awaited
from reconciler.model.spec_path import Spec


@dataclass(frozen=True, slots=True)
class ScheduledChange:
    """Hold one change that somebody has scheduled, and the change request that it waits for."""

    at: str  # when PostHog will make it; the next time of a recurring one
    operation: str
    value: Any = None  # as PostHog has it
    change_request: str | None = None  # id, if it has one
    id: str = ""
    repeats: str = ""  # `daily`, or a cron expression; empty: it happens once
    state: str = ""  # of its request; empty: none, or PostHog does not show it
    awaits: Awaited | None = None  # whom its request waits for, if that was read
    is_over: bool = False  # it will not happen again
    executed_at: str = ""  # when PostHog made it last; empty: not yet, or without success
    made_by: int | None = None  # id of the user as whom PostHog makes it
    writes: Spec = field(default_factory=dict, compare=False, repr=False)  # as a file would say it


SET_STATUS: Final = "update_status"
ADD_CONDITION: Final = "add_release_condition"
SET_VARIANTS: Final = "update_variants"

Schedules = Mapping[tuple[tuple[str, ...], str], tuple[ScheduledChange, ...]]  # scope, flag id
