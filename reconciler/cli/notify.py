"""`--notify URL`: a word when the state has changed, and a marker of what was told last.

The result never depends on it: what cannot be told is a warning.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.session import Session
from reconciler.errors import DeliveryError, GitError, ReconcilerError

if TYPE_CHECKING:
    from reconciler.ci.webhook import News
    from reconciler.model import Address, Plan

SECRET = "RECONCILER_NOTIFY_SECRET"  # noqa: S105  the name of the variable, not its value
LISTED = 100
CLEAN = "clean"
_WISH = "reconciler.notify"


@dataclass(frozen=True, slots=True)
class Wish:
    """Who is to be told, in which form, and where is kept what was told."""

    url: str
    form: str
    marker: str | None


def _judged(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.lower().startswith(("https://", "http://")):
        raise click.BadParameter("it has to begin with https://")
    return value


def notified(command: Callable[..., int]) -> Callable[..., int]:
    """Adds `--notify` and what belongs to it; kept in the context until there is news."""

    @click.option(
        "--notify",
        metavar="URL",
        callback=_judged,
        help="Tell a webhook when the state has changed.",
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
        help="Where the state told last is kept: a file, or a git ref (refs/…).",
    )
    @wraps(command)
    def inner(
        *, notify: str | None, notify_format: str, notify_marker: str | None, **asked: Any
    ) -> int:
        if notify is not None:
            click.get_current_context().meta[_WISH] = Wish(notify, notify_format, notify_marker)
        return command(**asked)

    return inner


def is_wanted() -> bool:
    """Whether this run was asked to tell somebody."""
    return click.get_current_context().meta.get(_WISH) is not None


@dataclass(frozen=True, slots=True)
class Marker:
    """Where the state that was told last is remembered: a file, or a git ref."""

    place: str

    def read(self) -> str | None:
        """The digest that was told last; None if none was, or if it cannot be read."""
        from reconciler.config import git

        try:
            if self.place.startswith("refs/"):
                return git.read_text(self.place, cwd=Path.cwd())
            return Path(self.place).read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError, GitError):
            return None

    def write(self, digest: str) -> None:
        """Remember a digest; OSError or ReconcilerError if it cannot be."""
        from reconciler.cli import files
        from reconciler.config import git
        from reconciler.config.files import check_output

        if self.place.startswith("refs/"):
            git.write_text(self.place, digest, cwd=Path.cwd(), message="reconciler drift --notify")
            return
        check_output(Path(self.place))  # before a folder is made
        Path(self.place).parent.mkdir(parents=True, exist_ok=True)
        files.write_private(self.place, f"{digest}\n")


def drift(session: Session, found: "Plan") -> None:
    """Tell of drift that is new, other than before, or gone; nothing where nothing has changed."""
    wish = click.get_current_context().meta.get(_WISH)
    if wish is None:
        return
    from reconciler.ci import webhook
    from reconciler.evidence import LEFT_OUT

    news = _news(session, found)
    if news.event == CLEAN and any(one.code in LEFT_OUT for one in found.findings):
        return  # no word: there is drift that was not asked for
    kept = Marker(wish.marker or _default(session, found.target, wish.url))
    if kept.read() == news.digest or (news.event == CLEAN and kept.read() is None):
        return
    slack = wish.form == "slack" or (wish.form == "auto" and webhook.is_slack(wish.url))
    try:
        webhook.send(wish.url, news, slack=slack, secret=session.environ.get(SECRET))
    except DeliveryError as error:
        session.warn(f"nobody was notified: {error.what}: {error.why}")
        return
    try:
        kept.write(news.digest)
    except (OSError, ReconcilerError) as error:
        why = getattr(error, "what", None) or getattr(error, "strerror", None) or str(error)
        session.warn(f"the same will be told again, {kept.place} cannot be written: {why}")


def _news(session: Session, found: "Plan") -> "News":
    """Names and a digest of the state. Values go into the digest alone, and nowhere else."""
    from reconciler import planfile
    from reconciler.ci.webhook import News

    moved = [change for change in found.writes if change.hold is None]
    state = [
        [
            str(change.address),
            change.action,
            [[one.path, one.live, one.desired] for one in change.fields],
        ]
        for change in sorted(moved, key=lambda change: str(change.address))
    ]
    text = json.dumps(planfile.plain(state), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest() if moved else CLEAN
    names = [_name(change.address) for change in moved]
    return News(
        event="drift" if moved else CLEAN,
        target=found.target,
        digest=digest,
        addresses=names[:LISTED],
        more=max(0, len(names) - LISTED),
        url=_run_url(session),
    )


def _name(address: "Address") -> str:
    """An address for a chat that many people read: a member goes by initials."""
    from reconciler import planfile
    from reconciler.drift import identities

    if address.kind == "Member":
        initials = identities.named(address.name, "initials") or "?"
        address = address._replace(parts=(*address.parts[:-1], initials))
    return planfile.redact(str(address))


def _run_url(session: Session) -> str | None:
    """The page of the build, for people to open."""
    environ = session.environ
    if url := environ.get("CI_JOB_URL"):
        return url
    parts = [environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    return f"{parts[0]}/{parts[1]}/actions/runs/{parts[2]}" if all(parts) else None


def _default(session: Session, target: str, url: str) -> str:
    """A file beside the journals; the URL, which is a secret, only as a digest."""
    name = hashlib.sha256(f"{target}\0{url}".encode()).hexdigest()[:16]
    return os.fspath(session.folder() / ".reconciler" / "notified" / name)
