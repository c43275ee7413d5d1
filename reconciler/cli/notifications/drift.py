"""Notify of drift: one message when the state has changed."""

import hashlib
import json
from typing import Final

from reconciler.ci.webhook import News
from reconciler.cli import terminal
from reconciler.cli.notifications import delivery
from reconciler.cli.session import Session
from reconciler.config.targets import Target
from reconciler.lazy_pattern import compile_later
from reconciler.model import LEFT_OUT, Address, Plan, mask_person
from reconciler.planfile import codec, reader
from reconciler.render.shared.phrases import count

MAX_LISTED: Final = 100  # addresses
CLEAN: Final = "clean"
_STATE: Final = compile_later(
    rf"[0-9a-f]{{64}}|{CLEAN}"
)  # the line of a marker that is about drift


def notify(session: Session, target: Target, report: Plan) -> None:
    """Notify of drift that is new, different or gone; send nothing if nothing has changed.

    The webhooks of a target are for runs that nobody watches: on a terminal, only --notify sends.
    """
    if session.is_in_fleet or not is_wanted(target):
        return  # a fleet sends one message about all of its targets
    news = _collect_news(session, report)
    if news.event == CLEAN and leaves_out(report):
        return
    for receiver in delivery.list_receivers(session, target):
        lines = receiver.marker.read_lines()
        state = next((line for line in lines if _STATE.fullmatch(line)), None)
        if state == news.digest or (news.event == CLEAN and state is None):
            continue
        if delivery.send(session, receiver, news):
            others = [line for line in lines if not _STATE.fullmatch(line)]
            delivery.remember(session, receiver, [news.digest, *others])


def is_wanted(target: Target) -> bool:
    """Return whether anybody is notified: at a terminal, only --notify sends."""
    return delivery.is_requested() or (bool(target.notify) and not terminal.can_ask())


def leaves_out(report: Plan) -> bool:
    """Return whether there is drift that the filters of this run leave out."""
    return any(finding.code in LEFT_OUT for finding in report.findings)


def summarize_state(report: Plan) -> tuple[str, list[str]]:
    """Return a digest of what has drifted, and the names. Values are used for the digest only."""
    drifted = [change for change in report.writes if change.hold is None]
    state = [
        [
            str(change.address),
            change.action,
            [[field.path, field.live, field.desired] for field in change.fields],
        ]
        for change in sorted(drifted, key=lambda change: str(change.address))
    ]
    text = json.dumps(codec.make_plain(state), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest() if drifted else CLEAN
    return digest, [_name_resource(change.address) for change in drifted]


def _collect_news(session: Session, report: Plan) -> News:
    digest, names = summarize_state(report)
    title = f"PostHog has drifted: {count(len(names), 'resource')} of {report.target}"
    return News(
        event="drift" if names else CLEAN,
        target=report.target,
        title=title if names else f"PostHog matches the files again: {report.target}",
        digest=digest,
        addresses=names[:MAX_LISTED],
        more=max(0, len(names) - MAX_LISTED),
        url=delivery.get_run_url(session),
    )


def _name_resource(address: Address) -> str:
    """Return an address for a chat that many people read: a member is named by initials."""
    if address.kind == "Member":
        initials = mask_person(address.name, "initials") or "?"
        address = address._replace(parts=(*address.parts[:-1], initials))
    return reader.redact(str(address))
