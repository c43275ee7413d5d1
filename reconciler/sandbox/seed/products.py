"""Loading what owns or changes flags: holdouts, experiments, surveys, tours, scheduled changes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.seed.values import SeedItem
from reconciler.sandbox.store.model import ChangeRequest, Flag, Membership, Project
from reconciler.sandbox.store.products import (
    EarlyAccessFeature,
    Experiment,
    Holdout,
    ProductTour,
    ScheduledChange,
    Survey,
)

NUMBERED = {
    "experiment_holdouts": Holdout,
    "experiments": Experiment,
    "scheduled_changes": ScheduledChange,
}
_EXPERIMENT_FIELDS = ("description", "archived", "deleted", "conclusion", "conclusion_comment")
_FEATURE_FIELDS = ("stage", "description", "documentation_url")
_SCHEDULE_FIELDS = ("failure_reason", "failure_count", "is_recurring", "recurrence_interval")


def list_product_ids(project: Mapping[str, Any]) -> Iterator[tuple[type, int]]:
    """Yield the integer ids in a project of a seed."""
    for name, kind in NUMBERED.items():
        for item in project.get(name) or ():
            yield kind, item.get("id", 0)


@dataclass(frozen=True, slots=True)
class _OwnedFlags:
    """The fields of a product that name flags which PostHog makes with it."""

    fields: tuple[str, ...]
    filters: Mapping[str, Any]
    creation_context: str | None = None


_OWNED = {
    "surveys": _OwnedFlags(
        ("targeting_flag", "internal_targeting_flag", "internal_response_sampling_flag"),
        {"groups": []},
        "surveys",
    ),
    "product_tours": _OwnedFlags(("internal_targeting_flag",), {"groups": []}, "product_tours"),
    "early_access_features": _OwnedFlags(
        ("feature_flag",), {"groups": [], "feature_enrollment": True}
    ),
}


def _add_owned_flag(
    item: SeedItem, project: Project, flags: dict[str, Flag], *, key: Any, owned: _OwnedFlags
) -> None:
    """Add the flag of a product that the seed names but does not list."""
    if not isinstance(key, str) or key in flags:
        return
    flags[key] = item.tx.insert(
        Flag(
            id=item.tx.make_id(Flag),
            project=project.id,
            key=key,
            filters=dict(owned.filters),
            created_at=item.tx.at,
            updated_at=item.tx.at,
            creation_context=owned.creation_context,
        )
    )


def load_products(item: SeedItem, project: Project, flags: dict[str, Flag]) -> None:
    """Load everything of a project that refers to its flags."""
    for name, owned in _OWNED.items():
        for product in item.list_items(name):
            for field in owned.fields:
                _add_owned_flag(product, project, flags, key=product.get(field), owned=owned)
    loader = _ProductLoader(project, flags)
    for holdout in item.list_items("experiment_holdouts"):
        loader.load_holdout(holdout)
    for experiment in item.list_items("experiments"):
        loader.load_experiment(experiment)
    for survey in item.list_items("surveys"):
        loader.load_survey(survey)
    for tour in item.list_items("product_tours"):
        loader.load_tour(tour)
    for feature in item.list_items("early_access_features"):
        loader.load_feature(feature)


def load_scheduled_changes(item: SeedItem, project: Project, flags: Mapping[str, Flag]) -> None:
    """Load the scheduled changes, after the requests that they wait for."""
    loader = _ProductLoader(project, flags)
    for change in item.list_items("scheduled_changes"):
        loader.load_scheduled_change(change)


def find_flag(item: SeedItem, name: str, project: Project, flags: Mapping[str, Flag]) -> int | None:
    """Return the id of the flag that a field names, by key or id; null stays null."""
    ref = item.get(name)
    if ref is None:
        return None
    if isinstance(ref, str):
        if ref not in flags:
            raise item.make_error(name, f"no flag has the key {ref!r}")
        return flags[ref].id
    flag = item.tx.get(Flag, ref)
    if flag is None or flag.project != project.id:
        raise item.make_error(name, f"no flag has the id {ref!r}")
    return flag.id


class _ProductLoader:
    """Loads the products of one project."""

    def __init__(self, project: Project, flags: Mapping[str, Flag]) -> None:
        self._project = project
        self._flags = flags

    def load_holdout(self, item: SeedItem) -> None:
        """Load a holdout; its groups get the variant that the API gives them."""
        number = item.read_id(Holdout)
        created = item.read_time("created_at")
        item.tx.insert(
            Holdout(
                id=number,
                project=self._project.id,
                name=item["name"],
                filters=[{"variant": f"holdout-{number}", **group} for group in item["filters"]],
                created_at=created,
                updated_at=item.read_time("updated_at", created),
                description=item.get("description"),
                created_by=item.find_person("created_by"),
            )
        )

    def load_experiment(self, item: SeedItem) -> None:
        """Load an experiment; its flag is stored as the seed has it."""
        flag = self._require_flag(item, "feature_flag")
        created = item.read_time("created_at")
        item.tx.insert(
            Experiment(
                id=item.read_id(Experiment),
                project=self._project.id,
                name=item["name"],
                flag=flag,
                holdout=self._find_holdout(item),
                created_at=created,
                updated_at=item.read_time("updated_at", created),
                start_date=item.read_optional_time("start_date"),
                end_date=item.read_optional_time("end_date"),
                created_by=item.find_person("created_by"),
                **item.pick(_EXPERIMENT_FIELDS),
            )
        )

    def load_survey(self, item: SeedItem) -> None:
        """Load a survey."""
        item.tx.insert(
            Survey(
                id=item.read_uuid(Survey),
                project=self._project.id,
                name=item["name"],
                created_at=item.read_time("created_at"),
                linked_flag=self._find_flag(item, "linked_flag"),
                targeting_flag=self._find_flag(item, "targeting_flag"),
                internal_targeting_flag=self._find_flag(item, "internal_targeting_flag"),
                internal_response_sampling_flag=self._find_flag(
                    item, "internal_response_sampling_flag"
                ),
                start_date=item.read_optional_time("start_date"),
                end_date=item.read_optional_time("end_date"),
                created_by=item.find_person("created_by"),
                **item.pick(("archived",)),
            )
        )

    def load_tour(self, item: SeedItem) -> None:
        """Load a product tour."""
        item.tx.insert(
            ProductTour(
                id=item.read_uuid(ProductTour),
                project=self._project.id,
                name=item["name"],
                created_at=item.read_time("created_at"),
                linked_flag=self._find_flag(item, "linked_flag"),
                internal_targeting_flag=self._find_flag(item, "internal_targeting_flag"),
                created_by=item.find_person("created_by"),
                **item.pick(("archived",)),
            )
        )

    def load_feature(self, item: SeedItem) -> None:
        """Load an early access feature."""
        item.tx.insert(
            EarlyAccessFeature(
                id=item.read_uuid(EarlyAccessFeature),
                project=self._project.id,
                name=item["name"],
                flag=self._find_flag(item, "feature_flag"),
                created_at=item.read_time("created_at"),
                **item.pick(_FEATURE_FIELDS),
            )
        )

    def load_scheduled_change(self, item: SeedItem) -> None:
        """Load a scheduled change."""
        request = item.get("change_request")
        if request is not None and item.tx.get(ChangeRequest, request) is None:
            raise item.make_error("change_request", f"no change request has the id {request!r}")
        created = item.read_time("created_at")
        item.tx.insert(
            ScheduledChange(
                id=item.read_id(ScheduledChange),
                project=self._project.id,
                flag=self._require_flag(item, "flag"),
                payload=item["payload"],
                scheduled_at=item.read_time("scheduled_at"),
                created_at=created,
                updated_at=item.read_time("updated_at", created),
                change_request=request,
                created_by=self._find_scheduler(item),
                executed_at=item.read_optional_time("executed_at"),
                last_executed_at=item.read_optional_time("last_executed_at"),
                end_date=item.read_optional_time("end_date"),
                **item.pick(_SCHEDULE_FIELDS),
            )
        )

    def _find_scheduler(self, item: SeedItem) -> int | None:
        """Return who made a schedule; the first member, where a seed does not say it.

        A schedule whose person is gone, which is null, fails at its time.
        """
        if "created_by" in item.values:
            return item.find_person("created_by")
        member = item.tx.find_first(Membership, organization=self._project.organization)
        return member.user if member is not None else None

    def _find_flag(self, item: SeedItem, name: str) -> int | None:
        return find_flag(item, name, self._project, self._flags)

    def _require_flag(self, item: SeedItem, name: str) -> int:
        flag = self._find_flag(item, name)
        if flag is None:
            raise item.make_error(name, "a flag is needed")
        return flag

    def _find_holdout(self, item: SeedItem) -> int | None:
        ref = item.get("holdout")
        if ref is None:
            return None
        known = item.tx.find_all(Holdout, project=self._project.id)
        fitting = [holdout.id for holdout in known if ref in (holdout.id, holdout.name)]
        if len(fitting) != 1:
            raise item.make_error("holdout", f"no holdout, or several, have the name or id {ref!r}")
        return fitting[0]
