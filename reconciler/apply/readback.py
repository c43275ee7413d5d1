"""Objects as PostHog shows them: found, read again, and held against what was wanted."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler.apply.progress import ChangeEnded, Progress, WorkerContext
from reconciler.errors import AmbiguousError, NotFoundError, UnreadableError
from reconciler.lookalikes import escaped, look, yaml_scalar
from reconciler.model import Action, Detail, Kind, Payload, Problem, Request, Result, Spec, Write
from reconciler.posthog import response_shapes

_STALE_S: Final = (0.5, 1.5, 3.0)  # waits for a replica that lags behind


def find(tools: WorkerContext, kind: Kind, name: str, ids: Mapping[str, str]) -> Payload | None:
    """The object by its natural key, wherever the server lists it, or None."""
    asked: dict[str, str] = {kind.search: name} if kind.search else {}
    path = kind.path(kind.collection, ids)
    for params in (asked, *([{**asked, **kind.fallback_params}] if kind.fallback_params else ())):
        for payload in tools.writer.list(path, params or None).items:
            response_shapes.need_object(kind, path, payload)
            found = kind.identify(payload)
            if found == name or (kind.folds_case and found.casefold() == name.casefold()):
                return payload
    return None


def find_lookalike(
    tools: WorkerContext, kind: Kind, name: str, ids: Mapping[str, str]
) -> Payload | None:
    """Find a listed object whose name looks like `name`, whatever its case."""
    same = look(name).casefold()
    for payload in tools.writer.list(kind.path(kind.collection, ids)).items:
        if look(kind.identify(payload)).casefold() == same:
            return payload
    return None


def reread(tools: WorkerContext, kind: Kind, progress: Progress) -> Payload | None:
    """The object as it is now: by its id where that is known, else by its natural key.

    An answer that is older than what this run has seen is asked for again, for a few seconds.
    """
    seen = _version(progress.payload)
    payload = _read(tools, kind, progress)
    for wait in _STALE_S:
        found = _version(payload)
        if not kind.versioned or seen is None or found is None or found >= seen:
            break
        tools.writer.rest(wait)
        payload = _read(tools, kind, progress)
    return payload


def _read(tools: WorkerContext, kind: Kind, progress: Progress) -> Payload | None:
    address, before = progress.change.address, progress.change.before
    ids = tools.names.scope_ids(address)
    if progress.id is None or not kind.point_read:
        return find(tools, kind, before.address.name if before else address.name, ids)
    path = kind.path(kind.item, {**ids, "id": progress.id})
    try:
        payload = response_shapes.need_object(kind, path, tools.writer.get(path))
    except NotFoundError:
        return None
    if kind.identity(payload) != progress.id:
        raise response_shapes.unlike(path, f"it is of the object {kind.identity(payload)}")
    return None if payload.get("deleted") else payload


def _version(payload: Payload | None) -> int | None:
    found = payload.get("version") if payload is not None else None
    return found if isinstance(found, int) else None


def spec_of(kind: Kind, payload: Payload) -> Spec:
    """What can be managed of a payload, ids where references are."""
    return kind.canonical(kind.to_spec(payload))


def differs(kind: Kind, one: Payload, other: Payload) -> bool:
    """Whether two readings of an object show something else that can be managed."""
    return spec_of(kind, one) != spec_of(kind, other)


def moved(kind: Kind, progress: Progress, payload: Payload) -> bool:
    """Whether what the files manage of the object has changed since it was last seen.

    A delete takes everything with it, so there everything counts.
    """
    if progress.payload is None:
        return False
    before, now = spec_of(kind, progress.payload), spec_of(kind, payload)
    if kind.identify(progress.payload) != kind.identify(payload):
        return True
    desired = progress.change.desired
    if progress.change.action is Action.DELETE or desired is None:
        return before != now
    return any(before.get(name) != now.get(name) for name in desired.spec)


def has(kind: Kind, write: Write, payload: Payload) -> bool:
    """Whether the object holds everything of a write, references as ids on both sides."""
    if write.name is not None and kind.identify(payload) != write.name:
        return False
    return not different(kind, write.spec, payload)


def different(kind: Kind, spec: Spec, payload: Payload) -> tuple[str, ...]:
    """The fields of a spec that an object does not hold."""
    got, hidden = spec_of(kind, payload), kind.hidden(payload)
    return tuple(
        name
        for name, value in kind.canonical(spec).items()
        if not _holds(got.get(name), value, name, hidden)
    )


def unconfirmed(request: Request, why: str, shown: Payload | None = None) -> AmbiguousError:
    """Return the error of a write whose answer does not show what was sent.

    `shown` is the object, where the answer shows it as something else.
    """
    return AmbiguousError(
        f"{request.method} {request.path}: the answer does not show what was sent",
        method=request.method,
        path=request.path,
        status=_OK,
        body=shown,
        why=why,
    )


_OK: Final = 200


def verify(
    kind: Kind, progress: Progress, write: Write, request: Request, body: Any
) -> frozenset[str]:
    """Refuse an answer that does not show what was sent; return what PostHog dropped as it does.

    Raises AmbiguousError: what is there has to be read. A field that PostHog may drop without a
    word, and that is as it was, is not a failure (contract 9.1).
    """
    try:
        payload = response_shapes.need_object(kind, request.path, body)
    except UnreadableError as error:
        raise unconfirmed(request, error.why) from error
    if progress.id is not None and kind.identity(payload) != progress.id:
        why = f"{progress.id} was written, and {kind.identity(payload)} came back"
        raise unconfirmed(request, why)
    if write.action is Action.DELETE:
        if payload.get("deleted") is not True:
            raise unconfirmed(request, "it does not say that the object is deleted")
        return frozenset()
    if payload.get("deleted"):
        raise unconfirmed(request, "it says that the object is deleted")
    if write.name is not None and kind.identify(payload) != write.name:
        why = f"{write.name!r} was sent, and {kind.identify(payload)!r} came back"
        raise unconfirmed(request, why, payload)
    got = kind.to_spec(payload)
    sent = {name: value for name, value in write.spec.items() if name not in kind.apart}
    if silent := [name for name in sent if name not in got]:
        raise unconfirmed(request, f"it does not show {', '.join(silent)}")
    fields = different(kind, sent, payload)
    dropped = _dropped(kind, progress, payload).intersection(fields)
    if other := ", ".join(name for name in fields if name not in dropped):
        raise unconfirmed(request, f"it shows another value for {other}", payload)
    return dropped


def _dropped(kind: Kind, progress: Progress, payload: Payload) -> frozenset[str]:
    """Return the fields that PostHog may have dropped silently: still as before."""
    was = spec_of(kind, progress.payload) if progress.payload is not None else kind.defaults
    now = spec_of(kind, payload)
    return frozenset(name for name in kind.droppable if now.get(name) == was.get(name))


def is_whole(kind: Kind, request: Request, write: Write) -> bool:
    """Return whether a call is about the object itself, not about one of its parts."""
    template = kind.collection if request.method == "POST" else kind.item
    return request.path == kind.path(template, write.ids)


def contradicted(
    tools: WorkerContext,
    kind: Kind,
    progress: Progress,
    write: Write,
    error: AmbiguousError,
    *,
    payload: Payload | None,
) -> ChangeEnded | None:
    """End a change whose object really is as an answer has shown it, not as it was sent.

    `payload` is the object as it was read back: by its id, or by the name that was sent.
    """
    shown = error.body
    if shown is None:
        return None
    if write.name is not None and kind.identify(shown) != write.name:
        creates = write.action is Action.CREATE
        there = _made(tools, kind, progress, shown) if creates and payload is None else payload
        if there is None or kind.identify(there) != kind.identify(shown):
            return None
        detail = Detail.MISNAMED if creates else None
        return ChangeEnded(
            Result.FAILED, _misnamed(kind, write, shown), detail=detail, payload=shown
        )
    if payload is not None and differs(kind, shown, payload):
        return None
    names = ", ".join(different(kind, write.spec, shown))
    return ChangeEnded(Result.FAILED, _kept(names), payload=shown)


def _made(tools: WorkerContext, kind: Kind, progress: Progress, shown: Payload) -> Payload | None:
    """Return the object of an answer to a create, if it is there and was not known before."""
    id_ = kind.identity(shown)
    if tools.names.knows(kind.name, id_):
        return None  # the answer to another request
    return _read(tools, kind, replace(progress, id=id_))


def _kept(names: str) -> Problem:
    return Problem(
        f"PostHog answered 200 but kept another value for {names}",
        "the server rewrote or ignored the field",
        "sent; the other fields were applied",
        f"look at {names} with `reconciler plan` and write what PostHog accepts",
    )


def _misnamed(kind: Kind, write: Write, body: Payload) -> Problem:
    """Say what was asked for, what is there now, and how the files can mean it."""
    made, asked = kind.identify(body), str(write.name)
    return Problem(
        f"PostHog {_WROTE[write.action]} it as {escaped(made)}, not as {escaped(asked)} "
        f"(id {kind.identity(body)})",
        "the server made this name itself",
        "sent once and carried out under another name; it is not sent again",
        f"write `{kind.key}: {yaml_scalar(made)}` into metadata, or delete it in PostHog",
    )


_WROTE: Final = {Action.CREATE: "created", Action.UPDATE: "renamed"}


def gone(address: object) -> Problem:
    """What is to be said of an object that is not there any more."""
    return Problem(
        f"{address} is gone",
        "it was deleted since the plan was made",
        "nothing of it was changed",
        "run plan again",
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
