"""Notify of a fleet: one message to each webhook, about all targets that it hears of."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from reconciler.ci.webhook import News
from reconciler.cli.notifications import delivery, drift
from reconciler.cli.notifications.delivery import Receiver
from reconciler.cli.notifications.requests import REQUESTED
from reconciler.cli.session import Session
from reconciler.config.targets import Target
from reconciler.fleet import target_folder
from reconciler.model import FleetMode, FleetReport
from reconciler.planfile.reader import redact
from reconciler.render.shared.fleet import list_some
from reconciler.render.shared.phrases import count

_LISTED: Final = 100  # addresses, or change requests
_KNOWN: Final = frozenset({0, 2})  # exit codes of a drift that was measured
_INBOX: Final = "reconciler requests inbox --target NAME"


def notify(
    session: Session,
    targets: Mapping[str, Target],
    report: FleetReport,
    folders: Mapping[str, Path],
) -> None:
    """Notify of drift that is new, different or gone, or of the change requests that were filed.

    A failed message is a warning: the result does not depend on it.
    """
    if report.mode is FleetMode.DRIFT:
        _notify_of_drift(session, targets, report, folders)
    elif report.mode is FleetMode.APPLY:
        _notify_of_requests(session, targets, folders)


def _notify_of_drift(
    session: Session,
    targets: Mapping[str, Target],
    report: FleetReport,
    folders: Mapping[str, Path],
) -> None:
    heard = [target for target in targets.values() if drift.is_wanted(target)]
    receivers = delivery.group_receivers(session, heard)
    if not receivers:
        return
    measured = {result.target for result in report.targets if result.exit_code in _KNOWN}
    states: dict[str, tuple[str, list[str]]] = {}
    for name in measured:
        plan = target_folder.load_details(folders[name]).plan
        if plan is None:
            continue
        state = drift.summarize_state(plan)
        if state[0] != drift.CLEAN or not drift.leaves_out(plan):
            states[name] = state
    for receiver, names in receivers:
        _send_drift(session, receiver, {name: states[name] for name in names if name in states})


def _send_drift(
    session: Session, receiver: Receiver, states: Mapping[str, tuple[str, list[str]]]
) -> None:
    """Send one message if the state of any target has changed since the last one.

    The marker has a line for each target: one that was not measured keeps what was said of it.
    """
    rows = (line.partition(" ") for line in receiver.marker.read_lines())
    known = {name: digest for name, _, digest in rows}
    now = {name: digest for name, (digest, _) in states.items()}
    changed = [name for name in now if now[name] != known.get(name, drift.CLEAN)]
    if not changed:
        return
    after = known | now
    drifted = sorted(name for name, digest in after.items() if digest != drift.CLEAN)
    addresses = [
        f"{name}: {address}" for name in drifted if name in states for address in states[name][1]
    ]
    title = f"PostHog has drifted in {count(len(drifted), 'target')}: {list_some(drifted)}"
    clean = f"PostHog matches the files again: {list_some(sorted(changed))}"
    text = "\n".join(f"{name} {digest}" for name, digest in sorted(after.items()))
    news = News(
        event="drift" if drifted else drift.CLEAN,
        target=count(len(drifted or changed), "target"),
        title=title if drifted else clean,
        digest=hashlib.sha256(text.encode()).hexdigest() if drifted else drift.CLEAN,
        addresses=addresses[:_LISTED],
        more=max(0, len(addresses) - _LISTED),
        url=delivery.get_run_url(session),
        targets=drifted or sorted(changed),
    )
    if delivery.send(session, receiver, news):
        delivery.remember(session, receiver, text.split("\n"))


def _notify_of_requests(
    session: Session, targets: Mapping[str, Target], folders: Mapping[str, Path]
) -> None:
    filed = {name: target_folder.read_filed(folders[name]) for name in targets}
    filed = {name: rows for name, rows in filed.items() if rows}
    sent = 0
    for receiver, names in delivery.group_receivers(session, [targets[name] for name in filed]):
        news = _describe_requests(session, {name: filed[name] for name in names})
        sent += delivery.send(session, receiver, news)
    if sent:
        session.note(f"asked for approval: {count(sent, 'message')} sent")


def _describe_requests(session: Session, filed: Mapping[str, Sequence[Mapping[str, Any]]]) -> News:
    """Return the message about all change requests of a run, the first to expire first."""
    rows = sorted(
        ({"target": name, **row} for name, each in filed.items() for row in each),
        key=lambda row: (str(row.get("expires_at") or "~"), row["target"], str(row.get("address"))),
    )
    title = (
        f"You are asked to approve {count(len(rows), 'change request')} "
        f"of {count(len(filed), 'target')}: {list_some(sorted(filed))}"
    )
    return News(
        event=REQUESTED,
        target=count(len(filed), "target"),
        title=redact(title),
        digest=hashlib.sha256(
            "\n".join(sorted(str(row.get("id")) for row in rows)).encode()
        ).hexdigest(),
        addresses=list(_list_addresses(rows[:_LISTED])),
        more=max(0, len(rows) - _LISTED),
        url=delivery.get_run_url(session),
        command=_INBOX,
        targets=sorted(filed),
        requests=rows[:_LISTED],
    )


def _list_addresses(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield where each request is, what it is about, and who is asked."""
    for row in rows:
        people = ", ".join(row.get("waiting_for") or ())
        suffix = f" (asked: {people})" if people else ""
        yield redact(f"{row['target']}: {row.get('address')}{suffix}")
