"""Look whether change requests have been decided: one request per project in most cases."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

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
    credentials: Credentials, limit: KeyRateLimit, changes: Sequence[WatchedChange]
) -> WatchResult:
    """Return what became of change requests. A failed look decides nothing; the next one may.

    A key that may not look any more is a reason to run: the run says what is wrong.
    """
    try:
        with client.open_reader(credentials, rate_limit=limit) as reader:
            return _look(reader, changes)
    except _HOPELESS:
        return WatchResult(runs=True)
    except ApiError:
        return WatchResult(open=tuple(changes))


def _look(reader: Reader, changes: Sequence[WatchedChange]) -> WatchResult:
    still_open: list[WatchedChange] = []
    listed: dict[str, set[str]] = {}  # IDs of open requests by project
    runs = False
    for change in _add_projects(reader, changes):
        project = change.project
        if project is None:
            continue
        if project not in listed:
            payloads = change_requests.list_open(reader, project)
            listed[project] = {str(payload["id"]) for payload in payloads}
        is_open = change.id in listed[project]
        state = "pending" if is_open else _read_state(reader, project, change.id)
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


def _add_projects(reader: Reader, changes: Sequence[WatchedChange]) -> Sequence[WatchedChange]:
    """Return the change requests with the IDs of their projects, which are looked up once."""
    if all(change.project is not None for change in changes):
        return changes
    projects = key_access.read_directory(reader).projects
    placed = []
    for change in changes:
        organization, project, *_ = Address.parse(change.address).parts
        ids = projects.get(organization, {}).get(project, ())
        placed.append(replace(change, project=ids[0] if ids else None))
    return placed
