"""Objects of PostHog's other products, as far as they own or change flags (contract 5.8)."""

from dataclasses import dataclass
from typing import Any

Json = Any


@dataclass(frozen=True, slots=True)
class Holdout:
    """People who see no experiment: a share, and the experiments that it applies to."""

    id: int
    project: int
    name: str
    filters: list[Json]
    created_at: str
    updated_at: str
    description: str | None = None
    created_by: int | None = None

    @property
    def exclusion(self) -> Any:
        """Return the share held out: that of the first group."""
        return read_exclusion(self.filters)


def read_exclusion(filters: Any) -> Any:
    """Return the share that a holdout's filters exclude, or None where there is none."""
    if not isinstance(filters, list) or not filters or not isinstance(filters[0], dict):
        return None
    return filters[0].get("rollout_percentage")


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment, which owns its flag."""

    id: int
    project: int
    name: str
    flag: int
    created_at: str
    updated_at: str
    description: str = ""
    holdout: int | None = None
    start_date: str | None = None
    end_date: str | None = None
    archived: bool = False
    deleted: bool = False
    conclusion: str | None = None
    conclusion_comment: str | None = None
    created_by: int | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """A survey: it owns its targeting and sampling flags, but not the linked one."""

    id: str
    project: int
    name: str
    created_at: str
    linked_flag: int | None = None
    targeting_flag: int | None = None
    internal_targeting_flag: int | None = None
    internal_response_sampling_flag: int | None = None
    start_date: str | None = None
    end_date: str | None = None
    archived: bool = False
    created_by: int | None = None


@dataclass(frozen=True, slots=True)
class ProductTour:
    """A product tour: it owns its internal targeting flag, also when it is archived."""

    id: str
    project: int
    name: str
    created_at: str
    linked_flag: int | None = None
    internal_targeting_flag: int | None = None
    archived: bool = False
    created_by: int | None = None


@dataclass(frozen=True, slots=True)
class EarlyAccessFeature:
    """An early access feature, which owns its flag."""

    id: str
    project: int
    name: str
    flag: int | None
    created_at: str
    stage: str = "beta"
    description: str = ""
    documentation_url: str = ""


@dataclass(frozen=True, slots=True)
class ScheduledChange:
    """A change of a flag that takes effect at a time, with the request that it waits for."""

    id: int
    project: int
    flag: int
    payload: Json
    scheduled_at: str
    created_at: str
    updated_at: str
    change_request: str | None = None
    created_by: int | None = None
    executed_at: str | None = None
    failure_reason: str | None = None
    failure_count: int = 0
    is_recurring: bool = False
    recurrence_interval: str | None = None
    last_executed_at: str | None = None
    end_date: str | None = None


FLAG_FIELDS: dict[type[Any], tuple[str, ...]] = {
    Experiment: ("flag",),
    Survey: (
        "linked_flag",
        "targeting_flag",
        "internal_targeting_flag",
        "internal_response_sampling_flag",
    ),
    ProductTour: ("linked_flag", "internal_targeting_flag"),
    EarlyAccessFeature: ("flag",),
    ScheduledChange: ("flag",),
}
TIME_FIELDS = ("start_date", "end_date", "scheduled_at", "executed_at", "last_executed_at")
