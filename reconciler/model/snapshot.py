"""Define what a plan was made from, as far as its apply has to compare it. Values only.

Addresses are text here, as in a saved plan.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from reconciler.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ObservedOrganization:
    """Hold the id of a live organization, and the ids of its projects by name."""

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
    """Name the part of the files that a plan is about, by paths from `reconciler.yaml`."""

    paths: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prune: bool = False


@dataclass(frozen=True, slots=True)
class RevertedRun:
    """Name a run whose changes a plan reverts by the commits before and after it.

    `before` is None if nothing was declared before. Without `addresses` it is the whole run.
    """

    before: str | None
    after: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptFields:
    """Name the fields of a resource that a plan does not revert."""

    address: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UndoSnapshot:
    """Hold what a plan of `undo` reverts: its values are in git, at these commits.

    Attributes:
        runs: the runs, the newest first.
        kept: objects that the runs did not create, and that are therefore not deleted.
        kept_fields: fields that stay as they are: what git has for them was never live.

    """

    runs: tuple[RevertedRun, ...]
    kept: tuple[str, ...] = ()
    kept_fields: tuple[KeptFields, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanSnapshot:
    """Hold everything that a saved plan depends on, besides what it shows."""

    commit: str | None = None  # the checked-out commit; None outside git
    dirty: bool = False  # whether the files differed from it
    selection: Selection = Selection()
    organizations: Mapping[str, ObservedOrganization] = field(default_factory=dict)  # by slug
    policies: tuple[ObservedObject, ...] = ()  # of the projects whose gates were forecast
    before: tuple[ObservedObject, ...] = ()  # objects that are updated or deleted
    live: Mapping[str, int] = field(default_factory=dict)  # number of live objects by collection
    prefer: str | None = None  # "git" or "live": the side that wins a conflict
    undo: UndoSnapshot | None = None  # what the plan reverts; None: it applies the files

    @property
    def project_names(self) -> Mapping[str, tuple[str, ...]]:
        """Return the names of the projects that were live, by organization."""
        return {slug: tuple(place.projects) for slug, place in self.organizations.items()}
