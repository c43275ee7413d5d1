"""What a decision on a change request means for the change that waited for it.

Never believed, always looked at: an approved request is done when the object shows it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.apply import change_writer, readback
from reconciler.apply.progress import (
    AGAIN,
    ChangeEnded,
    Progress,
    WorkerContext,
    again,
    ended,
    problem,
)
from reconciler.errors import ReconcilerError
from reconciler.kinds import KINDS
from reconciler.model import Action, Change, Kind, Outcome, Payload, Problem, Result, joined, root
from reconciler.posthog.approval_polling import GONE

_SETTLES_S: Final = (0.5, 1.5, 3.0)  # for a replica that does not show yet what was applied


def resume(tools: WorkerContext, parked: Progress, request: Payload) -> Progress:
    """Go on with a change whose request was decided: to its end, or to the next request."""
    waited = parked.outcome
    ours = waited is not None and waited.problem is None  # else it was in the way of ours
    progress = replace(parked, outcome=None)
    try:
        if ours:
            _need_applied(progress, request)
            remark = tools.counsel.remark(progress.consent, request)
            progress = replace(progress, note=joined(progress.note, remark))
        return _go_on(tools, progress, request, ours=ours)
    except ChangeEnded as stop:
        return ended(progress, tools, stop)
    except ReconcilerError as error:
        failed = ChangeEnded(Result.FAILED, problem(error))
        return ended(progress, tools, failed)


def _need_applied(progress: Progress, request: Payload) -> None:
    """Nobody is asked again in this run: what was not approved is said, and ends here."""
    address, id_, state = progress.consent.address, request["id"], request.get("state")
    what = f"{address}: change request {id_} "
    match state:
        case "applied":
            return
        case "rejected":
            who, taken_back = _against(request)
            fix = f"{AGAIN}: it is filed anew" if taken_back else _AGREE
            verb = "taken back" if taken_back else "rejected"
            trouble = Problem(f"{what}was {verb} by {who}", _reasons(request), _NOT_APPLIED, fix)
            raise ChangeEnded(Result.REFUSED, trouble, change_request=str(id_))
        case "expired":
            why = "nobody decided in time"
            trouble = Problem(f"{what}has expired", why, _NOT_APPLIED, f"{AGAIN}: filed once more")
        case "failed":
            why = str(request.get("apply_error") or "PostHog does not say why")
            trouble = Problem(
                f"{what}was approved, and PostHog could not apply it", why, _NOT_APPLIED, AGAIN
            )
        case _:
            gone = "is not there any more" if state == GONE else f"has the state {state!r}"
            trouble = Problem(f"{what}{gone}", "", "whether it was applied is not known", AGAIN)
    raise ChangeEnded(Result.FAILED, trouble, change_request=str(id_))


_NOT_APPLIED: Final = "not applied"
_AGREE: Final = "change the document and commit it, or agree with who rejected it"


def _against(request: Payload) -> tuple[str, bool]:
    """Who ended it, and whether that was who had filed it: a request taken back (7.3)."""
    requester = (request.get("created_by") or {}).get("id")
    votes = [one for one in request.get("approvals") or () if one.get("decision") == "rejected"]
    people = [one.get("created_by") or {} for one in votes]
    names = ", ".join(str(one.get("email") or "somebody") for one in people) or "somebody"
    return names, bool(people) and all(one.get("id") == requester for one in people)


def _reasons(request: Payload) -> str:
    votes = [one for one in request.get("approvals") or () if one.get("decision") == "rejected"]
    return "; ".join(str(one["reason"]) for one in votes if one.get("reason"))


def _go_on(tools: WorkerContext, progress: Progress, request: Payload, *, ours: bool) -> Progress:
    change, kind = progress.consent, KINDS[progress.change.address.kind]
    result: Mapping[str, Any] = request.get("result_data") or {}
    if progress.id is None and ours and result.get("resource_id") is not None:
        progress = replace(progress, id=str(result["resource_id"]))
    payload = _settled(tools, kind, progress, result)
    if payload is None:
        if change.action is Action.CREATE and not ours:  # its turn has come
            kept = again(progress, tools.counsel.again(change, None))
            return change_writer.advance(tools, replace(kept, planned=change), but_last=False)
        raise ChangeEnded(Result.REFUSED, readback.gone(change.address))
    now = tools.counsel.again(change, payload)
    if now.action is Action.NONE:
        raise ChangeEnded(Result.DONE, payload=payload)
    alone = payload.get("version") == result.get("resource_version") and ours
    if not alone and not _was_shown(change, now):
        raise ChangeEnded(
            Result.REFUSED,
            Problem(
                f"{change.address} has moved while its change request waited",
                "somebody changed it besides",
                "what was approved is applied; the rest of the change was not sent",
                "run plan again and look at what moved",
            ),
            payload=payload,
        )
    left = {root(one.path) for one in now.fields}
    written = progress.written | {root(one.path) for one in change.fields} - left
    fresh = replace(again(progress, now), planned=change, written=frozenset(written))
    id_ = kind.identity(payload)
    return change_writer.advance(tools, replace(fresh, payload=payload, id=id_), but_last=False)


def _was_shown(seen: Change, now: Change) -> bool:
    """Whether all that is left to do was in the plan, with the same two sides."""
    shown = {one.path: (one.live, one.desired) for one in seen.fields}
    return all(shown.get(one.path) == (one.live, one.desired) for one in now.fields)


def _settled(
    tools: WorkerContext, kind: Kind, progress: Progress, result: Mapping[str, Any]
) -> Payload | None:
    """The object, at least as new as the request says that it has made it."""
    wanted = result.get("resource_version")
    payload = readback.reread(tools, kind, progress)
    for wait in _SETTLES_S:
        version = payload.get("version") if payload is not None else None
        late = isinstance(wanted, int) and isinstance(version, int) and version < wanted
        if not late and (payload is not None or progress.id is None):
            break
        tools.writer.rest(wait)
        payload = readback.reread(tools, kind, progress)
    return payload


def can_continue(outcome: Outcome) -> bool:
    """Whether a decision on a change request would let a change go on."""
    return outcome.result is Result.WAITING and outcome.change_request is not None
