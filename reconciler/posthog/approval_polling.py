"""Poll for decisions on change requests, ever less often, within the rate limit.

A round costs one listing per project, however many requests there are. `requests wait` and
`apply --wait` poll in the same way.
"""

import logging
from collections.abc import Collection, Mapping
from typing import Final

from reconciler.errors import (
    ApiError,
    AuthenticationError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
)
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Payload
from reconciler.posthog import change_requests
from reconciler.posthog.client import Reader

RequestKey = tuple[str, str]  # project id, change request id

GONE: Final = "gone"  # the state of a request that no longer exists
_BUDGET_S: Final = 1.25  # between two requests: a tenth of 480 per minute
_HOPELESS: Final = (AuthenticationError, PermissionDeniedError, PaymentRequiredError)


@dataclass(frozen=True, slots=True)
class Pauses:
    """Hold the seconds between rounds, which grow until something is decided."""

    first_s: float = 1.0
    factor: float = 1.5
    longest_s: float = 30.0


class Watch:
    """Poll for decisions until the time is up. Waits by the connection's own clock."""

    def __init__(
        self,
        reader: Reader,
        *,
        timeout_s: float,
        pauses: Pauses = Pauses(),
        log: logging.Logger | None = None,
    ) -> None:
        self._reader = reader
        self._pauses = pauses
        self._pause = pauses.first_s
        self._until = reader.clock() + timeout_s
        self.still_open: Mapping[RequestKey, Payload] = {}  # as the last round saw them
        self._log = log or reader.log

    @property
    def left_s(self) -> float:
        """Return the seconds until the time is up."""
        return max(0.0, self._until - self._reader.clock())

    def sleep(self, waiting: Collection[RequestKey]) -> bool:
        """Wait for the next round; return False if the time is up or the run stops."""
        projects = len({project for project, _ in waiting})
        pause = max(self._pause, projects * _BUDGET_S if projects > 1 else 0.0)
        left = self.left_s
        if left <= 0.0:
            return False
        self._pause = min(self._pauses.longest_s, self._pause * self._pauses.factor)
        return self._reader.sleep(min(pause, left))

    def poll(self, waiting: Collection[RequestKey]) -> Mapping[RequestKey, Payload]:
        """Poll once and return the requests that are no longer open, each as it is now.

        A round that fails decides nothing, because the next one may succeed.
        """
        try:
            decided = self._poll(waiting)
        except _HOPELESS:
            raise
        except ApiError as error:
            self._log.warning("%s (%s); trying again later", error.what, error.why)
            return {}
        if decided:
            self._pause = self._pauses.first_s
        return decided

    def _poll(self, waiting: Collection[RequestKey]) -> Mapping[RequestKey, Payload]:
        still_open = {
            (project, str(payload["id"])): payload
            for project in dict.fromkeys(project for project, _ in waiting)
            for payload in change_requests.list_open(self._reader, project)
        }
        self.still_open = still_open
        decided: dict[RequestKey, Payload] = {}
        for project, id_ in waiting:
            if (project, id_) in still_open:
                continue
            try:
                payload = change_requests.get(self._reader, project, id_)
            except NotFoundError:
                payload = {"id": id_, "state": GONE}
            if payload.get("state") in {*change_requests.FINAL, GONE}:
                decided[project, id_] = payload  # an unknown state counts as open
        return decided
