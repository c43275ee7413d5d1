"""Suggest what a person can do about a refusal. No decision depends on these texts."""

from collections.abc import Mapping
from typing import Any, Final

from reconciler import errors
from reconciler.lazy_pattern import compile_later

_SCOPE: Final = compile_later(r"scope '([a-z_*]+:[a-z_*]+)'")
_CLOSED: Final = "do this in PostHog itself: it is not available to API keys"
_CLOSED_REQUESTS: Final = (
    "this PostHog does not let API keys use change requests: upgrade it to April 2026 or newer, "
    "or decide the request in PostHog itself"
)
_OTHER_PLACE: Final = "give the key access to all these organizations and projects, or exclude them"
_THERE: Final = (
    "run plan again: the object may be new, or have another spelling that PostHog treats as the "
    "same; if plan does not show it, PostHog hides it from lists (a flag of a survey, for "
    "example) or from this key: choose another {attr}"
)
_ONE_ACTION: Final = (
    "the project and the organization both have a policy for this action; only PostHog itself "
    "shows the one of the organization: disable one of the two"
)
_LEVEL: Final = "the key's user must be admin or owner of the organization"
# Words of the detail in lower case; the first match counts. All these refusals have the same
# status and code (contract 1.2, 7.4) and differ only in PostHog's text, on which only hints depend.
_PERMISSIONS: Final = (
    ("scoped projects", _OTHER_PLACE),
    ("does not have access to the requested", _OTHER_PLACE),
    ("approver set", "ask one of the approvers that the change request names"),
    (
        "your own change request",
        "ask somebody else to approve it: this policy forbids self-approval",
    ),
    ("only pending", "it is already decided; read it again"),
    ("cannot cancel", "only its requester may cancel it, while it is pending and not approved"),
    ("access to the project", "give the key's user access to the project"),
    ("level is insufficient", _LEVEL),
    ("admin", _LEVEL),
)


def suggest_fix(
    cls: type[errors.ApiError],
    *,
    path: str,
    detail: str,
    attr: str | None,
    key_source: str,
    code: str | None = None,
    body: Mapping[str, Any] | None = None,
) -> str | None:
    """Return the next step if it is more precise than the class's own sentence, else None."""
    if cls is errors.AuthenticationError:
        location = f" in {key_source}" if key_source else ""
        return (
            f"check the key{location}: it is unknown to this host or revoked; "
            "create one under Settings → Personal API keys"
        )
    if cls is errors.PermissionDeniedError:
        return _suggest_permission(path, detail)
    if cls is errors.NotFoundError:
        return "check the id, and that the key's user may see the organization and the project"
    if issubclass(cls, errors.InvalidRequestError) and "/change_requests/" in path:
        return "read the change request again: it may be decided, or you may have voted already"
    if cls is errors.PolicyConflictError:
        return _ONE_ACTION if _is_about_one_action(body or {}) else None
    is_taken = cls is errors.InvalidRequestError and attr and code == "unique"
    return _THERE.format(attr=str(attr).replace("__", ".")) if is_taken else None


def _is_about_one_action(body: Mapping[str, Any]) -> bool:
    """Return whether policies of a project and its organization conflict (contract 5.5)."""
    listed = body.get("conflicting_policies")
    if not isinstance(listed, list) or not listed:
        return False
    return all(isinstance(policy, Mapping) and "action_key" not in policy for policy in listed)


def _suggest_permission(path: str, detail: str) -> str:
    text = detail.lower()
    if scope := _SCOPE.search(detail):
        return f"give the key the scope {scope[1]}"
    if "does not support" in text and "personal api key" in text:
        return _CLOSED_REQUESTS if "/change_requests/" in path else _CLOSED
    for words, sentence in _PERMISSIONS:
        if words in text:
            return sentence
    return errors.PermissionDeniedError.default_fix
