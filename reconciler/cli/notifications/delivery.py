"""Who is notified, in which format, and what they have been sent already.

The result never depends on it: a failed notification is a warning.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from reconciler.ci import webhook
from reconciler.ci.webhook import News
from reconciler.cli.session import Session
from reconciler.config.targets import Target
from reconciler.errors import DeliveryError, GitError, ReconcilerError, explain_refusal
from reconciler.files import result_files
from reconciler.files.run_folder import find_run_folder
from reconciler.files.working_tree import check_output
from reconciler.git import repository
from reconciler.lazy_dataclass import dataclass

SECRET: Final = "RECONCILER_NOTIFY_SECRET"  # noqa: S105  the name of the variable, not its value
_VARIABLE: Final = "env:"  # of a URL that an environment variable holds
_OPTIONS: Final = "reconciler.notify"
_FLEET: Final = "*"  # instead of the name of a target


@dataclass(frozen=True, slots=True)
class NotifyOptions:
    """What the command line says: webhooks, the format of messages, where markers are."""

    urls: tuple[str, ...]
    format: str
    marker: str | None


@dataclass(frozen=True, slots=True)
class Marker:
    """Where a run remembers what was sent: a file, or a git ref. One line for each fact."""

    place: str

    def read_lines(self) -> tuple[str, ...]:
        """Return what was remembered; nothing if there is no marker, or it cannot be read."""
        try:
            if self.place.startswith("refs/"):
                text = repository.read_text_ref(self.place, cwd=find_run_folder()) or ""
            else:
                text = Path(self.place).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError, GitError):
            return ()
        return tuple(line for line in map(str.strip, text.splitlines()) if line)

    def write_lines(self, lines: Iterable[str]) -> None:
        """Remember these lines only; raise OSError or ReconcilerError if that is impossible."""
        text = "\n".join(lines)
        if self.place.startswith("refs/"):
            repository.write_text_ref(
                self.place, text, cwd=find_run_folder(), message="reconciler --notify"
            )
            return
        check_output(Path(self.place))  # before a folder is made
        Path(self.place).parent.mkdir(parents=True, exist_ok=True)
        result_files.write_private(self.place, f"{text}\n")


@dataclass(frozen=True, slots=True)
class Receiver:
    """One webhook, and what it was sent before."""

    url: str
    slack: bool
    marker: Marker
    secret: str | None

    def send(self, news: News) -> None:
        """Post a message once; raise DeliveryError."""
        webhook.send(self.url, news, slack=self.slack, secret=self.secret)


def _check_urls(
    _ctx: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    if not all(value.lower().startswith(("https://", "http://")) for value in values):
        raise click.BadParameter("it has to begin with https://")
    return values


def add_options(
    when: str, *, has_marker: bool = True
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Add `--notify` and its options; they are kept in the context until there is news."""
    marker_option = click.option(
        "--notify-marker",
        metavar="FILE|REF",
        help="Where to remember what was sent: a file, or a git ref (refs/…).",
    )

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @click.option(
            "--notify",
            metavar="URL",
            multiple=True,
            callback=_check_urls,
            help=f"{when} Repeatable. Default: `notify` of the target.",
        )
        @click.option(
            "--notify-format",
            type=click.Choice(("auto", "slack", "json")),
            default="auto",
            show_default=True,
            help=f"slack for what is compatible with it; JSON is signed with {SECRET}.",
        )
        @wraps(command)
        def inner(
            *,
            notify: tuple[str, ...],
            notify_format: str,
            notify_marker: str | None = None,
            **others: Any,
        ) -> int:
            keep_options(notify, notify_format, notify_marker)
            return command(**others)

        return marker_option(inner) if has_marker else inner

    return decorate


def keep_options(urls: tuple[str, ...], form: str, marker: str | None = None) -> None:
    """Keep in the context of the command what it says about notifications."""
    click.get_current_context().meta[_OPTIONS] = NotifyOptions(urls, form, marker)


def is_requested() -> bool:
    """Return whether the command line has `--notify`."""
    return bool(click.get_current_context().meta[_OPTIONS].urls)


def list_receivers(session: Session, target: Target) -> tuple[Receiver, ...]:
    """Return the webhooks of `--notify`, else those of the target.

    A variable that is not set is a warning: not everybody who applies has the URL.
    """
    options: NotifyOptions = click.get_current_context().meta[_OPTIONS]
    urls = options.urls or tuple(_resolve(session, target))
    return tuple(
        _make_receiver(session, options, url, target.name, is_only=len(urls) == 1)
        for url in dict.fromkeys(urls)
    )


def group_receivers(
    session: Session, targets: Iterable[Target]
) -> tuple[tuple[Receiver, tuple[str, ...]], ...]:
    """Return each webhook of a fleet once, with the names of the targets that it hears of."""
    options: NotifyOptions = click.get_current_context().meta[_OPTIONS]
    names: dict[str, list[str]] = {}
    for target in targets:
        for url in dict.fromkeys(options.urls or _resolve(session, target)):
            names.setdefault(url, []).append(target.name)
    return tuple(
        (_make_receiver(session, options, url, _FLEET, is_only=len(names) == 1), tuple(heard))
        for url, heard in names.items()
    )


def _make_receiver(
    session: Session, options: NotifyOptions, url: str, about: str, *, is_only: bool
) -> Receiver:
    """Return a webhook with the marker for what it was sent about a target, or about a fleet."""
    slack = options.format == "slack" or (options.format == "auto" and webhook.is_slack(url))
    digest = _digest_url(about, url)
    place = options.marker or _locate_marker(session, digest)
    if options.marker and not is_only:
        place = f"{place}-{digest}"
    return Receiver(url, slack, Marker(place), session.environ.get(SECRET))


def _resolve(session: Session, target: Target) -> Iterable[str]:
    """Yield the URLs of a target; those in variables only if these are set."""
    for written in target.notify:
        if not written.startswith(_VARIABLE):
            yield written
            continue
        name = written.removeprefix(_VARIABLE)
        if url := session.environ.get(name, "").strip():
            yield url
        else:
            place = target.describe_source("notify")
            session.warn(f"a webhook is not notified: {name} is not set, which {place} names")


def get_run_url(session: Session) -> str | None:
    """Return the page of the build, if this is one."""
    return (session.build.run_url or None) if session.build is not None else None


def send(session: Session, receiver: Receiver, news: News) -> bool:
    """Send a message and return True; warn and return False if that fails."""
    try:
        receiver.send(news)
    except DeliveryError as error:
        session.warn(f"the webhook was not notified: {error.what}: {error.why}")
        return False
    return True


def remember(session: Session, receiver: Receiver, lines: Iterable[str]) -> None:
    """Write what was sent into the marker; warn if that fails."""
    try:
        receiver.marker.write_lines(lines)
    except (OSError, ReconcilerError) as error:
        why = getattr(error, "what", None) or explain_refusal(error)
        place = receiver.marker.place
        session.warn(f"the same will be sent again: {place} cannot be written: {why}")


def _digest_url(target: str, url: str) -> str:
    """Return a name for a webhook, whose URL is a secret."""
    return hashlib.sha256(f"{target}\0{url}".encode()).hexdigest()[:16]


def _locate_marker(session: Session, digest: str) -> str:
    return os.fspath(session.folder() / ".reconciler" / "notified" / digest)
