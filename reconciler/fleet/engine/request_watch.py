"""Look whether change requests have been decided: one request per project in most cases."""

from collections.abc import Mapping, Sequence
from typing import Final

from reconciler.config.targets import RequestLimits
from reconciler.errors import (
    ApiError,
    AuthenticationError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
)
from reconciler.fleet.engine.messages import WatchedChange, WatchResult
from reconciler.live import key_access
from reconciler.model import Address
from reconciler.posthog import change_requests, client
from reconciler.posthog.client import Reader
from reconciler.posthog.credentials import Credentials
from reconciler.posthog.rate_limit import KeyRateLimit

_HOPELESS: Final = (AuthenticationError, PermissionDeniedError, PaymentRequiredError)
_RUN_AGAIN: Final = frozenset({"applied", "rejected"})  # it can be finished, or has to be reported


def check_requests(
    credentials: Credentials, limits: RequestLimits, changes: Sequence[WatchedChange]
) -> WatchResult:
    """Return what became of change requests. A failed look decides nothing; the next one may.

    A key that may not look any more is a reason to run: the run says what is wrong.
    """
    limit = KeyRateLimit(limits.per_minute, limits.per_hour)
    try:
        with client.open_reader(credentials, rate_limit=limit) as reader:
            return _look(reader, changes)
    except _HOPELESS:
        return WatchResult(runs=True)
    except ApiError:
        return WatchResult(open=tuple(changes))


def _look(reader: Reader, changes: Sequence[WatchedChange]) -> WatchResult:
    still_open: list[WatchedChange] = []
    runs = False
    for project, watched in _group_by_project(reader, changes).items():
        listed = {str(each["id"]) for each in change_requests.list_open(reader, project)}
        for change in watched:
            state = "pending" if change.id in listed else _read_state(reader, project, change.id)
            if state in _RUN_AGAIN:
                runs = True
            elif state not in {*change_requests.FINAL, None}:
                still_open.append(change)
    return WatchResult(runs, tuple(still_open))


def _read_state(reader: Reader, project: str, id_: str) -> str | None:
    """Return the state of a change request; None if it does not exist any more."""
    try:
        return str(change_requests.get(reader, project, id_)["state"])
    except NotFoundError:
        return None


def _group_by_project(
    reader: Reader, changes: Sequence[WatchedChange]
) -> Mapping[str, list[WatchedChange]]:
    """Return the change requests by the ID of their project."""
    directory = key_access.read_directory(reader)
    groups: dict[str, list[WatchedChange]] = {}
    for change in changes:
        organization, project, *_ = Address.parse(change.address).parts
        for id_ in directory.projects.get(organization, {}).get(project, ())[:1]:
            groups.setdefault(id_, []).append(change)
    return groups
