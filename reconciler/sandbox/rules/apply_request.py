"""Applying an approved change request, as its requester (contract 7.5)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.sandbox.protocol.errors import ApiError
from reconciler.sandbox.requests.call import Actor, Call
from reconciler.sandbox.rules import flag_filters, flags
from reconciler.sandbox.rules.products import holdouts
from reconciler.sandbox.rules.requester import explain_lost_access
from reconciler.sandbox.rules.validity import KNOWN_ACTIONS, explain_new_owner
from reconciler.sandbox.store import people
from reconciler.sandbox.store.model import ChangeRequest, Flag, User


class CannotApply(Exception):  # noqa: N818 - an outcome of the request, not a failure of the server
    """The reason for which a request ends in `failed`.

    `why` becomes its `apply_error`, `message` is what the approver reads; by default the same.
    """

    def __init__(
        self,
        why: str,
        *,
        message: str | None = None,
        validation: str | None = None,
        errors: Any = None,
    ) -> None:
        super().__init__(why)
        self.why = why
        self.message = message if message is not None else why
        self.validation = validation
        self.errors = errors


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """What a request created or changed."""

    resource_id: int | None
    resource_version: int | None


@dataclass(frozen=True, slots=True)
class AppliedRequest:
    """A request in its final state, and the reason of a failure as the approver reads it."""

    request: ChangeRequest
    failure: str | None = None


def apply_request(call: Call, request: ChangeRequest) -> AppliedRequest:
    """Return the request in its final state: `applied`, or `failed` with the reason."""
    tx = call.tx
    try:
        if call.profile.rechecks_requests:
            _require_action(request)
            _require_access(call, request)
        if request.action_key in holdouts.ACTIONS:
            result = _apply_to_holdout(call, request)
        else:
            result = _apply_to_flag(call, request)
    except CannotApply as error:
        marked = {"validation_errors": error.errors} if error.errors is not None else {}
        failed = replace(
            request,
            state="failed",
            apply_error=error.why,
            validation_status=error.validation or request.validation_status,
            updated_at=tx.at,
            **marked,
        )
        return AppliedRequest(tx.update(failed), error.message)
    applied = replace(
        request,
        state="applied",
        applied_at=tx.at,
        applied_by=request.created_by,
        result_data={
            "resource_id": result.resource_id,
            "resource_version": result.resource_version,
        },
        updated_at=tx.at,
    )
    return AppliedRequest(tx.update(applied))


def _require_action(request: ChangeRequest) -> None:
    if request.action_key not in KNOWN_ACTIONS:
        why = f"Action {request.action_key} not found in registry"
        raise CannotApply(why, message=f"Apply failed: {why}")


def _require_access(call: Call, request: ChangeRequest) -> None:
    lost = explain_lost_access(call.tx, request)
    if lost is not None:
        raise CannotApply(
            f"Precondition failed: {lost}",
            message=lost,
            validation="invalid",
            errors={"access": lost},
        )


def _apply_to_holdout(call: Call, request: ChangeRequest) -> AppliedChange:
    actor = _find_requester(call, request)
    try:
        number = holdouts.apply_request(call.tx, actor, call.project, request)
    except holdouts.HoldoutMoved as error:
        raise CannotApply(f"Precondition failed: {error.why}", message=error.why) from error
    return AppliedChange(number, None)


def _apply_to_flag(call: Call, request: ChangeRequest) -> AppliedChange:
    flag = _find_flag(call, request)
    data = _read_change(request.intent)
    if flag is None and request.intent.get("http_method") == "POST":
        standing = call.tx.find_first(
            Flag, project=request.project, key=request.flag_key, deleted=False
        )
        if standing is not None:  # created in the meantime: it is the result (contract 7.5, step 6)
            _find_requester(call, request)
            return AppliedChange(standing.id, standing.version)
    if flag is not None and call.profile.rechecks_requests:
        _require_owner(call, request, flag)
    values = _validate(call, request, data, flag)
    actor = _find_requester(call, request)
    if flag is None:
        created = flags.create_flag(call.tx, actor, call.project, values)
        return AppliedChange(created.id, created.version)
    _require_version(call, request, flag)
    if _is_applied_already(request, flag):
        return AppliedChange(flag.id, flag.version)
    if call.profile.merges_filters and not request.intent.get("skip_opportunistic_filter_cleanup"):
        values = flags.drop_legacy_filters(flag, values)
    try:
        written = flags.update_flag(call.tx, actor, call.project, flag=flag, values=values)
    except ApiError as error:  # another object uses the flag as it is
        raise _make_invalid(call, error.detail) from error
    return AppliedChange(written.id, written.version)


def _read_change(intent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the change to apply, with the payloads that the request keeps encrypted."""
    change = dict(intent.get("full_request_data") or {})
    encrypted = intent.get("encrypted_payloads")
    if not encrypted:
        return change
    try:
        payloads = flag_filters.decrypt_payloads(encrypted)
    except (ValueError, AttributeError) as error:
        raise CannotApply("An encrypted payload of this request cannot be decrypted") from error
    filters = change.get("filters") or {}
    merged = {**(filters.get("payloads") or {}), **payloads}
    return {**change, "filters": {**filters, "payloads": merged}}


