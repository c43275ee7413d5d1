"""Read the activity log about some objects, and the applied change requests.

Few requests: one listing for many objects, read only as far as a question is open.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from reconciler.errors import (
    ApiError,
    AuthenticationError,
    InvalidRequestError,
    PaymentRequiredError,
    PermissionDeniedError,
)
from reconciler.live.names import build_change_request, find_request_kind
from reconciler.model import (
    Address,
    ChangeRequest,
    Entry,
    FieldMove,
    Gap,
    Live,
    Payload,
    Question,
    parse_time,
)
from reconciler.posthog import activity_log, change_requests
from reconciler.posthog.activity_log import Query
from reconciler.posthog.client import Reader

PAGE_SIZE: Final = 200
LARGEST_PAGE: Final = 1_000  # of a log that is read as a whole (contract 11.1)
_SHOWN: Final = 200  # characters of a list of names
MOST: Final = 5_000  # entries of one listing that are read; older ones stay unknown
_LONGEST: Final = timedelta(days=30)  # how long a request is open, unless it says otherwise


class ActivityReader:
    """Read one organization's log; a log that was refused is not read twice."""

    def __init__(
        self,
        reader: Reader,
        live: Live,
        slug: str,
        *,
        most: int | None = MOST,
        page_size: int = PAGE_SIZE,
    ) -> None:
        """Prepare to read. `most`: how many entries of one listing to read; None: all."""
        self.gaps: list[Gap] = []
        self.projects = {  # id -> name
            id_: address.name
            for address, ids in live.ids.items()
            if address.kind == "Project" and address.organization == slug
            for id_ in ids
        }
        self.refused: ApiError | None = None  # the organization's log is closed
        self.is_exhausted = False  # no more can be read here
        self.undated = 0  # entries without a time
        self._reader, self._slug = reader, slug
        self._most, self._page_size = most, page_size
        self._id = next(iter(live.ids.get(Address("Organization", (slug,)), ())), "")

    def iterate_entries(
        self, question: Question, *, since: datetime | None, until: datetime | None
    ) -> Iterator[Entry]:
        """Yield entries that answer a question, newest first. Unreadable parts become gaps."""
        if self.refused is None:
            try:
                yield from self._read_entries(question, since, until, None)
            except AuthenticationError:
                raise
            except InvalidRequestError as error:  # an older server does not know the filter
                self._note_refusal(
                    f": not about {', '.join(question.names or question.items)[:_SHOWN]}", error
                )
            except ApiError as error:
                self.refused = error
                self.is_exhausted = not isinstance(error, PermissionDeniedError)
        if self.refused is not None:
            yield from self._read_projects(question, since, until)
            is_complete = self.is_exhausted or not question.projects
            self._note_refusal(
                "" if is_complete else "; only the logs of its projects were", self.refused
            )

    def _read_projects(
        self, question: Question, since: datetime | None, until: datetime | None
    ) -> Iterator[Entry]:
        """Yield entries of the projects' own logs, which are open to members (contract 11)."""
        for id_ in (id_ for id_, name in self.projects.items() if name in question.projects):
            if self.is_exhausted:
                return
            try:
                yield from self._read_entries(question, since, until, id_)
            except AuthenticationError:
                raise
            except ApiError:
                self.is_exhausted = True  # the key lacks a permission, not its user

    def _note_refusal(self, more: str, error: ApiError) -> None:
        what = f"the activity log of {self._slug} cannot be read{more}"
        needs_plan = isinstance(error, PaymentRequiredError)
        fix = "upgrade the plan; drift is found without the log, too" if needs_plan else error.fix
        self._add_gap(Gap(self._slug, what, error.why or error.what, fix))

    def _add_gap(self, gap: Gap) -> None:
        if gap not in self.gaps:
            self.gaps.append(gap)

    def _read_entries(
        self,
        question: Question,
        since: datetime | None,
        until: datetime | None,
        project_id: str | None,
    ) -> Iterator[Entry]:
        detail = {"name": {"operation": "in", "value": list(question.names)}}
        query = Query(
            start_date=since.isoformat() if since is not None else None,
            end_date=until.isoformat() if until is not None else None,
            scopes=question.scopes,
            item_ids=question.items,
            detail_filters=detail if question.names else {},
            team_ids=self._find_teams(question) if question.only_projects else (),
            page_size=self._page_size,
        )
        payloads = activity_log.iterate_entries(
            self._reader, self._id, query, project_id=project_id
        )
        for number, payload in enumerate(payloads):
            if number == self._most:
                what = f"only the newest {number:,} entries about these resources were read"
                self._add_gap(Gap(self._slug, what, "the log has more", "narrow it with --select"))
                return
            entry = parse_entry(payload, self._slug, project_id)
            if entry is not None:
                yield entry
            else:
                self.undated += 1

    def _find_teams(self, question: Question) -> tuple[int, ...]:
        named = (id_ for id_, name in self.projects.items() if name in question.projects)
        return tuple(int(id_) for id_ in named if id_.isdecimal())


