"""Notify a chat or a program when the state has changed: names and counts, never a value.

Slack, and services compatible with it, get a text; any other receiver gets JSON, which is signed
if there is a secret.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.ci.http import OriginClient, split_origin

SIGNATURE: Final = "X-Reconciler-Signature-256"  # sha256=<hex of HMAC-SHA256 over the body>
_LISTED: Final = 20
_DEADLINE_S: Final = 5.0  # a run does not wait longer for a slow chat
_SLACK: Final = ("https://hooks.slack.com/", "https://hooks.slack-gov.com/")


@dataclass(frozen=True, slots=True)
class News:
    """A new state, and the names of the resources that it concerns."""

    event: str  # "drift" or "clean"
    target: str
    digest: str  # of the state: equal digests are one state
    addresses: Sequence[str] = ()
    more: int = 0  # addresses that are not listed
    url: str | None = None  # of the build

    @property
    def title(self) -> str:
        """Return the message in one line."""
        total = len(self.addresses) + self.more
        if self.event == "clean":
            return f"PostHog matches the files again: {self.target}"
        noun = "resource" if total == 1 else "resources"
        return f"PostHog has drifted: {total} {noun} of {self.target}"


def is_slack(url: str) -> bool:
    """Return whether a URL belongs to Slack; compatible services need --notify-format slack."""
    return url.startswith(_SLACK)


def send(url: str, news: News, *, slack: bool, secret: str | None = None) -> None:
    """Post the news once; raise DeliveryError, without the path of the URL, which is a secret."""
    origin, path = split_origin(url, what="--notify")
    message = _slack_message(news) if slack else _document(news)
    body = json.dumps(message, sort_keys=True).encode()
    headers = {"Content-Type": "application/json"}
    if secret and not slack:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers[SIGNATURE] = f"sha256={digest}"
    client = OriginClient(origin, deadline_s=_DEADLINE_S, hides_path=True)
    client.send_bytes("POST", path or "/", body, headers)


def _document(news: News) -> dict[str, Any]:
    return {
        "format_version": 1,
        "event": news.event,
        "target": news.target,
        "digest": news.digest,
        "title": news.title,
        "addresses": list(news.addresses),
        "more": news.more,
        "url": news.url,
    }


def _slack_message(news: News) -> dict[str, str]:
    """Return Slack's mrkdwn, in which `&<>` are the only characters that are markup in a name."""
    lines = [_escape(news.title)]
    names = [_escape(address).replace("`", "'") for address in news.addresses[:_LISTED]]
    lines += [f"• `{name}`" for name in names]
    not_listed = len(news.addresses[_LISTED:]) + news.more
    lines += [f"… and {not_listed} more"] if not_listed else []
    lines += [f"<{_escape(news.url)}|the run>"] if news.url else []
    return {"text": "\n".join(lines)}


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
