"""Read responses: parsed bodies, or the error that a refusal means (contract 1.3)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from reconciler import errors
from reconciler.lazy_dataclass import dataclass
from reconciler.normal_form import encrypted_payloads
from reconciler.posthog import body as posthog_body
from reconciler.posthog import error_hints, response_shapes
from reconciler.posthog.redaction import cut_line, redact
from reconciler.posthog.retry_policy import parse_requested_wait_s

_LONGEST_CODE: Final = 100


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """Hold what the body of a refusal says (contract 1.3), as far as it says it."""

    type: str = ""
    code: str = ""
    attr: str | None = None
    detail: str = ""
    body: Mapping[str, Any] | None = None


def read_error_body(raw: bytes) -> ErrorBody:
    """Read a refusal from the standard envelope or from any of the bare bodies."""
    try:
        body = encrypted_payloads.conceal(posthog_body.parse(raw))
    except ValueError:
        return ErrorBody()
    if isinstance(body, str):
        return ErrorBody(detail=body)
    if not isinstance(body, dict):
        return ErrorBody(detail=_dump_compact(body) if body else "")
    return ErrorBody(
        type=_shorten_code(body.get("type")),
        code=_shorten_code(body.get("code")),
        attr=_shorten_code(body.get("attr")) or None,
        detail=_extract_detail(body),
        body=body,
    )


def _extract_detail(body: Mapping[str, Any]) -> str:
    for name in ("detail", "error", "message", "validation_errors"):
        if value := body.get(name):
            text = value if isinstance(value, str) else _dump_compact(value)
            reason = body.get("reason")
            return f"{text}: {reason}" if isinstance(reason, str) and reason else text
    return "" if not body else _dump_compact(body)


def _shorten_code(value: Any) -> str:
    return redact(value)[:_LONGEST_CODE] if isinstance(value, str) else ""


def _dump_compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_SNIPPET: Final = 120
_REQUESTS: Final = frozenset({"change_request", "existing_change_request"})
NOT_APPLIED: Final = "sent, not applied"
_OK: Final = 200
_WRITTEN: Final = (200, 201)  # of responses to a write that is not a DELETE
_NO_CONTENT: Final = 204
_REDIRECTS, _REFUSALS, _FAILURES = 300, 400, 500  # the first status of each family
_BAD_REQUEST: Final = 400
_TIMED_OUT: Final = 408  # the only 4xx after which a write may have happened
_CONFLICT: Final = 409
_TOO_EARLY: Final = 425
# Statuses that mean that a write was not carried out. Other 4xx may come after it was.
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
    """Name a request in errors: without host, query and body."""

    method: str
    path: str

    @property
    def writes(self) -> bool:
        """Return whether the request may change something."""
        return self.method != "GET"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Response:
    """Hold a whole response: status, headers with names in lower case, decoded body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def read_response(
    call: Call,
    response: Response,
    *,
    key_source: str = "",
    now: float = 0.0,
    secrets: tuple[str, ...] = (),
) -> Any:
    """Return the parsed body, None for a response without one, or raise its error.

    Args:
        call: the request.
        response: its response.
        key_source: the variable of the key, for the message of a 401.
        now: seconds since 1970, for a Retry-After that is a date.
        secrets: payloads in the request, which no error may quote.

    """
    if secrets:
        response = _withhold_quotes(response, secrets)
    if response.status < _REDIRECTS:
        return _read_success(call, response)
    if response.status < _REFUSALS:
        raise _build_redirect(call, response)
    raise _build_refusal(call, response, key_source, now)


