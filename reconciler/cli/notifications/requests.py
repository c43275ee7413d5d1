"""Notify of change requests: who is asked to approve what, until when, with which command."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import field
from datetime import datetime
from typing import Any, Final

from reconciler import worker_pool
from reconciler.ci.webhook import News
from reconciler.cli.notifications import delivery
from reconciler.cli.notifications.delivery import Receiver
from reconciler.cli.session import Session
from reconciler.config.targets import Target
from reconciler.errors import DeliveryError, ReconcilerError
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Approvers, Outcome, Payload, format_time, parse_time
from reconciler.planfile.reader import redact
from reconciler.render.shared import change_requests, phrases
from reconciler.render.shared.identities import INITIALS, Initials
from reconciler.render.shared.phrases import count

REQUESTED: Final = "approval-requested"
EXPIRES: Final = "approval-expires"
INBOX: Final = "reconciler requests inbox"
NOT_SENT, SENT_BEFORE, SENT, FAILED = "not sent", "sent before", "sent", "failed"
_RESULTS: Final = (NOT_SENT, SENT_BEFORE, SENT, FAILED)  # what counts more is last
MOST: Final = 20  # messages of a run about one request each; one more names the rest
_LISTED: Final = 100  # addresses of the rest
_ABOUT_S: Final = 30  # a clock in seconds does not make 23 hours of a day


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """A change request, and the people who can still approve it."""

    address: str
    payload: Payload
    able: Approvers
    url: str | None


def describe_request(session: Session, target: Target, request: AskedRequest) -> News:
    """Return the message about a request that was just filed."""
    action = change_requests.as_text(request.payload.get("action_key"))
    title = f"You are asked to approve: {action} of {request.address}"
    return _make_news(session, target, request, REQUESTED, title)


def describe_reminder(
    session: Session, target: Target, request: AskedRequest, now: datetime
) -> News:
    """Return the message about a request that expires soon."""
    action = change_requests.as_text(request.payload.get("action_key"))
    left = _describe_time_left(request.payload, now)
    title = f"Expires {left}, and waits for approval: {action} of {request.address}"
    return _make_news(session, target, request, EXPIRES, title)


def describe_rest(session: Session, target: Target, event: str, addresses: list[str]) -> News:
    """Return the message about the requests without a separate message."""
    what = "were filed" if event == REQUESTED else "expire soon"
    return News(
        event=event,
        target=target.name,
        title=f"{count(len(addresses), 'more change request')} of {target.name} {what}",
        addresses=[redact(address) for address in addresses[:_LISTED]],
        more=max(0, len(addresses) - _LISTED),
        url=delivery.get_run_url(session),
        command=f"{INBOX}{session.target_words}",
    )


def _make_news(
    session: Session, target: Target, request: AskedRequest, event: str, title: str
) -> News:
    row = change_requests.summarize_request(request.payload)
    initials = Initials() if session.identities == INITIALS else None
    able = request.able if initials is None else initials.mask_approvers(request.able)
    requester = row["requester"] if initials is None else initials.name(row["requester"])
    proposal = change_requests.describe_proposal(request.payload)
    command = f"reconciler requests approve {row['id']}{session.target_words}"
    facts = {
        "id": row["id"],
        "address": request.address,
        "action_key": row["action_key"],
        "proposal": proposal,
        "requester": requester,
        "waiting_for": sorted(able.list_emails()),
        "approvals": row["approvals"],
        "quorum": row["quorum"],
        "expires_at": row["expires_at"],
        "url": request.url,
        "command": command,
    }
    is_known = able != Approvers()
    asks = phrases.describe_approvers(able) if is_known else "people whom this key cannot see"
    quorum = row["quorum"] if row["quorum"] is not None else "an unknown number"
    notes = [
        proposal,
        f"{row['approvals']} of {quorum} approvals; asked: {asks}",
        f"expires {format_time(row['expires_at'])}",
    ]
    if (trouble := change_requests.find_trouble(request.payload)) is not None:
        text = phrases.describe_unappliable(trouble)
        notes.append(text if initials is None else initials.mask_text(text))
    return News(
        event=event,
        target=target.name,
        title=redact(title),
        digest=row["id"],
        addresses=[redact(request.address)],
        url=delivery.get_run_url(session),
        request={name: _redact(value) for name, value in facts.items()},
        notes=[redact(note) for note in notes],
        page=request.url,
        command=command,
    )


def _redact(value: Any) -> Any:
    return redact(value) if isinstance(value, str) else value


def _describe_time_left(payload: Payload, now: datetime) -> str:
    """Return `in 23 hours`; the time itself where it cannot be read."""
    until = parse_time(payload.get("expires_at"))
    if until is None:
        return format_time(change_requests.as_text(payload.get("expires_at")))
    return f"in {phrases.describe_span((until - now).total_seconds() + _ABOUT_S)}"


@dataclass
class FiledRequests:
    """Sends one message for each request that a run files, while the run goes on."""

    session: Session
    target: Target
    _receivers: tuple[Receiver, ...] | None = None  # looked up for the first request
    _pool: ThreadPoolExecutor | None = None
    _seen: set[str] = field(default_factory=set)
    _rest: list[str] = field(default_factory=list)
    _failed: dict[str, ReconcilerError] = field(default_factory=dict)  # by URL
    _sent: int = 0

    def add(self, outcome: Outcome) -> None:
        """Send the message about an outcome, if it is a new request, in the background."""
        payload, id_ = outcome.filed, outcome.change_request
        if payload is None or id_ is None or id_ in self._seen:
            return
        able = outcome.awaits.approvers if outcome.awaits is not None else Approvers()
        request = AskedRequest(str(outcome.address), payload, able, outcome.url)
        if self.session.is_in_fleet:  # which sends one message about all of its targets
            self._seen.add(id_)
            news = describe_request(self.session, self.target, request)
            self.session.report.facts.setdefault("filed", []).append(news.request)
            return
        if self._receivers is None:
            self._receivers = delivery.list_receivers(self.session, self.target)
        if not self._receivers:
            return
        self._seen.add(id_)
        if len(self._seen) > MOST:
            self._rest.append(str(outcome.address))
            return
        self._submit(describe_request(self.session, self.target, request))

    def finish(self) -> None:
        """Send what is left, and warn once for each webhook that failed."""
        if self._rest:
            self._submit(describe_rest(self.session, self.target, REQUESTED, self._rest))
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        if self._sent:
            self.session.note(f"asked for approval: {count(self._sent, 'message')} sent")
        for error in self._failed.values():
            self.session.warn(f"the webhook was not notified: {error.what}: {error.why}")

    def _submit(self, news: News) -> None:
        try:
            if self._pool is None and not self._failed:
                self._pool = worker_pool.start_pool(1, "notify")
        except ReconcilerError as error:  # the run goes on without messages
            self._failed[""] = error
        if self._pool is not None:
            self._pool.submit(self._send, news)

    def _send(self, news: News) -> None:
        """Post a message to every webhook that has not failed yet in this run."""
        for receiver in self._receivers or ():
            if receiver.url in self._failed:
                continue
            try:
                receiver.send(news)
                self._sent += 1
            except DeliveryError as error:
                self._failed[receiver.url] = error


@contextmanager
def open_filed(session: Session, target: Target) -> Iterator[Callable[[Outcome], None]]:
    """Yield a function that takes the outcomes of a run and notifies of new requests."""
    filed = FiledRequests(session, target)
    try:
        yield filed.add
    finally:
        filed.finish()


def remind(
    session: Session, target: Target, requests: Mapping[str, AskedRequest], now: datetime
) -> dict[str, str]:
    """Send one message for each request to each webhook that has not had it yet.

    Args:
        session: the run.
        target: whose webhooks are notified, unless --notify names others.
        requests: those that expire soon, by ID, in the order of their expiry.
        now: the time on the server.

    Returns:
        By ID, what became of the reminder: the worst that happened at any webhook.

    """
    results = dict.fromkeys(requests, NOT_SENT)
    for receiver in delivery.list_receivers(session, target):
        lines = receiver.marker.read_lines()
        known = {line.partition(" ")[0] for line in lines}
        fresh = [id_ for id_ in requests if id_ not in known]
        sent = _send_reminders(
            session, target, receiver, {id_: requests[id_] for id_ in fresh}, now
        )
        for id_ in requests:
            result = SENT_BEFORE if id_ in known else SENT if id_ in sent else FAILED
            results[id_] = max(result, results[id_], key=_RESULTS.index)
        if sent:
            new = [f"{id_} {requests[id_].payload.get('expires_at')}" for id_ in sent]
            kept = [line for line in lines if not _has_ended(line, now)]
            delivery.remember(session, receiver, [*kept, *new])
    return results


def _send_reminders(
    session: Session,
    target: Target,
    receiver: Receiver,
    requests: Mapping[str, AskedRequest],
    now: datetime,
) -> list[str]:
    """Send reminders until one fails; return the IDs of the requests they were about."""
    sent: list[str] = []
    single, rest = list(requests)[:MOST], list(requests)[MOST:]
    for id_ in single:
        news = describe_reminder(session, target, requests[id_], now)
        if not delivery.send(session, receiver, news):
            return sent
        sent.append(id_)
    if rest:
        addresses = [requests[id_].address for id_ in rest]
        if delivery.send(session, receiver, describe_rest(session, target, EXPIRES, addresses)):
            sent += rest
    return sent


def _has_ended(line: str, now: datetime) -> bool:
    """Return whether a line of a marker is about a request that has expired."""
    _, _, expires_at = line.partition(" ")
    until = parse_time(expires_at) if expires_at else None
    return until is not None and until < now
