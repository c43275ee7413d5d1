"""What refuses to delete, disable or enable a flag: other objects that use it (contract 9.5).

The gate comes first: a write that needs approval is filed, and refused when it is applied.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.sandbox.protocol.errors import invalid
from reconciler.sandbox.rules import flag_references
from reconciler.sandbox.rules.products import flag_owners
from reconciler.sandbox.store.model import Flag
from reconciler.sandbox.store.transaction import Transaction

_MOST_NAMED = 5


def check_use(tx: Transaction, values: Mapping[str, Any], flag: Flag) -> None:
    """Refuse to delete, disable or enable a flag against the objects that use it.

    Raises:
        ApiError: 400.
    """
    deleting = bool(values.get("deleted")) and not flag.deleted
    if deleting:
        _require_no_product(tx, flag)
        _require_no_dependents(tx, flag, "delete")
        if flag_owners.is_used_by_replay(tx, flag):
            raise invalid(
                "This feature flag is used in session replay settings. Please remove it from replay"
                " settings before deleting."
            )
    if values.get("active") is False and flag.active:
        _require_no_dependents(tx, flag, "disable")
    if values.get("active") and not flag.active:
        needed = flag_references.find_dependencies(tx, flag, flag.filters)
        off = [other for other in needed if not other.active and not other.deleted]
        if off:
            raise invalid(
                "Cannot enable this feature flag because it depends on disabled flags:"
                f" {_name_flags(off)}. Please enable the dependency flags first."
            )


def _require_no_product(tx: Transaction, flag: Flag) -> None:
    if flag_owners.list_features(tx, flag):
        raise invalid(
            "Cannot delete a feature flag that is in use with early access features. Please delete"
            " the early access feature before deleting the flag."
        )
    running = find_running_experiments(tx, flag)
    if running:
        raise invalid(
            "Cannot delete a feature flag that is linked to running experiment(s):"
            f" {', '.join(running)}. Please stop the experiment(s) before deleting the flag."
        )


def _require_no_dependents(tx: Transaction, flag: Flag, verb: str) -> None:
    users = flag_references.find_dependents(tx, flag)
    if users:
        raise invalid(
            f"Cannot {verb} this feature flag because other flags depend on it:"
            f" {_name_flags(users)}. Please update or disable the dependent flags first."
        )


def _name_flags(flags: Sequence[Flag]) -> str:
    named = ", ".join(f"{flag.key} (ID: {flag.id})" for flag in flags[:_MOST_NAMED])
    more = len(flags) - _MOST_NAMED
    return f"{named}, and {more} more" if more > 0 else named


def find_running_experiments(tx: Transaction, flag: Flag) -> list[str]:
    """Return how messages name the running experiments of a flag."""
    linked = flag_owners.find_links(tx, flag).experiments
    running = {
        experiment.id: f'"{experiment.name}" (ID: {experiment.id})'
        for experiment in linked
        if flag_owners.is_running(experiment)
    }
    ended = {
        experiment.get("id")
        for experiment in flag.experiment_set_metadata
        if isinstance(experiment, dict)
        and (experiment.get("end_date") or experiment.get("is_running") is False)
    }
    for number in flag.experiment_set:
        if number not in ended:
            running.setdefault(number, f"(ID: {number})")
    return list(running.values())
