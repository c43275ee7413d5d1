"""Which product owns a flag, and what else refers to it (contract 5.8)."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from reconciler.sandbox.store.model import Flag, Project
from reconciler.sandbox.store.products import (
    EarlyAccessFeature,
    Experiment,
    ProductTour,
    Survey,
)
from reconciler.sandbox.store.transaction import Transaction

EXPERIMENT = "experiment"
SURVEY = "survey"
PRODUCT_TOUR = "product_tour"
EARLY_ACCESS_FEATURE = "early_access_feature"
UNOWNED = "unowned"  # what a request records of a standalone flag


@dataclass(frozen=True, slots=True)
class FlagLinks:
    """What refers to one flag."""

    experiments: list[Experiment] = field(default_factory=list)
    features: list[EarlyAccessFeature] = field(default_factory=list)
    surveys: list[Survey] = field(default_factory=list)  # that only refer to it
    owning_surveys: list[Survey] = field(default_factory=list)
    owning_tours: list[ProductTour] = field(default_factory=list)


_NO_LINKS = FlagLinks()


def find_links(tx: Transaction, flag: Flag) -> FlagLinks:
    """Return what refers to a flag."""
    links: dict[int, FlagLinks] = tx.memoize(
        ("links", flag.project), lambda: _index_links(tx, flag.project)
    )
    return links.get(flag.id, _NO_LINKS)


def _index_links(tx: Transaction, project: int) -> dict[int, FlagLinks]:
    links: dict[int, FlagLinks] = defaultdict(FlagLinks)
    for experiment in tx.find_all(Experiment, project=project, deleted=False):
        links[experiment.flag].experiments.append(experiment)
    for feature in tx.find_all(EarlyAccessFeature, project=project):
        if feature.flag is not None:
            links[feature.flag].features.append(feature)
    for survey in tx.find_all(Survey, project=project):
        for number in _list_owned_flags(survey):
            links[number].owning_surveys.append(survey)
        if survey.linked_flag is not None:
            links[survey.linked_flag].surveys.append(survey)
    for tour in tx.find_all(ProductTour, project=project):
        if tour.internal_targeting_flag is not None:
            links[tour.internal_targeting_flag].owning_tours.append(tour)
    return dict(links)


def _list_owned_flags(survey: Survey) -> Iterator[int]:
    owned = (
        survey.targeting_flag,
        survey.internal_targeting_flag,
        survey.internal_response_sampling_flag,
    )
    return (number for number in owned if number is not None)


def find_owner(tx: Transaction, flag: Flag) -> str | None:
    """Return the kind of the product that owns a flag, or None for a standalone one."""
    links = find_links(tx, flag)
    if links.experiments or flag.experiment_set:
        return EXPERIMENT
    if links.owning_surveys:
        return SURVEY
    if links.owning_tours:
        return PRODUCT_TOUR
    return EARLY_ACCESS_FEATURE if links.features or flag.features else None


def list_experiment_ids(tx: Transaction, flag: Flag) -> list[Any]:
    """Return the ids of a flag's experiments."""
    linked = [experiment.id for experiment in find_links(tx, flag).experiments]
    return [
        *flag.experiment_set,
        *(number for number in linked if number not in flag.experiment_set),
    ]


def list_experiment_metadata(tx: Transaction, flag: Flag) -> list[Any]:
    """Return the name and state of each experiment of a flag, as the flag shows them."""
    return [
        *flag.experiment_set_metadata,
        *(
            {"id": experiment.id, "name": experiment.name, "is_running": is_running(experiment)}
            for experiment in find_links(tx, flag).experiments
            if experiment.id not in flag.experiment_set
        ),
    ]


def is_running(experiment: Experiment) -> bool:
    """Return whether an experiment has started and not ended."""
    return experiment.start_date is not None and experiment.end_date is None


def list_features(tx: Transaction, flag: Flag) -> list[Any]:
    """Return a flag's early access features, as the flag shows them."""
    linked = [
        {
            "id": feature.id,
            "name": feature.name,
            "description": feature.description,
            "stage": feature.stage,
            "documentationUrl": feature.documentation_url,
            "flagKey": flag.key,
        }
        for feature in find_links(tx, flag).features
    ]
    return [*flag.features, *linked]


def list_surveys(tx: Transaction, flag: Flag) -> list[Any]:
    """Return the surveys that only refer to a flag, as the flag shows them."""
    linked = [{"id": survey.id, "name": survey.name} for survey in find_links(tx, flag).surveys]
    return [*flag.surveys, *linked]


def is_used_by_replay(tx: Transaction, flag: Flag) -> bool:
    """Return whether session replay refers to a flag."""
    used: int | None = tx.memoize(
        ("replay", flag.project), lambda: tx.require(Project, flag.project).session_replay_flag
    )
    return flag.is_used_in_replay_settings or used == flag.id
