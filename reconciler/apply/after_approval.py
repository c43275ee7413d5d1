"""Continue a change after a decision on its change request.

A decision is never taken on trust: an approved request is done when the object shows it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.apply import change_writer, readback
from reconciler.apply.progress import (
    ChangeEnded,
    Progress,
    WorkerContext,
    begin_again,
    end_change,
)
from reconciler.errors import APPLY_AGAIN, ReconcilerError
from reconciler.kinds import KINDS
from reconciler.model import (
    Action,
    Change,
    Kind,
    Outcome,
    Payload,
    Problem,
    Result,
    get_root,
    join_sentences,
    to_problem,
)
from reconciler.posthog.approval_polling import GONE

_SETTLES_S: Final = (0.5, 1.5, 3.0)  # for a replica that does not show yet what was applied


def resume_change(tools: WorkerContext, parked: Progress, request: Payload) -> Progress:
    """Continue a change whose request was decided: to its end, or to the next request."""
    waited = parked.outcome
    ours = waited is not None and waited.problem is None  # else it was in the way of ours
    progress = replace(parked, outcome=None)
    try:
        if ours:
            _require_applied(tools, progress, request)
            remark = tools.replanner.remark_on_approval(progress.consent, request)
            progress = replace(progress, note=join_sentences(progress.note, remark))
        return _continue(tools, progress, request, ours=ours)
    except ChangeEnded as stop:
        return end_change(progress, tools, stop)
    except ReconcilerError as error:
        failed = ChangeEnded(Result.FAILED, to_problem(error))
        return end_change(progress, tools, failed)


def _require_applied(tools: WorkerContext, progress: Progress, request: Payload) -> None:
    """End a change whose request was not applied: no new request is filed in this run."""
    address, id_, state = progress.consent.address, request["id"], request.get("state")
    what = f"{address}: change request {id_} "
    match state:
        case "applied":
            return
        case "rejected":
            who, is_cancelled = _find_rejecters(request)
            fix = f"{APPLY_AGAIN}: it is filed again" if is_cancelled else _AGREE
            verb = "cancelled" if is_cancelled else "rejected"
            trouble = Problem(
                f"{what}was {verb} by {who}", _read_reasons(request), _NOT_APPLIED, fix
            )
            raise ChangeEnded(Result.REFUSED, trouble, change_request=str(id_))
        case "expired":
            why = "nobody decided in time"
            trouble = Problem(
                f"{what}has expired", why, _NOT_APPLIED, f"{APPLY_AGAIN}: filed once more"
            )
        case "failed":
            cause = tools.replanner.describe_awaited(progress.consent, request).unappliable
            trouble = Problem(
                f"{what}was approved, and PostHog could not apply it",
                cause.why if cause is not None else "",
                _NOT_APPLIED,
                cause.fix if cause is not None else APPLY_AGAIN,
            )
        case _:
            ending = "is not there any more" if state == GONE else f"has the state {state!r}"
            trouble = Problem(
                f"{what}{ending}", "", "whether it was applied is not known", APPLY_AGAIN
            )
    raise ChangeEnded(Result.FAILED, trouble, change_request=str(id_))


_NOT_APPLIED: Final = "not applied"
_AGREE: Final = "change the document and commit it, or agree with who rejected it"


def _find_rejecters(request: Payload) -> tuple[str, bool]:
    """Return who rejected a request, and whether it was its requester (contract 7.3)."""
    requester = (request.get("created_by") or {}).get("id")
    votes = [vote for vote in request.get("approvals") or () if vote.get("decision") == "rejected"]
    people = [vote.get("created_by") or {} for vote in votes]
    names = ", ".join(str(vote.get("email") or "somebody") for vote in people) or "somebody"
    return names, bool(people) and all(vote.get("id") == requester for vote in people)


def _read_reasons(request: Payload) -> str:
    votes = [vote for vote in request.get("approvals") or () if vote.get("decision") == "rejected"]
    return "; ".join(str(vote["reason"]) for vote in votes if vote.get("reason"))


def _continue(
    tools: WorkerContext, progress: Progress, request: Payload, *, ours: bool
) -> Progress:
    change, kind = progress.consent, KINDS[progress.change.address.kind]
    result: Mapping[str, Any] = request.get("result_data") or {}
    if progress.id is None and ours and result.get("resource_id") is not None:
        progress = replace(progress, id=str(result["resource_id"]))
    payload = _read_settled(tools, kind, progress, result)
    if change.action is Action.DELETE and ours:
        raise _end_delete(change, payload)
    if payload is None:
        if change.action is Action.CREATE and not ours:  # its turn has come
            kept = begin_again(progress, tools.replanner.replan(change, None))
            return change_writer.advance_change(
                tools, replace(kept, planned=change), but_last=False
            )
        raise ChangeEnded(Result.REFUSED, readback.describe_deleted(change.address))
    now = tools.replanner.replan(change, payload)
    if now.action is Action.NONE:
        raise ChangeEnded(Result.DONE, payload=payload)
    is_untouched = payload.get("version") == result.get("resource_version") and ours
    if not is_untouched and not _was_shown(change, now):
        raise ChangeEnded(
            Result.REFUSED,
            Problem(
                f"{change.address} has changed while its change request waited",
                "somebody else changed it as well",
                "the approved part was applied; the remaining changes were not sent",
                "run plan again and look at what has changed",
            ),
            payload=payload,
        )
    left = {get_root(field.path) for field in now.fields}
    written = progress.written | {get_root(field.path) for field in change.fields} - left
    fresh = replace(begin_again(progress, now), planned=change, written=frozenset(written))
    id_ = kind.identity(payload)
    return change_writer.advance_change(
        tools, replace(fresh, payload=payload, id=id_), but_last=False
    )


def _end_delete(change: Change, payload: Payload | None) -> ChangeEnded:
    """Return the end of a delete whose request was applied."""
    if payload is None:
        return ChangeEnded(Result.DONE)
    why = "PostHog says that the approved delete was carried out"
    trouble = Problem(f"{change.address} is still there", why, "unknown", APPLY_AGAIN)
    return ChangeEnded(Result.FAILED, trouble, payload=payload)


def _was_shown(planned: Change, now: Change) -> bool:
    """Return whether all that is left to do was in the plan, with the same two sides."""
    shown = {field.path: (field.live, field.desired) for field in planned.fields}
    return all(shown.get(field.path) == (field.live, field.desired) for field in now.fields)


def _read_settled(
    tools: WorkerContext, kind: Kind, progress: Progress, result: Mapping[str, Any]
) -> Payload | None:
    """Read the object, at least as new as the version that the request has produced."""
    wanted = result.get("resource_version")
    payload = readback.read_current(tools, kind, progress)
    for wait in _SETTLES_S:
        version = payload.get("version") if payload is not None else None
        late = isinstance(wanted, int) and isinstance(version, int) and version < wanted
        shown = (payload is None) is (progress.consent.action is Action.DELETE)
        if not late and (shown or progress.id is None):
            break
        tools.writer.sleep(wait)
        payload = readback.read_current(tools, kind, progress)
    return payload


def can_continue(outcome: Outcome) -> bool:
    """Return whether a decision on a change request would let the change continue."""
    return outcome.result is Result.WAITING and outcome.change_request is not None
