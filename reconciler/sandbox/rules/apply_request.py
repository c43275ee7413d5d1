"""Applying an approved change request, as its requester (contract 7.5)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.sandbox.protocol.errors import ApiError
from reconciler.sandbox.requests.call import Actor, Call
from reconciler.sandbox.rules import flags
from reconciler.sandbox.store import people
from reconciler.sandbox.store.model import ChangeRequest, Flag, User


class CannotApply(Exception):  # noqa: N818 - an outcome of the request, not a failure of the server
    """The reason for which a request ends in `failed`."""

    def __init__(self, why: str, *, validation: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.validation = validation


@dataclass(frozen=True, slots=True)
class AppliedFlag:
    """The flag that a request created or changed."""

    resource_id: int
    resource_version: int | None


def apply_request(call: Call, request: ChangeRequest) -> ChangeRequest:
    """Return the request in its final state: `applied`, or `failed` with the reason."""
    tx = call.tx
    try:
        result = _carry_out(call, request)
    except CannotApply as error:
        return tx.update(
            replace(
                request,
                state="failed",
                apply_error=error.why,
                validation_status=error.validation or request.validation_status,
                updated_at=tx.at,
            )
        )
    return tx.update(
        replace(
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
    )


def _carry_out(call: Call, request: ChangeRequest) -> AppliedFlag:
    flag = _find_flag(call, request)
    data = request.intent.get("full_request_data") or {}
    if flag is None and request.intent.get("http_method") == "POST":
        standing = call.tx.find_first(
            Flag, project=request.project, key=request.flag_key, deleted=False
        )
        if standing is not None:  # created in the meantime: it is the result (contract 7.5, step 6)
            _find_requester(call, request)
            return AppliedFlag(standing.id, standing.version)
    values = _validate(call, request, data, flag)
    actor = _find_requester(call, request)
    if flag is None:
        created = flags.create_flag(call.tx, actor, call.project, values)
        return AppliedFlag(created.id, created.version)
    _require_version(request, flag)
    if _is_applied_already(request, flag):
        return AppliedFlag(flag.id, flag.version)
    if call.profile.merges_filters and not request.intent.get("skip_opportunistic_filter_cleanup"):
        values = flags.drop_legacy_filters(flag, values)
    written = flags.update_flag(call.tx, actor, call.project, flag=flag, values=values)
    return AppliedFlag(written.id, written.version)


def _find_flag(call: Call, request: ChangeRequest) -> Flag | None:
    if request.intent.get("flag_id") is None:
        return None
    flag = call.tx.get(Flag, request.intent["flag_id"])
    if flag is None:
        raise CannotApply("Validation failed: Feature flag not found", validation="invalid")
    return flag


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
            partial=request.intent.get("http_method") != "POST",
        )
    except ApiError as error:
        raise CannotApply(f"Validation failed: {error.detail}", validation="invalid") from error


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


def _require_version(request: ChangeRequest, flag: Flag) -> None:
    expected = (request.intent.get("preconditions") or {}).get("version")
    if expected is not None and expected != flag.version:
        raise CannotApply(
            f"Precondition failed: Flag version mismatch: expected {expected}, got {flag.version}"
        )


def _is_applied_already(request: ChangeRequest, flag: Flag) -> bool:
    """Return whether the flag is already enabled or disabled as wanted (contract 7.5)."""
    gated = request.intent.get("gated_changes") or {}
    return "active" in gated and gated["active"] == flag.active
