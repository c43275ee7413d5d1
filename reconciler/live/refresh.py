"""Read a few live objects again: only those that a saved plan contains.

Objects are read one by one, or their collection is listed, whichever takes fewer requests.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler import worker_pool
from reconciler.errors import NotFoundError
from reconciler.kinds import KINDS, READ
from reconciler.live.key_access import Directory
from reconciler.live.reader import OF_ONE_SCOPE, WORKERS, Reading, gap_of
from reconciler.model import Address, Kind, Live, Payload, Scope
from reconciler.posthog import response_shapes
from reconciler.posthog.client import Reader
from reconciler.posthog.pagination import PAGE_SIZE

Place = tuple[str, tuple[str, ...]]  # kind and scope: one collection
_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Name one object to read again: by its id if it had one, else by its name."""

    address: Address
    id: str | None = None


def read(
    reader: Reader,
    found: Directory,
    wanted: Iterable[Wanted],
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
    reading = _Again(reader, found, pins)
    few: dict[Place, list[Wanted]] = defaultdict(list)
    for one in wanted:
        few[one.address.kind, one.address.parts[:-1]].append(one)
    listed = {place for place in whole if READ[place[0]].scope is not Scope.INSTANCE}
    asked = {}
    for place, objects in few.items():
        if place in listed or KINDS[place[0]].scope is Scope.INSTANCE:
            continue
        pages = max(1, -(-counts.get(place, 0) // PAGE_SIZE))
        if _price(KINDS[place[0]], objects) > pages:
            listed.add(place)
        else:
            asked[place] = objects
    reading.list_all(listed)
    reading.list_missing([one.address for objects in few.values() for one in objects])
    reading.ask(asked)
    return reading.live()


def _price(kind: Kind, objects: Collection[Wanted]) -> float:
    """Return how many requests these objects take one by one; infinite if that is impossible."""
    total = 0.0
    for one in objects:
        if one.id is not None and kind.point_read:
            total += 1
        elif kind.search is None:
            return _NEVER
        else:
            total += 2 if kind.fallback_params else 1
    return total


class _Again(Reading):
    """Hold a read in which some collections are known in part."""

    def ask(self, places: Mapping[Place, Collection[Wanted]]) -> None:
        """Read objects one by one, concurrently; note a refused collection once."""
        with worker_pool.start_pool(WORKERS, "again") as pool:
            futures = [
                (place, pool.submit(self._asker(place, one)))
                for place in sorted(places)
                for one in places[place]
            ]
            found: dict[Place, dict[str, Payload]] = {place: {} for place in places}
            try:
                for place, future in futures:
                    try:
                        payloads = future.result()
                    except OF_ONE_SCOPE as error:
                        if found.pop(place, None) is not None:
                            self.unreadable.append(gap_of(*place, error))
                        continue
                    if place in found:
                        identity = KINDS[place[0]].identity
                        found[place] |= {identity(payload): payload for payload in payloads}
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        self.payloads |= {place: tuple(objects.values()) for place, objects in found.items()}
        self.asked |= found.keys()

    def _asker(self, place: Place, one: Wanted) -> Callable[[], tuple[Payload, ...]]:
        kind, ids = KINDS[place[0]], self.ids(place[1])

        def run() -> tuple[Payload, ...]:
            if ids is None:
                return ()
            if one.id is not None and kind.point_read:
                return self._by_id(kind, {**ids, "id": one.id})
            return self._by_name(kind, one.address.name, ids)

        return run

    def _by_id(self, kind: Kind, ids: Mapping[str, str]) -> tuple[Payload, ...]:
        path = kind.path(kind.item, ids)
        try:
            payload = response_shapes.require_object(kind, path, self.reader.get(path))
        except NotFoundError:
            return ()
        if kind.identity(payload) != ids["id"]:
            raise response_shapes.build_shape_error(
                path, f"it shows the object {kind.identity(payload)}"
            )
        return () if payload.get("deleted") else (payload,)

    def _by_name(self, kind: Kind, name: str, ids: Mapping[str, str]) -> tuple[Payload, ...]:
        """Return the objects of a name, from the second listing too if the first has none."""
        path, asked = kind.path(kind.collection, ids), {str(kind.search): name}
        more = ({**asked, **kind.fallback_params},) if kind.fallback_params else ()
        for params in (asked, *more):
            items = [
                response_shapes.require_object(kind, path, one)
                for one in self.reader.list(path, params).items
            ]
            if same := tuple(one for one in items if _named(kind, kind.identify(one), name)):
                return same
        return ()

    def _check_projects(self) -> None:
        """Check nothing: not all projects are read here, so none can be missing."""


def _named(kind: Kind, found: str, name: str) -> bool:
    return found == name or (kind.folds_case and found.casefold() == name.casefold())
