"""Describe collections that cannot be read, and why."""

from typing import Final

from reconciler.errors import (
    ApiError,
    IncompleteListingError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    ServerError,
    UnreadableError,
)
from reconciler.kinds import READ
from reconciler.model import Unreadable

# Errors of one scope, which do not stop the others.
OF_ONE_SCOPE: Final = (
    PermissionDeniedError,
    PaymentRequiredError,
    NotFoundError,
    IncompleteListingError,
    UnreadableError,
    ServerError,
)


def build_gap(kind: str, scope: tuple[str, ...], error: ApiError) -> Unreadable:
    """Return a collection that was refused, and why."""
    if isinstance(error, NotFoundError) and kind in READ and READ[kind].introduced:
        why = f"this PostHog does not offer it: {error.why or error.what}"
        fix = f"PostHog offers it since {READ[kind].introduced}: upgrade, or remove the documents"
        return Unreadable(kind, scope, why, error.status, fix, is_offered=False)
    at_fault = isinstance(error, (UnreadableError, IncompleteListingError))  # name the call
    why = f"{error.what}: {error.why}" if at_fault and error.why else error.why or error.what
    return Unreadable(kind, scope, why, error.status, error.fix)
