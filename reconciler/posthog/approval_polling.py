"""Waiting for people: rounds of looking, ever less often, within the rate budget.

A round costs one listing a project, whatever the number of requests. Who is looked for by two
commands is looked for in the same way: `requests wait` and `apply --wait`.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.errors import (
    ApiError,
    AuthenticationError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
)
from reconciler.model import Payload
from reconciler.posthog import change_requests
from reconciler.posthog.client import Reader

Asked = tuple[str, str]  # project id, change request id

GONE: Final = "gone"  # the state of a request that is not there any more
_BUDGET_S: Final = 1.25  # between two requests: a tenth of 480 a minute
_HOPELESS: Final = (AuthenticationError, PermissionDeniedError, PaymentRequiredError)


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds from one round to the next: growing, until something is decided."""

    first_s: float = 1.0
    factor: float = 1.5
    longest_s: float = 30.0


class Watch:
    """Looks for decisions until its time is up. Waits by the connection's own clock."""

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
        self.still_open: Mapping[Asked, Payload] = {}  # as the last round saw them
        self._log = log or logging.getLogger(__name__)

    @property
    def left_s(self) -> float:
        """Seconds until its time is up."""
        return max(0.0, self._until - self._reader.clock())

    def rest(self, waiting: Collection[Asked]) -> bool:
        """Wait for the next round; False if there is none, because time is up or the run stops."""
        projects = len({project for project, _ in waiting})
        pause = max(self._pause, projects * _BUDGET_S if projects > 1 else 0.0)
        left = self.left_s
        if left <= 0.0:
            return False
        self._pause = min(self._pauses.longest_s, self._pause * self._pauses.factor)
        return self._reader.rest(min(pause, left))

    def look(self, waiting: Collection[Asked]) -> Mapping[Asked, Payload]:
        """One round: those that are not open any more, each as it is now.

        A round that fails is no news: the next one may not.
        """
        try:
            found = self._look(waiting)
        except _HOPELESS:
            raise
        except ApiError as error:
            self._log.warning("%s (%s); looking again later", error.what, error.why)
            return {}
        if found:
            self._pause = self._pauses.first_s
        return found

    def _look(self, waiting: Collection[Asked]) -> Mapping[Asked, Payload]:
        still_open = {
            (project, str(payload["id"])): payload
            for project in dict.fromkeys(project for project, _ in waiting)
            for payload in change_requests.list_open(self._reader, project)
        }
        self.still_open = still_open
        found: dict[Asked, Payload] = {}
        for project, id_ in waiting:
            if (project, id_) in still_open:
                continue
            try:
                payload = change_requests.get(self._reader, project, id_)
            except NotFoundError:
                payload = {"id": id_, "state": GONE}
            if payload.get("state") in {*change_requests.FINAL, GONE}:
                found[project, id_] = payload  # an unknown state counts as open
        return found
