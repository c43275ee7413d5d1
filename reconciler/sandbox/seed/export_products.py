"""Exporting what owns or changes the flags of a project, as `products` loads it."""

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.sandbox.seed.names import ExportNames
from reconciler.sandbox.store.model import Flag, Project
from reconciler.sandbox.store.products import (
    EarlyAccessFeature,
    Experiment,
    Holdout,
    ProductTour,
    ScheduledChange,
    Survey,
)
from reconciler.sandbox.store.transaction import Transaction

Document = dict[str, Any]
Render = Callable[..., Document]
_KINDS: Mapping[str, type[Any]] = {
    "experiment_holdouts": Holdout,
    "experiments": Experiment,
    "surveys": Survey,
    "product_tours": ProductTour,
    "early_access_features": EarlyAccessFeature,
    "scheduled_changes": ScheduledChange,
}
_OWN_FLAG = {Experiment: "feature_flag", EarlyAccessFeature: "feature_flag"}
_LINKS = (
    *("flag", "linked_flag", "targeting_flag", "internal_targeting_flag"),
    "internal_response_sampling_flag",
)


def export_products(
    tx: Transaction, project: Project, titles: ExportNames, render: Render
) -> Document:
    """Return the lists of a project's products, each under its key in a seed."""
    keys = name_flags(tx, project)
    return {
        name: [
            _export_product(product, keys, titles, render)
            for product in tx.find_all(kind, project=project.id)
        ]
        for name, kind in _KINDS.items()
    }


def name_flags(tx: Transaction, project: Project) -> dict[int, Any]:
    """Return how a seed names each flag of a project: by key, a deleted one by id."""
    return {
        flag.id: flag.id if flag.deleted else flag.key
        for flag in tx.find_all(Flag, project=project.id)
    }


def _export_product(
    product: Any, keys: Mapping[int, Any], titles: ExportNames, render: Render
) -> Document:
    rendered: Document = render(product, "project")
    for name in _LINKS:
        if name in rendered:
            flag = rendered.pop(name)
            shown = _OWN_FLAG.get(type(product), name) if name == "flag" else name
            rendered[shown] = keys.get(flag, flag)
    if "created_by" in rendered:
        rendered["created_by"] = titles.name_person(rendered["created_by"])
    return rendered
