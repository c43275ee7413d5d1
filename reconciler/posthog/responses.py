"""The body of a refusal: PostHog's standard envelope (contract 1.3) or any of its bare bodies."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from reconciler import errors
from reconciler.posthog import body as posthog_body
from reconciler.posthog import error_hints, response_shapes
from reconciler.posthog.redaction import cut, redact
from reconciler.posthog.retry_policy import asked_wait_s

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
        body = posthog_body.parse(raw)
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


_SNIPPET: Final = 120
NOT_APPLIED: Final = "sent, not applied"
_OK: Final = 200
_WRITTEN: Final = (200, 201)  # of PostHog's own answers to a write that is not a DELETE
_NO_CONTENT: Final = 204
_REDIRECTS, _REFUSALS, _FAILURES = 300, 400, 500  # the first status of each family
_BAD_REQUEST: Final = 400
_TIMED_OUT: Final = 408  # of the 4xx the only one after which a write may have happened
_CONFLICT: Final = 409
_TOO_EARLY: Final = 425
# What PostHog, or HTTP itself, says before a write is carried out. Another 4xx may come after it.
_DEFINITE: Final = frozenset(
    {400, 401, 402, 403, 404, 405, 406, 410, 411, 413, 414, 415, 422, 429, 431}
)

_CLASSES: Final[Mapping[int, type[errors.ApiError]]] = {
    401: errors.AuthenticationError,
    402: errors.PaymentRequiredError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    410: errors.NotFoundError,
    429: errors.ThrottledError,
}
_PHRASES: Final[Mapping[type[errors.ApiError], str]] = {
    errors.AuthenticationError: "PostHog does not accept the key",
    errors.PaymentRequiredError: "the organization's plan lacks the feature",
    errors.PermissionDeniedError: "not allowed",
    errors.NotFoundError: "not found, or not visible to this key",
    errors.ThrottledError: "too many requests",
    errors.ServerError: "PostHog failed",
    errors.AmbiguousError: "PostHog failed after the write was sent",
    errors.InvalidRequestError: "PostHog refused the request",
    errors.PolicyConflictError: "the write meets several approval policies at once",
    errors.VersionConflictError: "somebody else wrote in between",
    errors.ApprovalRequiredError: "approval is required; a change request was filed",
    errors.ChangeRequestPendingError: "a change request is open already",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A request as its errors name it: without host, query and body."""

    method: str
    path: str

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer: status, headers with names in lower case, decoded body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def read(call: Call, answer: Response, *, key_source: str = "", now: float = 0.0) -> Any:
    """The parsed body, None for an answer without one, or the error that the answer is.

    Args:
        call: what was asked.
        answer: what came.
        key_source: the variable that held the key, for the message of a 401.
        now: seconds since 1970, for a Retry-After that is a date.

    """
    if answer.status < _REDIRECTS:
        return _success(call, answer)
    if answer.status < _REFUSALS:
        raise _redirect(call, answer)
    raise _refusal(call, answer, key_source, now)


def _success(call: Call, answer: Response) -> Any:
    """Check a 2xx: only some statuses mean that the call was carried out, or is whole."""
    if call.method == "DELETE":
        if answer.status == _NO_CONTENT or (answer.status == _OK and not answer.body):
            return None
        raise unreadable(call, answer, "which does not show that the object is gone")
    if call.writes and answer.status not in _WRITTEN:
        raise unreadable(call, answer, "which does not show what was written")
    if not call.writes and answer.status != _OK:
        raise unreadable(call, answer, "which is not a complete answer to a read")
    kind = answer.headers.get("content-type", "")
    if kind and "json" not in kind.lower():
        raise unreadable(call, answer, f"{kind.partition(';')[0]} is not JSON")
    try:
        return posthog_body.parse(answer.body)
    except ValueError as error:
        raise unreadable(call, answer, str(error)) from None


def unreadable(call: Call, answer: Response, reason: str, *, code: str = "") -> errors.ApiError:
    """An answer came that cannot be read. After a write that is an unknown outcome."""
    start = ascii(answer.body[:_SNIPPET].decode(errors="replace"))
    begins = f"; it begins {start}" if answer.body else ""
    return lost(
        call,
        "the answer cannot be read",
        f"HTTP {answer.status}, {reason}{begins}",
        status=answer.status,
        code=code,
        fix="check that the host is PostHog itself, not a login page or a proxy",
    )


def lost(
    call: Call,
    phrase: str,
    why: str,
    *,
    status: int | None = None,
    code: str = "",
    fix: str | None = None,
) -> errors.ApiError:
    """No answer that can be used: unreadable for a read, an unknown outcome for a write."""
    facts: dict[str, Any] = {
        "method": call.method,
        "path": redact(call.path),
        "status": status,
        "code": code,
        "why": cut(why),
    }
    if call.writes:
        return errors.AmbiguousError(redact(f"{call}: {phrase}"), **facts)
    return errors.UnreadableError(redact(f"{call}: {phrase}"), **facts, fix=fix)


