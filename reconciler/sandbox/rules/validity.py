"""Which mark an open request should have: valid, stale or invalid (contract 7.5)."""

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.sandbox.rules.gated_changes import EXPERIMENT_FAMILY, FLAG_FAMILY
from reconciler.sandbox.rules.products import flag_owners, holdouts
from reconciler.sandbox.rules.requester import explain_lost_access
from reconciler.sandbox.store.model import ChangeRequest, Flag
from reconciler.sandbox.store.transaction import Transaction

KNOWN_ACTIONS = frozenset({*FLAG_FAMILY.values(), *EXPERIMENT_FAMILY.values(), *holdouts.ACTIONS})


@dataclass(frozen=True, slots=True)
class Mark:
    """A `validation_status` and its `validation_errors`."""

    status: str = "valid"
    errors: Mapping[str, str] | None = None


def derive_mark(tx: Transaction, request: ChangeRequest) -> Mark:
    """Return the mark of a request as the world is now; it may recover."""
    stale = explain_staleness(tx, request, by_owner=True)
    if stale is not None:
        return Mark("stale", {"staleness": stale})
    access = explain_lost_access(tx, request)
    return Mark("invalid", {"access": access}) if access is not None else Mark()


def explain_staleness(tx: Transaction, request: ChangeRequest, *, by_owner: bool) -> str | None:
    """Return how the object of a request changed since it was filed; None if it did not."""
    if request.action_key in holdouts.ACTIONS:
        return holdouts.explain_staleness(tx, request)
    number = request.intent.get("flag_id")
    if number is None:
        return None
    flag = tx.get(Flag, number)
    if flag is None or flag.deleted:
        return "The feature flag no longer exists"
    expected = (request.intent.get("preconditions") or {}).get("version")
    if expected is not None and expected != flag.version:
        return f"Flag version mismatch: expected {expected}, got {flag.version}"
    return explain_new_owner(tx, request, flag) if by_owner else None


def explain_new_owner(tx: Transaction, request: ChangeRequest, flag: Flag) -> str | None:
    """Return the change of the flag's owner since filing; None if there was none, or unknown."""
    if request.owner_kind is None:
        return None
    owner = flag_owners.find_owner(tx, flag) or flag_owners.UNOWNED
    if owner == request.owner_kind:
        return None
    return f"Ownership changed since this request was created: {request.owner_kind} -> {owner}"
