"""What a person can do about a refusal. Sentences only: nothing is decided by them."""

import re
from collections.abc import Mapping
from typing import Any, Final

from reconciler import errors

_SCOPE: Final = re.compile(r"scope '([a-z_*]+:[a-z_*]+)'")
_CLOSED: Final = "do this in PostHog itself: it is not open to API keys"
_CLOSED_REQUESTS: Final = (
    "this PostHog does not open change requests to API keys: bring it up to April 2026 or newer, "
    "or decide the request in PostHog itself"
)
_OTHER_PLACE: Final = (
    "create the key for all organizations and projects concerned, or leave them out"
)
_THERE: Final = (
    "plan again: it may be new, or listed in another spelling that PostHog takes for the same; if "
    "it is not listed then, it is hidden from lists (a flag of a survey, say) or from this key: "
    "choose another {attr}"
)
_ONE_ACTION: Final = (
    "the project has a policy for this action, and so has the whole organization, which only "
    "PostHog itself shows: switch one of the two off"
)
_LEVEL: Final = "the key's user must be admin or owner of the organization"
# Words of the detail in lower case, the first that fits: every refusal has one status and code
# (contract 1.2, 7.4), and only PostHog's text tells them apart. Only the advice depends on it.
_PERMISSIONS: Final = (
    ("scoped projects", _OTHER_PLACE),
    ("does not have access to the requested", _OTHER_PLACE),
    ("approver set", "ask one of the approvers that the change request names"),
    ("your own change request", "ask somebody else to decide: this policy forbids self-approval"),
    ("only pending", "it is decided already; read it again"),
    ("cannot cancel", "only its requester may cancel it, while it is pending and not approved"),
    ("access to the project", "give the key's user access to the project"),
    ("level is insufficient", _LEVEL),
    ("admin", _LEVEL),
)


def fix(
    cls: type[errors.ApiError],
    *,
    path: str,
    detail: str,
    attr: str | None,
    key_source: str,
    code: str | None = None,
    body: Mapping[str, Any] | None = None,
) -> str | None:
    """The next step, more precise than the class's own sentence; None if there is none."""
    if cls is errors.AuthenticationError:
        held = f" in {key_source}" if key_source else ""
        return (
            f"check the key{held}: it is unknown to this host or revoked; "
            "create one under Settings → Personal API keys"
        )
    if cls is errors.PermissionDeniedError:
        return _permission(path, detail)
    if cls is errors.NotFoundError:
        return "check the id, and that the key's user may see the organization and the project"
    if issubclass(cls, errors.InvalidRequestError) and "/change_requests/" in path:
        return "read the change request again: it may be decided, or you have voted already"
    if cls is errors.PolicyConflictError:
        return _ONE_ACTION if _is_about_one_action(body or {}) else None
    taken = cls is errors.InvalidRequestError and attr and code == "unique"
    return _THERE.format(attr=str(attr).replace("__", ".")) if taken else None


def _is_about_one_action(body: Mapping[str, Any]) -> bool:
    """Whether it is a policy of the project and one of the whole organization (contract 5.5)."""
    listed = body.get("conflicting_policies")
    if not isinstance(listed, list) or not listed:
        return False
    return all(isinstance(one, Mapping) and "action_key" not in one for one in listed)


def _permission(path: str, detail: str) -> str:
    text = detail.lower()
    if scope := _SCOPE.search(detail):
        return f"give the key the scope {scope[1]}"
    if "does not support" in text and "personal api key" in text:
        return _CLOSED_REQUESTS if "/change_requests/" in path else _CLOSED
    for words, sentence in _PERMISSIONS:
        if words in text:
            return sentence
    return errors.PermissionDeniedError.default_fix
