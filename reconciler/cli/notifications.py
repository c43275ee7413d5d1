"""`--notify URL`: notify a webhook when the state has changed, and remember the last state sent.

The result never depends on it: a failed notification is a warning.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from reconciler.ci import webhook
from reconciler.ci.webhook import News
from reconciler.cli import result_files
from reconciler.cli.session import Session
from reconciler.drift import filters
from reconciler.errors import DeliveryError, GitError, ReconcilerError
from reconciler.files.working_tree import check_output
from reconciler.git import repository
from reconciler.model import LEFT_OUT, Address, Plan
from reconciler.planfile import codec, reader

SECRET = "RECONCILER_NOTIFY_SECRET"  # noqa: S105  the name of the variable, not its value
MAX_LISTED = 100  # addresses
CLEAN = "clean"
_OPTIONS = "reconciler.notify"


@dataclass(frozen=True, slots=True)
class NotifyOptions:
    """The webhook, the format of its messages, and where the last state sent is marker."""

    url: str
    format: str
    marker: str | None


def _check_url(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.lower().startswith(("https://", "http://")):
        raise click.BadParameter("it has to begin with https://")
    return value


def add_notify_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add `--notify` and its options; they are kept in the context until there is news."""

    @click.option(
        "--notify",
        metavar="URL",
        callback=_check_url,
        help="Notify a webhook when the state has changed.",
    )
    @click.option(
        "--notify-format",
        type=click.Choice(("auto", "slack", "json")),
        default="auto",
        show_default=True,
        help="slack for what is compatible with it; JSON is signed with RECONCILER_NOTIFY_SECRET.",
    )
    @click.option(
        "--notify-marker",
        metavar="FILE|REF",
        help="Where the state sent last is kept: a file, or a git ref (refs/…).",
    )
    @wraps(command)
    def inner(
        *, notify: str | None, notify_format: str, notify_marker: str | None, **others: Any
    ) -> int:
        if notify is not None:
            click.get_current_context().meta[_OPTIONS] = NotifyOptions(
                notify, notify_format, notify_marker
            )
        return command(**others)

    return inner


def is_requested() -> bool:
    """Return whether this run has `--notify`."""
    return click.get_current_context().meta.get(_OPTIONS) is not None


@dataclass(frozen=True, slots=True)
class Marker:
    """Where the last state sent is remembered: a file, or a git ref."""

    place: str

    def read_digest(self) -> str | None:
        """Return the digest sent last; None if there is none, or if it cannot be read."""
        try:
            if self.place.startswith("refs/"):
                return repository.read_text_ref(self.place, cwd=Path.cwd())
            return Path(self.place).read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError, GitError):
            return None

    def write(self, digest: str) -> None:
        """Remember a digest; raise OSError or ReconcilerError if that is impossible."""
        if self.place.startswith("refs/"):
            repository.write_text_ref(
                self.place, digest, cwd=Path.cwd(), message="reconciler drift --notify"
            )
            return
        check_output(Path(self.place))  # before a folder is made
        Path(self.place).parent.mkdir(parents=True, exist_ok=True)
        result_files.write_private(self.place, f"{digest}\n")


def notify_drift(session: Session, report: Plan) -> None:
    """Notify of drift that is new, different or gone; send nothing if nothing has changed."""
    options: NotifyOptions | None = click.get_current_context().meta.get(_OPTIONS)
    if options is None:
        return
    news = _collect_news(session, report)
    if news.event == CLEAN and any(finding.code in LEFT_OUT for finding in report.findings):
        return  # there is drift, which the filters of this run leave out
    marker = Marker(options.marker or _default_marker(session, report.target, options.url))
    if marker.read_digest() == news.digest or (
        news.event == CLEAN and marker.read_digest() is None
    ):
        return
    slack = options.format == "slack" or (
        options.format == "auto" and webhook.is_slack(options.url)
    )
    try:
        webhook.send(options.url, news, slack=slack, secret=session.environ.get(SECRET))
    except DeliveryError as error:
        session.warn(f"the webhook was not notified: {error.what}: {error.why}")
        return
    try:
        marker.write(news.digest)
    except (OSError, ReconcilerError) as error:
        why = getattr(error, "what", None) or getattr(error, "strerror", None) or str(error)
        session.warn(f"the same will be sent again: {marker.place} cannot be written: {why}")


def _collect_news(session: Session, report: Plan) -> News:
    """Return names and a digest of the state. Values are used for the digest only."""
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
    names = [_name_resource(change.address) for change in drifted]
    return News(
        event="drift" if drifted else CLEAN,
        target=report.target,
        digest=digest,
        addresses=names[:MAX_LISTED],
        more=max(0, len(names) - MAX_LISTED),
        url=(session.build.run_url or None) if session.build is not None else None,
    )


def _name_resource(address: Address) -> str:
    """Return an address for a chat that many people read: a member is named by initials."""
    if address.kind == "Member":
        initials = filters.mask_person(address.name, "initials") or "?"
        address = address._replace(parts=(*address.parts[:-1], initials))
    return reader.redact(str(address))


def _default_marker(session: Session, target: str, url: str) -> str:
    """Return a file beside the journals, named by a digest of the URL, which is a secret."""
    name = hashlib.sha256(f"{target}\0{url}".encode()).hexdigest()[:16]
    return os.fspath(session.folder() / ".reconciler" / "notified" / name)