def not_sent(
    call: Call, why: str, *, code: str = "", fix: str | None = None
) -> errors.UnreachableError:
    """The request never left."""
    return errors.UnreachableError(
        redact(f"{call}: PostHog cannot be reached"),
        method=call.method,
        path=redact(call.path),
        code=code,
        why=cut(why),
        fix=fix,
    )


def _redirect(call: Call, answer: Response) -> errors.ApiError:
    """Refuse a redirect: after a write, its sender may have carried the write out first."""
    target = _origin(answer.headers.get("location", ""))
    where = f"to {target}" if target else "to another path"
    cls = errors.AmbiguousError if call.writes else errors.UnreadableError
    return cls(
        cut(f"{call}: PostHog redirects {where}"),
        method=call.method,
        path=redact(call.path),
        status=answer.status,
        why=f"HTTP {answer.status}; a redirect is not followed, because the key would go along",
        fix=cut(f"if PostHog lives there, make {target} the host")
        if target
        else "check that the host is PostHog itself, not a login page or a proxy",
    )


def _origin(location: str) -> str:
    try:
        parts = urlsplit(location)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""


def _refusal(call: Call, answer: Response, key_source: str, now: float) -> errors.ApiError:
    envelope = read_envelope(answer.body)
    cls = _class(call, answer.status, envelope)
    if cls is None:
        return unreadable(call, answer, "which does not say whether anything was carried out")
    words = f"{envelope.type}/{envelope.code}".strip("/")
    about = f", {envelope.attr}" if envelope.attr else ""
    why = f"HTTP {answer.status} {words}{about}: {envelope.detail}".replace(" :", ":")
    facts: dict[str, Any] = {
        "method": call.method,
        "path": redact(call.path),
        "status": answer.status,
        "code": envelope.code,
        "type": envelope.type,
        "attr": envelope.attr,
        "detail": cut(envelope.detail),
        "body": envelope.body if answer.status in (_BAD_REQUEST, _CONFLICT) else None,
        "why": cut(why.removesuffix(": ")),
        "state": _state(call, cls),
        "fix": error_hints.fix(
            cls,
            path=call.path,
            detail=envelope.detail,
            attr=envelope.attr if call.writes else None,
            code=envelope.code,
            body=envelope.body,
            key_source=key_source,
        ),
    }
    what = redact(f"{call}: {_PHRASES[cls]}")
    if issubclass(cls, errors.ThrottledError):
        asked = asked_wait_s(answer.headers.get("retry-after"), envelope.detail, now)
        return cls(what, retry_after_s=asked, **facts)
    if issubclass(cls, errors.ApprovalRequiredError):
        return cls(what, **_change_request(envelope.body or {}), **facts)
    return cls(what, **facts)


def _state(call: Call, cls: type[errors.ApiError]) -> str | None:
    """None is the class's own sentence."""
    if not call.writes:
        return errors.ApiError.default_state
    own = (errors.AmbiguousError, errors.ApprovalRequiredError, errors.ThrottledError)
    return None if issubclass(cls, own) else NOT_APPLIED


def _class(call: Call, status: int, envelope: Envelope) -> type[errors.ApiError] | None:
    """Return the error of a status and envelope; None if a write may have been carried out."""
    if status >= _FAILURES or status == _TIMED_OUT:
        return errors.AmbiguousError if call.writes else errors.ServerError
    if status == _TOO_EARLY:
        return errors.ServerError
    if status == _CONFLICT:
        found = _conflict(call, envelope)
        return found if found or call.writes else errors.InvalidRequestError
    # The first generation of the gate flattens its answer until only these words are left
    # (contract 5.5): the one place where `detail` decides.
    if status == _BAD_REQUEST and "policy_conflict" in (envelope.code, envelope.detail):
        return errors.PolicyConflictError
    if call.writes and status not in _DEFINITE:
        return None
    return _CLASSES.get(status, errors.InvalidRequestError)


def _conflict(call: Call, envelope: Envelope) -> type[errors.ApiError] | None:
    """Read a 409 in PostHog's own words; any other may have filed a request (contract 5.3)."""
    body = envelope.body or {}
    if envelope.code == "conflict" and call.method in ("GET", "PATCH"):
        return errors.VersionConflictError
    if not _change_request(body)["change_request_id"]:
        return None
    if envelope.code == "change_request_pending" or "existing_change_request" in body:
        return errors.ChangeRequestPendingError
    known = envelope.code == "approval_required" or "change_request_id" in body
    return errors.ApprovalRequiredError if known else None


def _change_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """Both forms of the gate's 409 (contract 5.3 and 5.4)."""
    found = body.get("change_request") or body.get("existing_change_request")
    request = found if isinstance(found, Mapping) else {}
    if response_shapes.oddity(request, response_shapes.FILED):
        request = {}
    id_ = body.get("change_request_id") or request.get("id")
    return {"change_request_id": id_ if isinstance(id_, str) else "", "change_request": request}
