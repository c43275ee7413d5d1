"""Objects as PostHog shows them: found, read again, and compared with what was wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from reconciler.apply.progress import ChangeEnded, Progress, WorkerContext
from reconciler.errors import AmbiguousError, NotFoundError, UnreadableError
from reconciler.lookalikes import escape_name, format_yaml_scalar, simplify_name
from reconciler.model import Action, Detail, Kind, Payload, Problem, Request, Result, Spec, Write
from reconciler.posthog import response_shapes

_STALE_S: Final = (0.5, 1.5, 3.0)  # waits for a replica that lags behind


def find_by_name(
    tools: WorkerContext, kind: Kind, name: str, ids: Mapping[str, str]
) -> Payload | None:
    """Return the object with this natural key, or None."""
    search: dict[str, str] = {kind.search: name} if kind.search else {}
    path = kind.path(kind.collection, ids)
    for params in (search, *([{**search, **kind.fallback_params}] if kind.fallback_params else ())):
        for payload in tools.writer.list(path, params or None).items:
            response_shapes.require_object(kind, path, payload)
            found_name = kind.identify(payload)
            if found_name == name or (kind.folds_case and found_name.casefold() == name.casefold()):
                return payload
    return None


def find_lookalike(
    tools: WorkerContext, kind: Kind, name: str, ids: Mapping[str, str]
) -> Payload | None:
    """Find a listed object whose name looks like `name`, whatever its case."""
    same = simplify_name(name).casefold()
    for payload in tools.writer.list(kind.path(kind.collection, ids)).items:
        if simplify_name(kind.identify(payload)).casefold() == same:
            return payload
    return None


def read_current(tools: WorkerContext, kind: Kind, progress: Progress) -> Payload | None:
    """Return the object as it is now: by its id where that is known, else by its natural key.

    A response that is older than what this run has seen is read again, for a few seconds.
    """
    last_seen = _read_version(progress.payload)
    payload = _read_once(tools, kind, progress)
    for wait in _STALE_S:
        version = _read_version(payload)
        if not kind.versioned or last_seen is None or version is None or version >= last_seen:
            break
        tools.writer.sleep(wait)
        payload = _read_once(tools, kind, progress)
    return payload


def _read_once(tools: WorkerContext, kind: Kind, progress: Progress) -> Payload | None:
    address, before = progress.change.address, progress.change.before
    ids = tools.names.scope_ids(address)
    if progress.id is None or not kind.point_read:
        return find_by_name(tools, kind, before.address.name if before else address.name, ids)
    path = kind.path(kind.item, {**ids, "id": progress.id})
    try:
        payload = tools.writer.read_object(kind, {**ids, "id": progress.id}, address.name)
    except NotFoundError:
        return None
    if kind.identity(payload) != progress.id:
        raise response_shapes.build_shape_error(
            path, f"it is of the object {kind.identity(payload)}"
        )
    is_gone = payload.get("deleted") or (_is_delete(progress) and kind.blank(payload))
    return None if is_gone else payload


def _is_delete(progress: Progress) -> bool:
    return progress.change.action is Action.DELETE


def _read_version(payload: Payload | None) -> int | None:
    version = payload.get("version") if payload is not None else None
    return version if isinstance(version, int) else None


def to_managed_spec(kind: Kind, payload: Payload) -> Spec:
    """Return what can be managed of a payload, with ids as references."""
    return kind.canonical(kind.to_spec(payload))


def has_difference(kind: Kind, first: Payload, second: Payload) -> bool:
    """Return whether two readings of an object differ in what can be managed."""
    return to_managed_spec(kind, first) != to_managed_spec(kind, second)


def has_changed(kind: Kind, progress: Progress, payload: Payload) -> bool:
    """Return whether what the files manage of the object has changed since it was last seen.

    A delete takes everything with it, so there everything counts.
    """
    if progress.payload is None:
        return False
    before, now = to_managed_spec(kind, progress.payload), to_managed_spec(kind, payload)
    if kind.identify(progress.payload) != kind.identify(payload):
        return True
    desired = progress.change.desired
    if progress.change.action is Action.DELETE or desired is None:
        unlisted = kind.details.keys() - before.keys()
        compared = (before.keys() | now.keys()) - unlisted
        return any(before.get(name) != now.get(name) for name in compared)
    return any(before.get(name) != now.get(name) for name in desired.spec)


def holds_write(kind: Kind, write: Write, payload: Payload) -> bool:
    """Return whether the object holds everything of a write; references are ids."""
    if write.name is not None and kind.identify(payload) != write.name:
        return False
    return not list_differences(kind, write.spec, payload)


def list_differences(kind: Kind, spec: Spec, payload: Payload) -> tuple[str, ...]:
    """List the fields of a spec that an object does not hold."""
    got, hidden = to_managed_spec(kind, payload), kind.hidden(payload)
    absent = kind.defaults if kind.parts else {}
    return tuple(
        name
        for name, value in kind.canonical(spec).items()
        if not _holds(got.get(name, absent.get(name)), value, name, hidden, kind.complete)
    )


def make_unconfirmed_error(
    request: Request, why: str, shown: Payload | None = None
) -> AmbiguousError:
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


def verify_response(
    kind: Kind, progress: Progress, write: Write, request: Request, body: Any
) -> frozenset[str]:
    """Refuse an answer that does not show what was sent; return what PostHog dropped as it does.

    Raises AmbiguousError: what is there has to be read. A field that PostHog may drop without a
    word, and that is as it was, is not a failure (contract 9.1).
    """
    try:
        payload = response_shapes.require_object(kind, request.path, body)
    except UnreadableError as error:
        raise make_unconfirmed_error(request, error.why) from error
    if progress.id is not None and kind.identity(payload) != progress.id:
        why = f"{progress.id} was written, and {kind.identity(payload)} came back"
        raise make_unconfirmed_error(request, why)
    if write.action is Action.DELETE:
        if payload.get("deleted") is not True:
            raise make_unconfirmed_error(request, "it does not say that the object is deleted")
        return frozenset()
    if payload.get("deleted"):
        raise make_unconfirmed_error(request, "it says that the object is deleted")
    if write.name is not None and kind.identify(payload) != write.name:
        why = f"{write.name!r} was sent, and {kind.identify(payload)!r} came back"
        raise make_unconfirmed_error(request, why, payload)
    got = kind.to_spec(payload)
    sent = {name: value for name, value in write.spec.items() if name not in kind.apart}
    if silent := [name for name in sent if name not in got]:
        raise make_unconfirmed_error(request, f"it does not show {', '.join(silent)}")
    fields = list_differences(kind, sent, payload)
    dropped = _find_dropped(kind, progress, payload).intersection(fields)
    if other := ", ".join(name for name in fields if name not in dropped):
        raise make_unconfirmed_error(request, f"it shows another value for {other}", payload)
    return dropped


def _find_dropped(kind: Kind, progress: Progress, payload: Payload) -> frozenset[str]:
    """Return the fields that PostHog may have dropped silently: still as before."""
    was = to_managed_spec(kind, progress.payload) if progress.payload is not None else kind.defaults
    now = to_managed_spec(kind, payload)
    return frozenset(name for name in kind.droppable if now.get(name) == was.get(name))


def confirm_parts(
    tools: WorkerContext, kind: Kind, progress: Progress, write: Write, calls: Sequence[Request]
) -> Payload | None:
    """Return an object that is put together from parts, if it holds what was written."""
    payload = read_current(tools, kind, progress)
    is_deleted = write.action is Action.DELETE and payload is None
    if is_deleted or (payload is not None and holds_write(kind, write, payload)):
        return payload
    raise make_unconfirmed_error(calls[-1], "the object is not as it was written")


def is_object_call(kind: Kind, request: Request, write: Write) -> bool:
    """Return whether a call is about the object itself, not about one of its parts."""
    template = kind.collection if request.method == "POST" else kind.item
    return request.path == kind.path(template, write.ids)


def check_contradiction(
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
        live_object = (
            _read_created(tools, kind, progress, shown) if creates and payload is None else payload
        )
        if live_object is None or kind.identify(live_object) != kind.identify(shown):
            return None
        detail = Detail.MISNAMED if creates else None
        return ChangeEnded(
            Result.FAILED, _describe_misnamed(kind, write, shown), detail=detail, payload=shown
        )
    if payload is not None and has_difference(kind, shown, payload):
        return None
    names = ", ".join(list_differences(kind, write.spec, shown))
    return ChangeEnded(Result.FAILED, _describe_kept(names), payload=shown)


def _read_created(
    tools: WorkerContext, kind: Kind, progress: Progress, shown: Payload
) -> Payload | None:
    """Return the object of an answer to a create, if it is there and was not known before."""
    id_ = kind.identity(shown)
    if tools.names.knows(kind.name, id_):
        return None  # the answer to another request
    return _read_once(tools, kind, replace(progress, id=id_))


def _describe_kept(names: str) -> Problem:
    return Problem(
        f"PostHog answered 200 but kept another value for {names}",
        "the server rewrote or ignored the field",
        "sent; the other fields were applied",
        f"look at {names} with `reconciler plan` and write what PostHog accepts",
    )


def _describe_misnamed(kind: Kind, write: Write, body: Payload) -> Problem:
    """Say what was asked for, what is there now, and how the files can mean it."""
    created, requested = kind.identify(body), str(write.name)
    return Problem(
        f"PostHog {_WROTE[write.action]} it as {escape_name(created)}, "
        f"not as {escape_name(requested)} (id {kind.identity(body)})",
        "the server made this name itself",
        "sent once and carried out under another name; it is not sent again",
        f"write `{kind.key}: {format_yaml_scalar(created)}` into metadata, or delete it in PostHog",
    )


_WROTE: Final = {Action.CREATE: "created", Action.UPDATE: "renamed"}


def describe_deleted(address: object) -> Problem:
    """Describe an object that was deleted since the plan was made."""
    return Problem(
        f"{address} is gone",
        "it was deleted since the plan was made",
        "nothing of it was changed",
        "run plan again",
    )


def describe_locked(address: object, why: str) -> Problem:
    """Describe an object of which PostHog accepts no update."""
    return Problem(
        f"{address} cannot be updated", why, "it was not changed", "change it in PostHog"
    )


def _holds(
    got: Any, sent: Any, path: str, hidden: tuple[str, ...], complete: frozenset[str]
) -> bool:
    """Return whether what was sent is in the response, which may hold more keys."""
    if got == sent or path in hidden:
        return True
    if path.rpartition(".")[2] in complete:
        return False
    if isinstance(sent, Mapping) and isinstance(got, Mapping):
        return all(
            _holds(got.get(name), value, f"{path}.{name}", hidden, complete)
            for name, value in sent.items()
        )
    if isinstance(sent, list) and isinstance(got, list) and len(sent) == len(got):
        return all(_holds(a, b, path, hidden, complete) for a, b in zip(got, sent, strict=True))
    return (sent in (None, [], {}, "") and got in (None, [], {}, "")) or str(got) == str(sent)
