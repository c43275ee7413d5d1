"""Read objects one by one, where no listing shows them, or only some of their fields."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from reconciler import worker_pool
from reconciler.errors import ApiError, NotFoundError
from reconciler.kinds import KINDS
from reconciler.live.gaps import OF_ONE_SCOPE, build_gap
from reconciler.live.listed_payload import read_id, read_name
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
    shown: dict[Place, dict[str, tuple[Payload, ...]]] = {}
    refused: set[Place] = set()
    with worker_pool.open_pool(min(_WORKERS, len(wanted)), "details") as pool:
        futures = [
            (place, ids["id"], pool.submit(read_object, reading.reader, KINDS[place[0]], ids, name))
            for place, ids, name in wanted
        ]
        for place, id_, future in futures:
            try:
                shown.setdefault(place, {})[id_] = future.result()
            except OF_ONE_SCOPE as error:
                if place not in refused:
                    _note_refusal(reading, place, error)
                refused.add(place)
    for place in shown.keys() - refused:
        _replace_listed(reading, place, shown[place])


def _list_wanted(
    reading: "Reading", addresses: Collection[Address]
) -> Iterator[tuple[Place, Mapping[str, str], str]]:
    """Yield the collection, the ids for the path, and the name of each object."""
    names_by_place: dict[Place, set[str]] = {}
    wanted = frozenset(addresses)
    for address in addresses:
        names_by_place.setdefault((address.kind, address.parts[:-1]), set()).add(address.name)
    pinned = {(a.kind, id_) for a, id_ in reading.pins.items() if a in wanted}
    for (kind_name, scope), names in sorted(names_by_place.items()):
        ids = reading.find_ids(scope)
        for id_, name in _list_known(reading, KINDS[kind_name], scope):
            if ids and (ALL in names or name in names or (kind_name, id_) in pinned):
                yield (kind_name, scope), {**ids, "id": id_}, name


def _list_known(
    reading: "Reading", kind: Kind, scope: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Yield id and name of the listed objects; of parts, those of the projects."""
    if not kind.part_of:
        for payload in reading.payloads.get((kind.name, scope), ()):
            yield read_id(kind, payload), read_name(kind, payload)
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


def _note_refusal(reading: "Reading", place: Place, error: ApiError) -> None:
    """Make a collection unreadable, unless its listing was refused before."""
    reading.payloads.pop(place, None)
    if all((gap.kind, gap.scope) != place for gap in reading.unreadable):
        reading.unreadable.append(build_gap(*place, error))


def _replace_listed(
    reading: "Reading", place: Place, shown: Mapping[str, tuple[Payload, ...]]
) -> None:
    """Replace the rows of a collection, by id; parts of projects have no listing to replace."""
    kind = KINDS[place[0]]
    if kind.part_of:
        rows = (payload for payloads in shown.values() for payload in payloads)
        reading.payloads[place] = (*reading.payloads.get(place, ()), *rows)
        reading.read_singly.add(place)
    elif place in reading.payloads:
        take = build_taker(kind)
        taken = {id_: tuple(map(take, payloads)) for id_, payloads in shown.items()}
        reading.payloads[place] = tuple(
            row
            for listed in reading.payloads[place]
            for row in taken.get(read_id(kind, listed), (listed,))
        )
