"""A word to a chat or a program when the state has changed. Names and counts, never a value.

Slack and what is compatible with it gets a text; anything else gets JSON, signed if there is a
secret.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.forge.http import Caller, Patience, origin_of

SIGNATURE: Final = "X-Reconciler-Signature-256"  # sha256=<hex of HMAC-SHA256 over the body>
_LISTED: Final = 20
_DEADLINE_S: Final = 5.0  # a chat that is slower than this is not waited for
_SLACK: Final = ("https://hooks.slack.com/", "https://hooks.slack-gov.com/")


@dataclass(frozen=True, slots=True)
class News:
    """What has come to be: the state, and the names of what is concerned."""

    event: str  # "drift" or "clean"
    target: str
    digest: str  # of the state: equal digests are one state
    addresses: Sequence[str] = ()
    more: int = 0  # addresses that are not listed
    url: str | None = None  # of the build

    @property
    def title(self) -> str:
        """One line."""
        total = len(self.addresses) + self.more
        if self.event == "clean":
            return f"PostHog matches the files again: {self.target}"
        noun = "resource" if total == 1 else "resources"
        return f"PostHog has drifted: {total} {noun} of {self.target}"


def is_slack(url: str) -> bool:
    """Whether a URL is one of Slack's own; what is merely compatible has to be named."""
    return url.startswith(_SLACK)


def send(
    url: str,
    news: News,
    *,
    slack: bool,
    secret: str | None = None,
    patience: Patience | None = None,
) -> None:
    """Post it once; raises ForgeError, without the URL's path, which is a secret."""
    origin, path = origin_of(url, what="--notify")
    body = json.dumps(_text(news) if slack else _document(news), sort_keys=True).encode()
    headers = {"Content-Type": "application/json"}
    if secret and not slack:
        mark = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers[SIGNATURE] = f"sha256={mark}"
    caller = Caller(origin, {}, patience or Patience(deadline_s=_DEADLINE_S), hidden=True)
    caller.post_bytes("POST", path or "/", body, headers)


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


def _text(news: News) -> dict[str, str]:
    """Slack's mrkdwn; `&<>` are the only characters that it takes for markup in a name."""
    lines = [_escaped(news.title)]
    lines += [f"• `{_escaped(one).replace('`', chr(39))}`" for one in news.addresses[:_LISTED]]
    left = len(news.addresses[_LISTED:]) + news.more
    lines += [f"… and {left} more"] if left else []
    lines += [f"<{_escaped(news.url)}|the run>"] if news.url else []
    return {"text": "\n".join(lines)}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
