"""Errors of the sandbox itself, and the refusals of the emulated API in PostHog's own words.

Exception
    SandboxError        the sandbox cannot start, or a control call is invalid
        SeedError       the seed document is wrong; the message begins with the place
    ApiError            the standard envelope of contract 1.3, as a response to a caller
        NotModelled     404 for what PostHog has and the sandbox does not
"""

from collections.abc import Mapping
from typing import Any

from reconciler.sandbox.protocol.messages import Response


class SandboxError(Exception):
    """The sandbox cannot do what it was started or called for; the message is for people."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SeedError(SandboxError):
    """A seed document is wrong; the message has the place and the reason."""


class ApiError(Exception):
    """A refusal in the standard envelope (contract 1.3)."""

    def __init__(
        self,
        status: int,
        *,
        type: str,  # noqa: A002 - the name in the envelope
        code: str,
        detail: str,
        attr: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.type = type
        self.code = code
        self.detail = detail
        self.attr = attr
        self.headers = dict(headers or {})

    def to_response(self) -> Response:
        """Return the error as the response that a caller reads."""
        body: dict[str, Any] = {
            "type": self.type,
            "code": self.code,
            "detail": self.detail,
            "attr": self.attr,
        }
        return Response(self.status, body, self.headers)


class NotModelled(ApiError):  # noqa: N818 - a limit of the sandbox, not a failure
    """PostHog has this, the sandbox does not: 404, with a body that says so."""

    def __init__(self) -> None:
        detail = "not modelled by the sandbox"
        super().__init__(404, type="invalid_request", code="not_found", detail=detail)

    def to_response(self) -> Response:
        """Return the error with its `detail` only."""
        return Response(self.status, {"detail": self.detail})


def invalid(detail: str, attr: str | None = None, *, code: str = "invalid_input") -> ApiError:
    """Return 400: a value was refused."""
    return ApiError(400, type="validation_error", code=code, detail=detail, attr=attr)


def required(attr: str) -> ApiError:
    """Return 400: a field is missing."""
    return invalid("This field is required.", attr, code="required")


def null(attr: str) -> ApiError:
    """Return 400: a field must not be null."""
    return invalid("This field may not be null.", attr, code="null")


def parse_error(detail: str) -> ApiError:
    """Return 400: the body is not JSON."""
    return ApiError(400, type="invalid_request", code="parse_error", detail=detail)


def not_found(detail: str = "Not found.") -> ApiError:
    """Return 404."""
    return ApiError(404, type="invalid_request", code="not_found", detail=detail)


def forbidden(detail: str = "You do not have permission to perform this action.") -> ApiError:
    """Return 403, with the envelope of contract 1.2."""
    return ApiError(403, type="authentication_error", code="permission_denied", detail=detail)


def payment_required(feature: str) -> ApiError:
    """Return 402: the plan lacks a feature (contract 1.4)."""
    detail = f"{feature} requires a paid PostHog plan. Please upgrade to access this feature."
    return ApiError(402, type="server_error", code="payment_required", detail=detail)


def conflict(detail: str) -> ApiError:
    """Return 409: an optimistic-concurrency check failed (contract 9.4)."""
    return ApiError(409, type="server_error", code="conflict", detail=detail)


def server_error(detail: str = "A server error occurred.") -> ApiError:
    """Return 500."""
    return ApiError(500, type="server_error", code="error", detail=detail)


def throttled(seconds: int) -> ApiError:
    """Return 429, with the body and the header of contract 1.5."""
    unit = "second" if seconds == 1 else "seconds"
    return ApiError(
        429,
        type="throttled_error",
        code="throttled",
        detail=f"Request was throttled. Expected available in {seconds} {unit}.",
        headers={"Retry-After": str(seconds)},
    )
