"""Read a few live objects again: only those that a saved plan contains.

Objects are read one by one, or their collection is listed, whichever takes fewer requests.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from reconciler import worker_pool
from reconciler.kinds import KINDS, READ
from reconciler.lazy_dataclass import dataclass
from reconciler.live import details
from reconciler.live.gaps import OF_ONE_SCOPE, build_gap
from reconciler.live.key_access import Directory
from reconciler.live.reader import WORKERS, Reading
from reconciler.model import Address, Kind, Live, Payload, Scope
from reconciler.posthog import response_shapes
from reconciler.posthog.client import Reader
from reconciler.posthog.pagination import PAGE_SIZE

Place = tuple[str, tuple[str, ...]]  # kind and scope: one collection
_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class WantedObject:
    """Name one object to read again: by its id if it had one, else by its name."""

    address: Address
    id: str | None = None
    detailed: bool = False  # whether fields that listings lack matter


def read_again(
    reader: Reader,
    directory: Directory,
    wanted: Iterable[WantedObject],
    *,
    whole: Collection[Place],
    counts: Mapping[Place, int],
    pins: Mapping[Address, str],
) -> Live:
    """Read these objects, and some whole collections; nothing of other collections.

    Args:
        reader: GET only.
        found: from `read_directory`.
        wanted: the objects.
        whole: collections that are listed in any case, because names refer to them.
        counts: how many objects a collection had, to choose the cheaper way.
        pins: as in `reader.read_live`.

    """
    reading = _PartialReading(reader, directory, pins)
    by_place: dict[Place, list[WantedObject]] = defaultdict(list)
    for wanted_object in wanted:
        by_place[wanted_object.address.kind, wanted_object.address.parts[:-1]].append(wanted_object)
    listed = {place for place in whole if READ[place[0]].scope is not Scope.INSTANCE}
    by_object = {}
    for place, objects in by_place.items():
        if place in listed or KINDS[place[0]].scope is Scope.INSTANCE:
            continue
        if KINDS[place[0]].part_of:
            by_object[place] = objects
            continue
        pages = max(1, -(-counts.get(place, 0) // PAGE_SIZE))
        if _count_requests(KINDS[place[0]], objects) > pages:
            listed.add(place)
        else:
            by_object[place] = objects
    reading.list_all(listed)
    reading.list_missing(
        {place: {each.address.name for each in objects} for place, objects in by_place.items()}
    )
    reading.read_objects(by_object)
    return reading.build_live()


def _count_requests(kind: Kind, objects: Collection[WantedObject]) -> float:
    """Return how many requests these objects take one by one; infinite if that is impossible."""
    total = 0.0
    if any(wanted.detailed for wanted in objects):
        return 0.0  # no listing has what is needed
    for wanted in objects:
        if wanted.id is not None and kind.point_read:
            total += 1
        elif kind.search is None:
            return _NEVER
        else:
            total += 2 if kind.fallback_params else 1
    return total


class _PartialReading(Reading):
    """Hold a read in which some collections are known in part."""

    def read_objects(self, places: Mapping[Place, Collection[WantedObject]]) -> None:
        """Read objects one by one, concurrently; note a refused collection once."""
        with worker_pool.open_pool(WORKERS, "again") as pool:
            futures = [
                (place, pool.submit(self._build_task_for(place, wanted)))
                for place in sorted(places)
                for wanted in places[place]
            ]
            objects_by_place: dict[Place, dict[str, Payload]] = {place: {} for place in places}
            for place, future in futures:
                try:
                    payloads = future.result()
                except OF_ONE_SCOPE as error:
                    if objects_by_place.pop(place, None) is not None:
                        self.unreadable.append(build_gap(*place, error))
                    continue
                if place in objects_by_place:
                    identity = KINDS[place[0]].identity
                    objects_by_place[place] |= {identity(payload): payload for payload in payloads}
        self.payloads |= {
            place: tuple(objects.values()) for place, objects in objects_by_place.items()
        }
        self.read_singly |= objects_by_place.keys()

    def _build_task_for(
        self, place: Place, wanted: WantedObject
    ) -> Callable[[], tuple[Payload, ...]]:
        kind, ids = KINDS[place[0]], self.find_ids(place[1])

        def run() -> tuple[Payload, ...]:
            if ids is None:
                return ()
            if kind.part_of:
                id_ = wanted.id or self.find_project_id(place[1][0], wanted.address.name)
                whole = {**ids, "id": id_ or ""}
                return (
                    details.read_object(self.reader, kind, whole, wanted.address.name)
                    if id_
                    else ()
                )
            if wanted.id is not None and kind.point_read:
                return self._read_by_id(
                    kind, {**ids, "id": wanted.id}, shows_details=wanted.detailed
                )
            return self._read_by_name(kind, wanted.address.name, ids)

        return run

    def _read_by_id(
        self, kind: Kind, ids: Mapping[str, str], *, shows_details: bool
    ) -> tuple[Payload, ...]:
        """Return the object; without its details if they did not matter to the plan."""
        hidden = () if shows_details else [name for each in kind.details.values() for name in each]
        return tuple(
            {name: value for name, value in payload.items() if name not in hidden}
            for payload in details.read_object(self.reader, kind, ids)
        )

    def _read_by_name(self, kind: Kind, name: str, ids: Mapping[str, str]) -> tuple[Payload, ...]:
        """Return the objects of a name, from the second listing too if the first has none."""
        path, query = kind.path(kind.collection, ids), {str(kind.search): name}
        more = ({**query, **kind.fallback_params},) if kind.fallback_params else ()
        for params in (query, *more):
            items = [
                response_shapes.require_object(kind, path, payload)
                for payload in self.reader.list(path, params).items
            ]
            if matching := tuple(
                payload for payload in items if _has_name(kind, kind.identify(payload), name)
            ):
                return matching
        return ()

    def _check_projects(self) -> None:
        """Check nothing: not all projects are read here, so none can be missing."""


def _has_name(kind: Kind, identifier: str, name: str) -> bool:
    return identifier == name or (kind.folds_case and identifier.casefold() == name.casefold())
