"""What an answer to a write means for its change. Reads where the answer alone does not tell."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.apply.progress import Progress, Stop, Tools, problem
from reconciler.errors import (
    AmbiguousError,
    ApiError,
    ApprovalRequiredError,
    ChangeRequestPendingError,
    InvalidRequestError,
    NotFoundError,
    VersionConflictError,
)
from reconciler.kind import Kind, Write
from reconciler.model import Action, Change, Payload, Problem, Result
from reconciler.paths import Spec
from reconciler.posthog import change_requests


def find(tools: Tools, kind: Kind, name: str, ids: Mapping[str, str]) -> Payload | None:
    """The object by its natural key, wherever the server lists it, or None."""
    asked: dict[str, str] = {kind.search: name} if kind.search else {}
    path = kind.path(kind.collection, ids)
    for params in (asked, *([{**asked, **kind.fallback_params}] if kind.fallback_params else ())):
        for payload in tools.writer.list(path, params or None).items:
            found = kind.identify(payload)
            if found == name or (kind.folds_case and found.casefold() == name.casefold()):
                return payload
    return None


def reread(tools: Tools, kind: Kind, progress: Progress) -> Payload | None:
    """The object as it is now: by its id where that is known, else by its natural key."""
    address, before = progress.change.address, progress.change.before
    ids = tools.names.scope_ids(address)
    if progress.id is None or not kind.point_read:
        return find(tools, kind, before.address.name if before else address.name, ids)
    try:
        payload: Payload = tools.writer.get(kind.path(kind.item, {**ids, "id": progress.id}))
    except NotFoundError:
        return None
    return None if payload.get("deleted") else payload


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
        if name in got and name not in kind.apart and not _holds(got[name], value, name, hidden):
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
    ours = not isinstance(error, ChangeRequestPendingError)  # one just filed holds what was sent
    if ours or tools.same_intent(payload, change, progress.payload):
        return Stop(Result.WAITING, change_request=request)
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


def _exists(
    tools: Tools, kind: Kind, progress: Progress, write: Write, error: InvalidRequestError
) -> Stop:
    """A refused create: if the object is there by now as wanted, that is no failure."""
    change = progress.change
    payload = find(tools, kind, change.address.name, write.ids)
    if payload is None:
        return Stop(Result.FAILED, problem(error))
    spec = change.desired.spec if change.desired is not None else {}
    wanted = tools.names.resolve(kind, change.address.organization, spec)
    if _has(kind, wanted, payload):
        return Stop(Result.UNCHANGED, payload=payload)
    return Stop(
        Result.REFUSED,
        Problem(
            f"{change.address} exists already and differs",
            "somebody created it in between",
            "not applied",
            "run plan again and look at what differs",
        ),
        payload=payload,
    )


def _resolve(
    tools: Tools, kind: Kind, progress: Progress, write: Write, error: AmbiguousError
) -> Stop:
    """The answer was lost: read what became of the write, and of the change requests."""
    payload = reread(tools, kind, progress)
    unknown = Stop(Result.FAILED, problem(error), payload=payload)
    if write.action is Action.DELETE:
        return unknown if payload else Stop(Result.DONE)
    if payload is not None and _has(kind, write.spec, payload):
        last = progress.done + 1 == len(progress.stages)
        return Stop(Result.DONE, payload=payload) if last else unknown
    if kind.gated:
        for request in change_requests.list_open(tools.writer, write.ids["project"]):
            if tools.same_intent(request, progress.change, progress.payload):
                return Stop(Result.WAITING, change_request=str(request["id"]))
    return unknown


def _has(kind: Kind, spec: Spec, payload: Payload) -> bool:
    """Whether the object holds everything of a spec, references as ids on both sides."""
    got, hidden = spec_of(kind, payload), kind.hidden(payload)
    wanted = kind.canonical(spec)
    return all(_holds(got.get(name), value, name, hidden) for name, value in wanted.items())