def _withhold_quotes(response: Response, secrets: tuple[str, ...]) -> Response:
    """Return the response without texts that quote a secret of the request."""
    try:
        body = posthog_body.parse(response.body)
    except ValueError:
        body = None
    if isinstance(body, dict) and response.status < _REDIRECTS:
        return response  # an object or a change request: concealed when it is read
    if not encrypted_payloads.quotes_any(response.body.decode(errors="replace"), secrets):
        return response
    if not isinstance(body, dict):
        return replace(response, body=encrypted_payloads.WITHHELD.encode())
    shown = {
        name: value
        if name in _REQUESTS or not encrypted_payloads.quotes_any(_dump_compact(value), secrets)
        else encrypted_payloads.WITHHELD
        for name, value in body.items()
    }
    return replace(response, body=_dump_compact(shown).encode())


def _read_success(call: Call, response: Response) -> Any:
    """Check a 2xx: only some statuses mean that the call was carried out, or is whole."""
    if call.method == "DELETE":
        if response.status == _NO_CONTENT or (response.status == _OK and not response.body):
            return None
        raise build_unreadable(call, response, "which does not show that the object was deleted")
    if call.method == "PUT" and response.status == _NO_CONTENT:
        return None  # a deleted part; the caller reads the whole back
    if call.writes and response.status not in _WRITTEN:
        raise build_unreadable(call, response, "which does not show what was written")
    if not call.writes and response.status != _OK:
        raise build_unreadable(call, response, "which is not a complete response to a read")
    kind = response.headers.get("content-type", "")
    if kind and "json" not in kind.lower():
        raise build_unreadable(call, response, f"{kind.partition(';')[0]} is not JSON")
    try:
        return encrypted_payloads.conceal(posthog_body.parse(response.body))
    except ValueError as error:
        raise build_unreadable(call, response, str(error)) from None


def build_unreadable(
    call: Call, response: Response, reason: str, *, code: str = ""
) -> errors.ApiError:
    """Return the error of a response that cannot be read: after a write, an unknown outcome."""
    start = ascii(response.body[:_SNIPPET].decode(errors="replace"))
    begins = f"; it begins with {start}" if response.body else ""
    return build_lost(
        call,
        "the response cannot be read",
        f"HTTP {response.status}, {reason}{begins}",
        status=response.status,
        code=code,
        fix="check that the host is PostHog itself, not a login page or a proxy",
    )


def build_lost(
    call: Call,
    phrase: str,
    why: str,
    *,
    status: int | None = None,
    code: str = "",
    fix: str | None = None,
) -> errors.ApiError:
    """Return the error of a call without a usable response: after a write, an unknown outcome."""
    facts: dict[str, Any] = {
        "method": call.method,
        "path": redact(call.path),
        "status": status,
        "code": code,
        "why": cut_line(why),
    }
    if call.writes:
        return errors.AmbiguousError(redact(f"{call}: {phrase}"), **facts)
    return errors.UnreadableError(redact(f"{call}: {phrase}"), **facts, fix=fix)


def build_not_sent(
    call: Call, why: str, *, code: str = "", fix: str | None = None
) -> errors.UnreachableError:
    """Return the error of a request that was not sent."""
    return errors.UnreachableError(
        redact(f"{call}: PostHog cannot be reached"),
        method=call.method,
        path=redact(call.path),
        code=code,
        why=cut_line(why),
        fix=fix,
    )


def _build_redirect(call: Call, response: Response) -> errors.ApiError:
    """Refuse a redirect: after a write, its sender may have carried the write out first."""
    target = _find_origin(response.headers.get("location", ""))
    where = f"to {target}" if target else "to another path"
    cls = errors.AmbiguousError if call.writes else errors.UnreadableError
    return cls(
        cut_line(f"{call}: PostHog redirects {where}"),
        method=call.method,
        path=redact(call.path),
        status=response.status,
        why=f"HTTP {response.status}; a redirect is not followed, because the key would go along",
        fix=cut_line(f"if PostHog lives there, make {target} the host")
        if target
        else "check that the host is PostHog itself, not a login page or a proxy",
    )


def _find_origin(location: str) -> str:
    try:
        parts = urlsplit(location)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else ""


