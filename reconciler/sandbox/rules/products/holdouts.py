"""Holdouts: a write of a holdout also writes the flags of its experiments (contract 16)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.sandbox.requests.call import Actor
from reconciler.sandbox.rules import activity, flags
from reconciler.sandbox.store.model import ChangeRequest, Flag, Project
from reconciler.sandbox.store.products import Experiment, Holdout, read_exclusion
from reconciler.sandbox.store.transaction import Transaction

UPDATE, DELETE = "experiment_holdout.update", "experiment_holdout.delete"
ACTIONS = frozenset({UPDATE, DELETE})
RESOURCE_TYPE = "experiment_holdout"
_LOGGED = ("name", "description", "filters")


class HoldoutMoved(Exception):  # noqa: N818 - an outcome of the request, not a failure of the server
    """The holdout is no longer as the approvers saw it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def create_holdout(
    tx: Transaction, actor: Actor, project: Project, values: Mapping[str, Any]
) -> Holdout:
    """Store a new holdout, with the variant in each group; no experiment is linked yet."""
    number = tx.make_id(Holdout)
    holdout = tx.insert(
        Holdout(
            id=number,
            project=project.id,
            created_at=tx.at,
            updated_at=tx.at,
            created_by=actor.user.id,
            **{**values, "filters": _add_variant(number, values["filters"])},
        )
    )
    _log_change(tx, actor, project, holdout, "created")
    return holdout


def update_holdout(
    tx: Transaction,
    actor: Actor,
    project: Project,
    *,
    holdout: Holdout,
    values: Mapping[str, Any],
) -> Holdout:
    """Store a change; filters that differ from the stored ones are written to every flag.

    They are compared before the variant is added (contract 16).
    """
    kept = dict(values)
    if "filters" in kept:
        rewrites = kept["filters"] != holdout.filters
        kept["filters"] = _add_variant(holdout.id, kept["filters"])
        if rewrites:
            exclusion = read_exclusion(kept["filters"])
            block = {"id": holdout.id, "exclusion_percentage": exclusion}
            _write_flags(tx, actor, project, holdout, block)
    after = tx.update(replace(holdout, **kept, updated_at=tx.at))
    _log_change(tx, actor, project, after, "updated", before=holdout)
    return after


def delete_holdout(tx: Transaction, actor: Actor, project: Project, holdout: Holdout) -> None:
    """Delete a holdout, and clear it from every flag and experiment."""
    _write_flags(tx, actor, project, holdout, None)
    for experiment in tx.find_all(Experiment, holdout=holdout.id):
        tx.update(replace(experiment, holdout=None, updated_at=tx.at))
    _log_change(tx, actor, project, holdout, "deleted")
    tx.delete(holdout)


def _add_variant(number: int, groups: list[Any]) -> list[Any]:
    return [{**group, "variant": f"holdout-{number}"} for group in groups]


def _write_flags(
    tx: Transaction, actor: Actor, project: Project, holdout: Holdout, block: Any
) -> None:
    for _, flag in list_linked(tx, holdout):
        values = {"filters": {**flag.filters, "holdout": block}}
        flags.update_flag(tx, actor, project, flag=flag, values=values)


def list_linked(tx: Transaction, holdout: Holdout) -> list[tuple[Experiment, Flag]]:
    """Return the live experiments of a holdout, with their flags."""
    experiments = tx.find_all(Experiment, holdout=holdout.id, deleted=False)
    linked = [(experiment, tx.get(Flag, experiment.flag)) for experiment in experiments]
    return [(experiment, flag) for experiment, flag in linked if flag is not None]


def list_affected(tx: Transaction, holdout: Holdout) -> list[dict[str, Any]]:
    """Return the experiments of a holdout as a request lists them."""
    return [
        {"id": experiment.id, "name": experiment.name, "flag_key": flag.key}
        for experiment, flag in list_linked(tx, holdout)
    ]


def _log_change(
    tx: Transaction,
    actor: Actor,
    project: Project,
    holdout: Holdout,
    kind: str,
    *,
    before: Holdout | None = None,
) -> None:
    activity.record_entry(
        tx,
        actor,
        kind,
        activity.list_changes("ExperimentHoldout", before, holdout, _LOGGED),
        scope="ExperimentHoldout",
        item=(holdout.id, holdout.name),
        organization=project.organization,
        project=project,
    )


# -- requests


def explain_staleness(tx: Transaction, request: ChangeRequest) -> str | None:
    """Return how the holdout of a request changed since it was filed; None if it did not."""
    holdout = _find_holdout(tx, request)
    if holdout is None:
        return "The holdout no longer exists"
    return _explain_move(tx, holdout, request.intent)


def _explain_move(tx: Transaction, holdout: Holdout, intent: Mapping[str, Any]) -> str | None:
    recorded = (intent.get("current_state") or {}).get("exclusion_percentage")
    if holdout.exclusion != recorded:
        return "The holdout changed after this request was created"
    before = {experiment["id"] for experiment in intent.get("affected_experiments") or ()}
    if {experiment["id"] for experiment in list_affected(tx, holdout)} != before:
        return "The experiments in this holdout changed after this request was created"
    return None


def _find_holdout(tx: Transaction, request: ChangeRequest) -> Holdout | None:
    holdout = tx.get(Holdout, request.intent.get("holdout_id"))
    return holdout if holdout is not None and holdout.project == request.project else None


def apply_request(
    tx: Transaction, actor: Actor, project: Project, request: ChangeRequest
) -> int | None:
    """Carry out an approved change; return the id of the holdout, None if it is deleted.

    Raises:
        HoldoutMoved: the change cannot be applied any more.
    """
    holdout, intent = _find_holdout(tx, request), request.intent
    if request.action_key == DELETE:
        if holdout is not None:  # otherwise it is deleted already
            delete_holdout(tx, actor, project, holdout)
        return None
    if holdout is None:
        raise HoldoutMoved("The holdout no longer exists")
    changes = intent.get("desired_changes") or {"filters": intent.get("desired_filters")}
    wanted = read_exclusion(intent.get("desired_filters"))
    others = {name: value for name, value in changes.items() if name != "filters"}
    if holdout.exclusion == wanted and all(
        getattr(holdout, name) == value for name, value in others.items()
    ):
        return holdout.id
    reason = _explain_move(tx, holdout, intent)
    if reason is not None:
        raise HoldoutMoved(reason)
    update_holdout(tx, actor, project, holdout=holdout, values=changes)
    return holdout.id