def parse_entry(payload: Payload, organization: str, project_id: str | None = None) -> Entry | None:
    """Convert an entry to a value; None without a time, because it has no place in the order.

    `project_id`: of the project whose log it is from; older servers do not say it in the entry.
    """
    at = parse_time(payload.get("created_at"))
    if at is None:
        return None
    user = _as_object(payload.get("user"))
    detail = _as_object(payload.get("detail"))
    changes = detail.get("changes")
    team = payload.get("team_id")
    email = user.get("email")
    person = str(email) if email else ("PostHog" if payload.get("is_system") is True else None)
    return Entry(
        id=str(payload.get("id")),
        at=at,
        written=str(payload["created_at"]),
        organization=organization,
        project=project_id if team is None else str(team),
        scope=str(payload.get("scope")),
        activity=str(payload.get("activity")),
        item=str(payload.get("item_id")),
        name=str(detail.get("name") or ""),
        person=person,
        user_id=user.get("id"),
        client=str(payload["client"]) if payload.get("client") else None,
        impersonated=payload.get("was_impersonated") is True,
        moves=tuple(
            FieldMove(str(change.get("field")), change.get("before"), change.get("after"))
            for change in map(_as_object, changes if isinstance(changes, list) else ())
            if change.get("field")
        ),
    )


def list_applied(
    reader: Reader, live: Live, times: Mapping[tuple[str, ...], datetime]
) -> tuple[tuple[ChangeRequest, ...], frozenset[tuple[str, ...]]]:
    """List the applied change requests of some projects, and the unreadable projects.

    Args:
        reader: the connection.
        live: has the ids of the projects.
        times: (organization, project) -> the time from which applied requests matter.

    """
    closed = {gap.scope for gap in live.unreadable if gap.kind == "ChangeRequest"}
    requests: list[ChangeRequest] = []
    blind = set()
    for scope, after in times.items():
        ids = live.ids.get(Address("Project", scope), ())
        try:
            if scope not in closed and len(ids) == 1:
                requests.extend(iterate_applied(reader, scope, ids[0], after))
            else:
                blind.add(scope)
        except AuthenticationError:
            raise
        except ApiError:
            blind.add(scope)
    return tuple(requests), frozenset(blind)


def iterate_applied(
    reader: Reader, scope: tuple[str, ...], project_id: str, after: datetime
) -> Iterator[ChangeRequest]:
    """Yield applied requests, newest first, that can have been applied since `after`.

    Requests expire, so a request is never applied long after it was filed.
    """
    longest = _LONGEST
    for page in change_requests.iterate_pages(reader, project_id, state=("applied",)):
        for payload in page:
            created, expires = (
                parse_time(payload.get("created_at")),
                parse_time(payload.get("expires_at")),
            )
            if created is not None and expires is not None:
                longest = max(longest, expires - created)
            if find_request_kind(payload) is not None:
                yield build_change_request(payload, *scope)
        oldest = parse_time(page[-1].get("created_at")) if page else None
        if oldest is not None and oldest + longest < after:
            return


def _as_object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