def _build_refusal(call: Call, response: Response, key_source: str, now: float) -> errors.ApiError:
    error_body = read_error_body(response.body)
    cls = _choose_class(call, response.status, error_body)
    if cls is None:
        return build_unreadable(
            call, response, "which does not show whether the request was carried out"
        )
    words = f"{error_body.type}/{error_body.code}".strip("/")
    about = f", {error_body.attr}" if error_body.attr else ""
    why = f"HTTP {response.status} {words}{about}: {error_body.detail}".replace(" :", ":")
    facts: dict[str, Any] = {
        "method": call.method,
        "path": redact(call.path),
        "status": response.status,
        "code": error_body.code,
        "type": error_body.type,
        "attr": error_body.attr,
        "detail": cut_line(error_body.detail),
        "body": error_body.body if response.status in (_BAD_REQUEST, _CONFLICT) else None,
        "why": cut_line(why.removesuffix(": ")),
        "state": _choose_state(call, cls),
        "fix": error_hints.suggest_fix(
            cls,
            path=call.path,
            detail=error_body.detail,
            attr=error_body.attr if call.writes else None,
            code=error_body.code,
            body=error_body.body,
            key_source=key_source,
        ),
    }
    what = redact(f"{call}: {_PHRASES[cls]}")
    if issubclass(cls, errors.ThrottledError):
        requested_wait_s = parse_requested_wait_s(
            response.headers.get("retry-after"), error_body.detail, now
        )
        return cls(what, retry_after_s=requested_wait_s, **facts)
    if issubclass(cls, errors.ApprovalRequiredError):
        return cls(what, **_extract_change_request(error_body.body or {}), **facts)
    return cls(what, **facts)


def _choose_state(call: Call, cls: type[errors.ApiError]) -> str | None:
    """Return the state that the error names; None for the sentence of its class."""
    if not call.writes:
        return errors.ApiError.default_state
    own = (errors.AmbiguousError, errors.ApprovalRequiredError, errors.ThrottledError)
    return None if issubclass(cls, own) else NOT_APPLIED


def _choose_class(call: Call, status: int, error_body: ErrorBody) -> type[errors.ApiError] | None:
    """Return the error of a status and envelope; None if a write may have been carried out."""
    if status >= _FAILURES or status == _TIMED_OUT:
        return errors.AmbiguousError if call.writes else errors.ServerError
    if status == _TOO_EARLY:
        return errors.ServerError
    if status == _CONFLICT:
        conflict = _classify_conflict(call, error_body)
        return conflict if conflict or call.writes else errors.InvalidRequestError
    # The first generation of the gate keeps only this code, as `detail` (contract 5.5): the only
    # place where `detail` decides.
    if status == _BAD_REQUEST and "policy_conflict" in (error_body.code, error_body.detail):
        return errors.PolicyConflictError
    if call.writes and status not in _DEFINITE:
        return None
    return _CLASSES.get(status, errors.InvalidRequestError)


def _classify_conflict(call: Call, error_body: ErrorBody) -> type[errors.ApiError] | None:
    """Classify a 409 by PostHog's own codes; any other may have filed a request (contract 5.3)."""
    body = error_body.body or {}
    if error_body.code == "conflict" and call.method in ("GET", "PATCH"):
        return errors.VersionConflictError
    if not _extract_change_request(body)["change_request_id"]:
        return None
    if error_body.code == "change_request_pending" or "existing_change_request" in body:
        return errors.ChangeRequestPendingError
    known = error_body.code == "approval_required" or "change_request_id" in body
    return errors.ApprovalRequiredError if known else None


def _extract_change_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """Extract the change request of the gate's 409 in both forms (contract 5.3 and 5.4)."""
    sent = body.get("change_request") or body.get("existing_change_request")
    request = sent if isinstance(sent, Mapping) else {}
    if response_shapes.find_mismatch(request, response_shapes.FILED):
        request = {}
    id_ = body.get("change_request_id") or request.get("id")
    return {"change_request_id": id_ if isinstance(id_, str) else "", "change_request": request}
