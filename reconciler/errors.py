"""Define one family of errors. Each says what, why, the current state and the next step.

ReconcilerError                 exit code 1
├── ConfigError                 1     the files cannot be used; carries every finding
│   └── NothingDeclaredError    1     no document says what it is
├── GitError                    1     git cannot answer
├── TargetError                 1     key, host or target cannot be used
│   └── KeyRefusedError         1     no usable key; the host is fine
├── UsageError                  64    the option parser refused it
├── DeclinedError               1     a person was asked, and answered no
├── GuardrailError              4     refused on purpose; nothing was written
├── JournalError                1     the journal cannot be written, so nothing more is sent
├── DeliveryError               1     a code host or a webhook did not accept a message
├── EngineError                 1     the engine of a fleet cannot be used
└── ApiError                    1     PostHog did not carry out a request
    ├── UnreachableError              not sent: DNS, connect, TLS
    ├── UnreadableError               a response came that cannot be read or trusted
    ├── AmbiguousError                a write was sent and its outcome is unknown
    ├── IncompleteListingError        pages that do not fit together
    ├── AuthenticationError           401
    ├── PaymentRequiredError          402
    ├── PermissionDeniedError         403
    ├── NotFoundError                 404
    ├── InvalidRequestError           400 and other definite refusals
    │   └── PolicyConflictError       400 policy_conflict: split the write
    ├── ApprovalRequiredError         409 approval_required: a change request was filed
    │   └── ChangeRequestPendingError 409 change_request_pending: one is already open
    ├── VersionConflictError          409 conflict: somebody else wrote in between
    ├── ThrottledError                429
    └── ServerError                   5xx
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

APPLY_AGAIN: Final = "run apply again; it re-reads the live state and continues"


class ReconcilerError(Exception):
    """Report that the program cannot continue.

    Args:
        what: one line, the operation and its object.
        why: one line, the cause as far as it is known.
        state: one line, what was and was not changed.
        fix: one line, what the person at the terminal can do next.
        findings: of model.Finding (a higher layer): each reason with its location, if several.

    """

    exit_code: ClassVar[int] = 1
    default_state: ClassVar[str] = "nothing was written"
    default_fix: ClassVar[str] = "fix the cause and run the command again"

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        state: str | None = None,
        fix: str | None = None,
        findings: Sequence[Any] = (),
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.state = self.default_state if state is None else state
        self.fix = self.default_fix if fix is None else fix
        self.has_own_fix = fix is not None  # the sentence of the class is general
        self.findings = tuple(findings)


class ConfigError(ReconcilerError):
    """The files cannot be used. `findings` holds every problem, sorted by location."""

    default_state = "nothing was contacted, nothing was written"
    default_fix = "fix the files and run `reconciler validate`"


class NothingDeclaredError(ConfigError):
    """No document of the files says what it is: they may be files of another program."""


class GitError(ReconcilerError):
    """git is missing, this is not a repository, or a ref cannot be read."""

    default_state = "nothing was contacted, nothing was written"


class TargetError(ReconcilerError):
    """No usable key, host or target."""

    default_state = "nothing was contacted, nothing was written"


class KeyRefusedError(TargetError):
    """No key, or no key that may be sent. The host was checked before."""


class UsageError(ReconcilerError):
    """The option parser refused an option or argument."""

    exit_code = 64
    default_state = "nothing was contacted, nothing was written"
    default_fix = "see --help"


class DeclinedError(ReconcilerError):
    """A person was asked, and answered no. `what` is all that there is to say."""

    default_fix = "run the command again"


class GuardrailError(ReconcilerError):
    """A guardrail stopped the run before any write. `findings` holds each reason, if several."""

    exit_code = 4


class JournalError(ReconcilerError):
    """The journal cannot be written; without it no write is sent."""

    default_fix = "free disk space or choose a writable folder, then run apply again"


class DeliveryError(ReconcilerError):
    """A code host or a webhook did not accept a message; `status` of its response, or None."""

    default_state = "the result is unchanged; it was not reported there"
    default_fix = "check the address, the token and its permissions"

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        state: str | None = None,
        fix: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(what, why=why, state=state, fix=fix)
        self.status = status

    @property
    def may_have_arrived(self) -> bool:
        """Return whether the message may have arrived: no response, or a failure of the host."""
        return self.status is None or self.status >= 500  # noqa: PLR2004  HTTP server errors


class EngineError(ReconcilerError):
    """The engine of a fleet is not installed, not configured, or did not answer."""

    default_state = "nothing was started"


class ApiError(ReconcilerError):
    """PostHog did not carry out a request.

    Decide on the class, or on `code`, `type` and `attr`; never on `detail`, which is text
    for people.

    Args:
        method, path: the request, without host and without query secrets.
        status: HTTP status, or None without a response.
        code, type, attr, detail: PostHog's error envelope (contract 1.3), if there was one.
        body: the parsed body if it has facts (409 and 400 of the gate), else None.

    """

    default_fix = "run the command again; `reconciler doctor` checks the connection"
    sends: int = 0  # how often the request was sent

    def __init__(
        self,
        what: str,
        *,
        method: str = "",
        path: str = "",
        status: int | None = None,
        code: str = "",
        type: str = "",  # noqa: A002  PostHog's own field name
        attr: str | None = None,
        detail: str = "",
        body: Mapping[str, Any] | None = None,
        why: str = "",
        state: str | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(what, why=why, state=state, fix=fix)
        self.method = method
        self.path = path
        self.status = status
        self.code = code
        self.type = type
        self.attr = attr
        self.detail = detail
        self.body = body


class UnreachableError(ApiError):
    """No connection was made: the request was not sent."""

    default_state = "not sent"


class UnreadableError(ApiError):
    """A response came, but it cannot be read or trusted."""


class AmbiguousError(ApiError):
    """A write was sent and its response was lost: it may or may not have been carried out."""

    default_state = "unknown: it may or may not have been carried out"
    default_fix = APPLY_AGAIN


class IncompleteListingError(ApiError):
    """The pages of a listing did not fit together, several times in a row."""


class AuthenticationError(ApiError):
    """401: no key, or a key that PostHog does not know."""

    default_fix = "check the key in the environment; create one under Settings → Personal API keys"


class PaymentRequiredError(ApiError):
    """402: the organization's plan lacks the feature."""

    default_fix = "upgrade the plan, or leave these resources out with --exclude"


