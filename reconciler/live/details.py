"""Read objects one by one, where no listing shows them, or only some of their fields."""

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING

from reconciler import worker_pool
from reconciler.errors import NotFoundError
from reconciler.kinds import KINDS
from reconciler.live.gaps import OF_ONE_SCOPE, build_gap
from reconciler.live.names import build_taker
from reconciler.live.references import ALL, Place
from reconciler.model import Address, Kind, Payload
from reconciler.posthog import response_shapes
from reconciler.posthog.client import Reader

if TYPE_CHECKING:
    from reconciler.live.reader import Reading

_WORKERS = 8


def read_details(reading: "Reading", addresses: Collection[Address]) -> None:
    """Replace listed objects by what their own endpoints show; a name may stand for several.

    A refusal makes the whole collection unreadable: without these fields nothing can be compared.
    """
    wanted = tuple(_list_wanted(reading, addresses))
    if not wanted:
        return
    with worker_pool.start_pool(min(_WORKERS, len(wanted)), "details") as pool:
        futures = [
            (place, ids["id"], pool.submit(read_object, reading.reader, KINDS[place[0]], ids, name))
            for place, ids, name in wanted
        ]
        try:
            for place, id_, future in futures:
                _replace_listed(reading, place, id_, future)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _list_wanted(
    reading: "Reading", addresses: Collection[Address]
) -> Iterator[tuple[Place, Mapping[str, str], str]]:
    """Yield the collection, the ids for the path, and the name of each object."""
    for kind_name, scope in sorted({(a.kind, a.parts[:-1]) for a in addresses}):
        kind, ids = KINDS[kind_name], reading.find_ids(scope)
        names = {a.name for a in addresses if (a.kind, a.parts[:-1]) == (kind_name, scope)}
        pinned = {i for a, i in reading.pins.items() if a.kind == kind_name and a in addresses}
        for id_, name in _list_known(reading, kind, scope):
            if ids and (ALL in names or name in names or id_ in pinned):
                yield (kind_name, scope), {**ids, "id": id_}, name


def _list_known(
    reading: "Reading", kind: Kind, scope: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Yield id and name of the listed objects; of parts, those of the projects."""
    if not kind.part_of:
        for payload in reading.payloads.get((kind.name, scope), ()):
            yield kind.identity(payload), kind.identify(payload)
        return
    for (project_kind, parts), pinned in reading.pins.items():
        if project_kind == kind.part_of and parts[:-1] == scope:
            yield pinned, parts[-1]
    for name, ids in reading.directory.projects.get(scope[0], {}).items():
        if Address(kind.part_of, (*scope, name)) not in reading.pins and len(ids) == 1:
            yield ids[0], name


def read_object(
    reader: Reader, kind: Kind, ids: Mapping[str, str], name: str = ""
) -> tuple[Payload, ...]:
    """Return one object, or nothing if it has been deleted."""
    try:
        payload = reader.read_object(kind, ids, name)
    except NotFoundError:
        if kind.parts:
            raise  # the project is listed, so this server does not have them
        return ()
    if kind.identity(payload) != ids["id"]:
        path = kind.path(kind.item, ids)
        raise response_shapes.build_shape_error(
            path, f"it shows the object {kind.identity(payload)}"
        )
    return () if payload.get("deleted") else (payload,)


def _replace_listed(
    reading: "Reading", place: Place, id_: str, future: "Future[tuple[Payload, ...]]"
) -> None:
    try:
        payloads = future.result()
    except OF_ONE_SCOPE as error:
        reading.payloads.pop(place, None)
        if all((gap.kind, gap.scope) != place for gap in reading.unreadable):
            reading.unreadable.append(build_gap(*place, error))
        return
    if KINDS[place[0]].part_of:
        reading.payloads[place] = (*reading.payloads.get(place, ()), *payloads)
        reading.read_singly.add(place)
    elif place in reading.payloads:
        kind = KINDS[place[0]]
        take = build_taker(kind)
        reading.payloads[place] = tuple(
            row
            for listed in reading.payloads[place]
            for row in (map(take, payloads) if kind.identity(listed) == id_ else (listed,))
        )
