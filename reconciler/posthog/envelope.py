"""The body of a refusal: PostHog's standard envelope (contract 1.3) or any of its bare bodies."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.posthog import bodies
from reconciler.posthog.redaction import redact

_LONGEST_CODE: Final = 100


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the body of a refusal says (contract 1.3), as far as it says it."""

    type: str = ""
    code: str = ""
    attr: str | None = None
    detail: str = ""
    body: Mapping[str, Any] | None = None


def read_envelope(raw: bytes) -> Envelope:
    """What a refusal says, from the standard envelope or from any of the bare bodies."""
    try:
        body = bodies.parse(raw)
    except ValueError:
        return Envelope()
    if isinstance(body, str):
        return Envelope(detail=body)
    if not isinstance(body, dict):
        return Envelope(detail=_compact(body) if body else "")
    return Envelope(
        type=_text(body.get("type")),
        code=_text(body.get("code")),
        attr=_text(body.get("attr")) or None,
        detail=_detail(body),
        body=body,
    )


def _detail(body: Mapping[str, Any]) -> str:
    for name in ("detail", "error", "message", "validation_errors"):
        if said := body.get(name):
            text = said if isinstance(said, str) else _compact(said)
            reason = body.get("reason")
            return f"{text}: {reason}" if isinstance(reason, str) and reason else text
    return "" if not body else _compact(body)


def _text(value: Any) -> str:
    return redact(value)[:_LONGEST_CODE] if isinstance(value, str) else ""


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