class PermissionDeniedError(ApiError):
    """403: the key's scopes, its user's level or its access do not suffice."""

    default_fix = "give the key the scope, or its user the level, named in the message"


class NotFoundError(ApiError):
    """404: it does not exist, or it is not visible to this key."""


class InvalidRequestError(ApiError):
    """A definite refusal of the request itself (400, 405, 413, 415, 422)."""

    default_state = "sent, not applied"
    default_fix = "change what PostHog refuses, in the files or in PostHog, and run apply again"


class PolicyConflictError(InvalidRequestError):
    """400 policy_conflict: the write meets several policies at once (contract 5.5)."""

    default_fix = "split the change so that each write meets one policy"


class ApprovalRequiredError(ApiError):
    """409 approval_required: nothing was changed, a change request was filed (contract 5.3).

    Attributes:
        change_request_id: uuid of the request.
        change_request: its body as sent; its can_approve, can_cancel, is_requester and
            user_decision are always empty there (contract 0.8): read it again to learn them.

    """

    default_state = "not applied; a change request is open"
    default_fix = "have the change request approved, then run apply again"

    def __init__(
        self,
        what: str,
        *,
        change_request_id: str = "",
        change_request: Mapping[str, Any] | None = None,
        **error_body: Any,
    ) -> None:
        super().__init__(what, **error_body)
        self.change_request_id = change_request_id
        self.change_request: Mapping[str, Any] = change_request or {}


class ChangeRequestPendingError(ApprovalRequiredError):
    """409 change_request_pending: one is open, perhaps for something else (contract 5.4)."""


class VersionConflictError(ApiError):
    """409 conflict: another person changed the same field in between (contract 9.4)."""

    default_state = "sent, not applied"
    default_fix = "run plan again and check what changed"


class ThrottledError(ApiError):
    """429. `retry_after_s` is the wait that PostHog requested, in seconds, or None."""

    default_state = "not sent"

    def __init__(self, what: str, *, retry_after_s: float | None = None, **error_body: Any) -> None:
        super().__init__(what, **error_body)
        self.retry_after_s = retry_after_s


class ServerError(ApiError):
    """5xx: PostHog failed."""


def explain_refusal(error: BaseException, *, otherwise: str = "") -> str:
    """Return in a few words why the system refused a file, a folder or a connection.

    Args:
        error: what was raised.
        otherwise: the reason if the system gives none; the text of the error if not given.

    """
    if isinstance(error, FileExistsError):
        return "there is a file where a folder is needed"
    if isinstance(error, NotADirectoryError):
        return "a part of the path is a file, not a folder"
    return getattr(error, "strerror", None) or otherwise or str(error)