def _find_flag(call: Call, request: ChangeRequest) -> Flag | None:
    if request.intent.get("flag_id") is None:
        return None
    flag = call.tx.get(Flag, request.intent["flag_id"])
    rechecked = call.profile.rechecks_requests
    if flag is None or (flag.deleted and rechecked):
        raise _make_invalid(call, "Feature flag not found")
    return flag


def _require_owner(call: Call, request: ChangeRequest, flag: Flag) -> None:
    changed = explain_new_owner(call.tx, request, flag)
    if changed is not None:
        message = (
            "This resource now belongs to a different product than when the change was requested."
            " Request the change again, so that the right approvers review it."
        )
        raise CannotApply(changed, message=message)


def _validate(
    call: Call, request: ChangeRequest, data: Mapping[str, Any], flag: Flag | None
) -> dict[str, Any]:
    try:
        return flags.validate_write(
            call.tx,
            call.profile,
            call.project,
            {**data},
            flag=flag,
            partial=flag is not None or request.intent.get("http_method") != "POST",
            tidies=not request.intent.get("skip_opportunistic_filter_cleanup"),
        )
    except ApiError as error:
        raise _make_invalid(call, error.detail) from error


def _make_invalid(call: Call, detail: str) -> CannotApply:
    """Return the failure of a payload; in G3 the request's mark stays (contract 7.5)."""
    if call.profile.rechecks_requests:
        message = f"Apply failed: Intent no longer valid: {detail}"
        return CannotApply(f"Validation failed: {detail}", message=message)
    return CannotApply(f"Validation failed: {detail}", validation="invalid")


def _find_requester(call: Call, request: ChangeRequest) -> Actor:
    """Return the requester, if it still has access (contract 7.5, step 2)."""
    user = call.tx.get(User, request.created_by)
    member = people.find_membership(call.tx, call.organization.id, user.id) if user else None
    barred = member is None or not people.can_enter(call.project, member)
    if user is None or (barred and call.profile.rechecks_requester):
        raise CannotApply(
            "The requester no longer has access to this project", validation="invalid"
        )
    return Actor(user, call.actor.client, call.actor.ip)


def _require_version(call: Call, request: ChangeRequest, flag: Flag) -> None:
    expected = (request.intent.get("preconditions") or {}).get("version")
    if expected is not None and expected != flag.version:
        detail = f"Flag version mismatch: expected {expected}, got {flag.version}"
        message = detail if call.profile.rechecks_requests else None
        raise CannotApply(f"Precondition failed: {detail}", message=message)


def _is_applied_already(request: ChangeRequest, flag: Flag) -> bool:
    """Return whether the flag is already enabled or disabled as wanted (contract 7.5)."""
    gated = request.intent.get("gated_changes") or {}
    return "active" in gated and gated["active"] == flag.active
