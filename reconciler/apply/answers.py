"""What an answer to a write means for its change. Reads where the answer alone does not tell."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.apply.progress import Progress, Stop, Tools, problem
from reconciler.errors import (
    AmbiguousError,
    ApiError,
    ApprovalRequiredError,
    InvalidRequestError,
    NotFoundError,
    VersionConflictError,
)
from reconciler.kind import Kind, Write
from reconciler.model import Action, Address, Change, Payload, Problem, Result
from reconciler.paths import Spec
from reconciler.posthog import change_requests


def find(tools: Tools, kind: Kind, address: Address, ids: Mapping[str, str]) -> Payload | None:
    """The object by its natural key, or None."""
    params = {kind.search: address.name} if kind.search else None
    for payload in tools.writer.list(kind.path(kind.collection, ids), params).items:
        name = kind.identify(payload)
        if name == address.name or (kind.folds_case and name.casefold() == address.name.casefold()):
            found: Payload = payload
            return found
    return None


def spec_of(kind: Kind, payload: Payload) -> Spec:
    """What can be managed of a payload, ids where references are."""
    return kind.canonical(kind.to_spec(payload))


def verify(kind: Kind, change: Change, write: Write, body: Any) -> None:
    """A 200 whose body differs from what was sent is a failure of that field (R-CLASS)."""
    made = kind.identify(body)
    if change.action is Action.CREATE and made != change.address.name and not kind.folds_case:
        raise Stop(
            Result.FAILED,
            Problem(
                f"PostHog created it as {made!r}, not as {change.address.name!r}",
                "the server makes this name itself",
                "sent and applied under another name",
                "write the name that PostHog chose into metadata",
            ),
        )
    got, hidden = spec_of(kind, body), kind.hidden(body)
    for name, value in kind.canonical(write.spec).items():
        if name in got and not _holds(got[name], value, name, hidden):
            raise Stop(
                Result.FAILED,
                Problem(
                    f"PostHog answered 200 but kept another value for {name}",
                    "the server rewrote or ignored the field",
                    "sent; the other fields were applied",
                    f"look at {name} with `reconciler plan` and write what PostHog accepts",
                ),
            )


def _holds(got: Any, sent: Any, path: str, hidden: tuple[str, ...]) -> bool:
    """Whether what was sent is in the answer; the answer may hold more keys."""
    if got == sent or path in hidden:
        return True
    if isinstance(sent, Mapping) and isinstance(got, Mapping):
        return all(
            _holds(got.get(name), value, f"{path}.{name}", hidden) for name, value in sent.items()
        )
    if isinstance(sent, list) and isinstance(got, list) and len(sent) == len(got):
        return all(_holds(a, b, path, hidden) for a, b in zip(got, sent, strict=True))
    return (sent in (None, [], {}, "") and got in (None, [], {}, "")) or str(got) == str(sent)


def judge(tools: Tools, kind: Kind, progress: Progress, write: Write, error: ApiError) -> Stop:
    """What an error answer to a write means for the change."""
    try:
        return _judge(tools, kind, progress, write, error)
    except ApiError as again:  # what was read to find out could not be read either
        why = f"{error.why}; and reading back: {again.what}".removeprefix("; and ")
        return Stop(Result.FAILED, replace(problem(error), why=why))


def _judge(tools: Tools, kind: Kind, progress: Progress, write: Write, error: ApiError) -> Stop:
    change = progress.change
    match error:
        case ApprovalRequiredError():
            return _filed(tools, progress, error)
        case VersionConflictError():
            return Stop(Result.REFUSED, problem(error))
        case AmbiguousError():
            return _resolve(tools, kind, progress, write, error)
        case NotFoundError() if change.action is Action.DELETE:
            return Stop(Result.UNCHANGED)
        case InvalidRequestError() if change.action is Action.CREATE and not progress.done:
            return _exists(tools, kind, progress, write, error)
        case _:
            return Stop(Result.FAILED, problem(error))


def _filed(tools: Tools, progress: Progress, error: ApprovalRequiredError) -> Stop:
    """409: a change request was filed, or one is open. Only one with our intent is ours."""
    change, request = progress.change, error.change_request_id
    project = tools.names.scope_ids(change.address).get("project", "")
    try:
        payload = change_requests.get(tools.writer, project, request)
    except NotFoundError:
        return Stop(
            Result.FAILED,
            Problem(
                "PostHog answered with a change request that does not exist",
                error.detail,
                "not applied",
                "run apply again; if it repeats, tell PostHog",
            ),
        )
    except ApiError:
        payload = error.change_request  # filed, but the key may not read it: believe the answer
    if not tools.same_intent(payload, change, progress.payload):
        requester = (payload.get("created_by") or {}).get("email", "somebody")
        return Stop(
            Result.WAITING,
            Problem(
                f"an open change request of {requester} proposes something else",
                "PostHog holds one request per action and flag",
                "not applied",
                f"have it decided or cancelled: reconciler requests show {request}",
            ),
            change_request=request,
        )
    return Stop(Result.WAITING, change_request=request)


def _exists(
    tools: Tools, kind: Kind, progress: Progress, write: Write, error: InvalidRequestError
) -> Stop:
    """A refused create: if the object is there by now as wanted, that is no failure."""
    address = progress.change.address
    payload = find(tools, kind, address, write.ids)
    if payload is None:
        return Stop(Result.FAILED, problem(error))
    if _as_sent(kind, write, payload):
        return Stop(Result.UNCHANGED)
    return Stop(
        Result.REFUSED,
        Problem(
            f"{address} exists already and differs",
            "somebody created it in between",
            "not applied",
            "run plan again and look at what differs",
        ),
    )


def _resolve(
    tools: Tools, kind: Kind, progress: Progress, write: Write, error: AmbiguousError
) -> Stop:
    """The answer was lost: read what became of the write, by natural key and change requests."""
    payload = find(tools, kind, progress.change.address, write.ids)
    unknown = Stop(Result.FAILED, problem(error))
    if write.action is Action.DELETE:
        return unknown if payload else Stop(Result.DONE)
    if payload is not None and _as_sent(kind, write, payload):
        return Stop(Result.DONE) if progress.done + 1 == len(progress.stages) else unknown
    if kind.gated:
        for request in change_requests.list_open(tools.writer, write.ids["project"]):
            if tools.same_intent(request, progress.change, progress.payload):
                return Stop(Result.WAITING, change_request=str(request["id"]))
    return unknown


def _as_sent(kind: Kind, write: Write, payload: Payload) -> bool:
    """Whether the object holds everything that was sent."""
    got, hidden = spec_of(kind, payload), kind.hidden(payload)
    sent = kind.canonical(write.spec)
    return all(_holds(got.get(name), value, name, hidden) for name, value in sent.items())
