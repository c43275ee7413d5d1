"""What a plan was made from, as far as its apply has to know it again. Values only.

Addresses are text here: this is what stands in a saved plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ObservedOrganization:
    """A live organization: its id, and the ids of its projects by name."""

    id: str
    projects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObservedObject:
    """A live object as it was: what apply compares, and names the old values from."""

    address: str
    id: str
    fingerprint: str
    spec: Mapping[str, Any] = field(default_factory=dict)  # without what the API hides


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of the files a plan is about. Paths from the folder of `reconciler.yaml`."""

    paths: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prune: bool = False


@dataclass(frozen=True, slots=True)
class PlanSnapshot:
    """Everything that a saved plan rests on, besides what it shows."""

    commit: str | None = None  # what was checked out; None outside git
    dirty: bool = False  # whether the files differed from it
    selection: Selection = Selection()
    organizations: Mapping[str, ObservedOrganization] = field(default_factory=dict)  # by slug
    policies: tuple[ObservedObject, ...] = ()  # those of the projects whose gates were forecast
    before: tuple[ObservedObject, ...] = ()  # what is updated or deleted
    live: Mapping[str, int] = field(default_factory=dict)  # objects that were there, by collection
    prefer: str | None = None  # "git" or "live": who won where both had moved
