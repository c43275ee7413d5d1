"""Notify a chat or a program: of a state that has changed, of a request that waits for people.

Slack, and services compatible with it, get a text; any other receiver gets JSON, which is signed
if there is a secret.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from reconciler.ci.http import OriginClient, split_origin
from reconciler.lazy_dataclass import dataclass

SIGNATURE: Final = "X-Reconciler-Signature-256"  # sha256=<hex of HMAC-SHA256 over the body>
_LISTED: Final = 20
_DEADLINE_S: Final = 5.0  # a run does not wait longer for a slow chat
_SLACK: Final = ("https://hooks.slack.com/", "https://hooks.slack-gov.com/")


@dataclass(frozen=True, slots=True)
class News:
    """What has happened, and the names of the resources that it concerns."""

    event: str  # "drift" or "clean"; "approval-requested" or "approval-expires"
    target: str
    title: str  # the message in one line
    digest: str = ""  # of the state: equal digests are one state
    addresses: Sequence[str] = ()
    more: int = 0  # addresses that are not listed
    url: str | None = None  # of the build
    request: Mapping[str, Any] | None = None  # facts about a change request, for programs
    notes: Sequence[str] = ()  # the same as sentences, for people
    page: str | None = None  # where people act
    command: str = ""  # with which they act
    targets: Sequence[str] = ()  # of a fleet; `target` is then a phrase
    requests: Sequence[Mapping[str, Any]] = ()  # facts about several change requests


def is_slack(url: str) -> bool:
    """Return whether a URL belongs to Slack; compatible services need --notify-format slack."""
    return url.startswith(_SLACK)


def send(url: str, news: News, *, slack: bool, secret: str | None = None) -> None:
    """Post the news once; raise DeliveryError, without the path of the URL, which is a secret."""
    origin, path = split_origin(url, what="the webhook")
    message = _build_slack_message(news) if slack else _build_document(news)
    body = json.dumps(message, sort_keys=True).encode()
    headers = {"Content-Type": "application/json"}
    if secret and not slack:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers[SIGNATURE] = f"sha256={digest}"
    client = OriginClient(origin, deadline_s=_DEADLINE_S, hides_path=True)
    client.send_bytes("POST", path or "/", body, headers)


def _build_document(news: News) -> dict[str, Any]:
    return {
        "format_version": 1,
        "event": news.event,
        "target": news.target,
        "digest": news.digest,
        "title": news.title,
        "addresses": list(news.addresses),
        "more": news.more,
        "url": news.url,
        **({"request": dict(news.request)} if news.request is not None else {}),
        **({"command": news.command} if news.command else {}),
        **({"targets": list(news.targets)} if news.targets else {}),
        **({"requests": [dict(row) for row in news.requests]} if news.requests else {}),
    }


def _build_slack_message(news: News) -> dict[str, str]:
    """Return Slack's mrkdwn, in which `&<>` are the only characters that are markup in a name."""
    lines = [_escape(news.title)]
    listed = () if news.request is not None else news.addresses[:_LISTED]  # the title names it
    names = [_escape(address).replace("`", "'") for address in listed]
    lines += [f"• `{name}`" for name in names]
    not_listed = len(news.addresses[_LISTED:]) + news.more
    lines += [f"… and {not_listed} more"] if not_listed else []
    lines += [_escape(note) for note in news.notes]
    lines += [f"`{_escape(news.command)}`"] if news.command else []
    links = [(news.page, "open it in PostHog"), (news.url, "the run")]
    lines += [f"<{_escape(url)}|{label}>" for url, label in links if url]
    return {"text": "\n".join(lines)}


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
