"""Objects as PostHog shows them: found, read again, and held against what was wanted."""

from collections.abc import Mapping
from typing import Any, Final

from reconciler.apply.progress import Progress, Stop, Tools
from reconciler.errors import NotFoundError
from reconciler.kind import Kind, Write
from reconciler.lookalikes import escaped, look, yaml_scalar
from reconciler.model import Action, Detail, Payload, Problem, Result
from reconciler.paths import Spec

_STALE_S: Final = (0.5, 1.5, 3.0)  # waits for a replica that lags behind


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


def find_lookalike(tools: Tools, kind: Kind, name: str, ids: Mapping[str, str]) -> Payload | None:
    """Find a listed object whose name looks like `name`, whatever its case."""
    same = look(name).casefold()
    for payload in tools.writer.list(kind.path(kind.collection, ids)).items:
        if look(kind.identify(payload)).casefold() == same:
            return payload
    return None


def reread(tools: Tools, kind: Kind, progress: Progress) -> Payload | None:
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


def _read(tools: Tools, kind: Kind, progress: Progress) -> Payload | None:
    address, before = progress.change.address, progress.change.before
    ids = tools.names.scope_ids(address)
    if progress.id is None or not kind.point_read:
        return find(tools, kind, before.address.name if before else address.name, ids)
    try:
        payload: Payload = tools.writer.get(kind.path(kind.item, {**ids, "id": progress.id}))
    except NotFoundError:
        return None
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


def verify(kind: Kind, progress: Progress, write: Write, body: Payload) -> frozenset[str]:
    """Refuse a 200 whose body differs from what was sent; return what PostHog dropped as it does.

    A field that it may drop without a word, and that is as it was, is not a failure (9.1).
    """
    change = progress.change
    if progress.id is not None and kind.identity(body) != progress.id:
        raise Stop(
            Result.FAILED,
            Problem(
                f"{change.address}: PostHog answered with another object",
                f"{progress.id} was written, and {kind.identity(body)} came back",
                "sent; whether it was applied is not known",
                "run plan, and tell PostHog if it repeats",
            ),
        )
    if body.get("deleted") and change.action is not Action.DELETE:
        raise Stop(Result.REFUSED, gone(change.address))
    made = kind.identify(body)
    if write.name is not None and made != write.name:
        detail = Detail.MISNAMED if write.action is Action.CREATE else None
        raise Stop(Result.FAILED, _misnamed(kind, write, body), detail=detail, payload=body)
    got = spec_of(kind, body)
    sent = {name: v for name, v in write.spec.items() if name not in kind.apart and name in got}
    was = spec_of(kind, progress.payload) if progress.payload is not None else kind.defaults
    fields = different(kind, sent, body)
    dropped = {name for name in fields if name in kind.droppable and got[name] == was.get(name)}
    if fields := tuple(name for name in fields if name not in dropped):
        names = ", ".join(fields)
        raise Stop(
            Result.FAILED,
            Problem(
                f"PostHog answered 200 but kept another value for {names}",
                "the server rewrote or ignored the field",
                "sent; the other fields were applied",
                f"look at {names} with `reconciler plan` and write what PostHog accepts",
            ),
            payload=body,
        )
    return frozenset(dropped)


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
