"""Read the live state in the terms of the files: whole collections, each listed once.

Gets addresses, never resources: it does not see desired values. Ids become names only here;
`apply` turns names into ids.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import field, replace
from itertools import chain
from typing import Final

from reconciler import worker_pool
from reconciler.errors import ApiError, AuthenticationError, NotFoundError, UnreadableError
from reconciler.kinds import KINDS, READ
from reconciler.lazy_dataclass import dataclass
from reconciler.live import details, references, schedules, visibility
from reconciler.live import names as live_names
from reconciler.live.gaps import OF_ONE_SCOPE, build_gap
from reconciler.live.key_access import Directory, read_key_user
from reconciler.live.listed_payload import identify_row, list_names, read_id
from reconciler.live.live_ids import LiveIds
from reconciler.live.names import Names, build_change_request, build_resources, build_taker
from reconciler.model import (
    USER,
    Address,
    Live,
    LiveResource,
    Payload,
    Person,
    Unreadable,
)
from reconciler.posthog import change_requests, response_shapes
from reconciler.posthog.client import Reader

WORKERS: Final = 8
# Requests that matter for the next write: open ones, and ones that were not applied.
STANDING: Final = (*change_requests.OPEN, "rejected", "expired", "failed")


def read_live(
    reader: Reader,
    directory: Directory,
    addresses: Collection[Address],
    pins: Mapping[Address, str] | None = None,
    *,
    named: Collection[Address] = (),
    scheduled: bool = False,
    detailed: Collection[Address] = (),
) -> Live:
    """List what the addresses need, concurrently, and return it with names for ids.

    Args:
        reader: GET only.
        found: from `read_directory`.
        addresses: declared addresses, of the working tree or the base.
        pins: `metadata.id` of documents that have it; distinguishes projects with one name.
        named: objects in the conditions of declared flags, by name or by id.
        scheduled: whether the scheduled changes of the flags are read as well.
        detailed: objects that are read one by one too, because listings lack some of their fields.

    """
    reading = Reading(reader, directory, pins or {})
    names = references.group_names(addresses)
    wanted = references.list_collections(names)
    if scheduled:
        wanted |= {(schedules.KIND, scope) for kind, scope in wanted if KINDS[kind].gates}
    reading.list_all(wanted)
    reading.list_missing(names)
    reading.list_named(names, named)
    details.read_details(reading, detailed)
    return reading.build_live()


def read_gates(
    reader: Reader,
    live: Live,
    directory: Directory,
    projects: Collection[Address],
    pins: Mapping[Address, str] | None = None,
    *,
    watched: Collection[Address] = (),
    rewriting: Collection[tuple[str, tuple[str, ...]]] = (),
    guarding: Collection[tuple[str, tuple[str, ...]]] = (),
) -> Live:
    """Add what decides whether a write waits: policies, roles, people, change requests.

    `projects` are Project addresses; the requests of `watched` ones are not needed. Collections
    that were listed before are not listed again. `rewriting` are the collections of objects whose
    writes rewrite others: what these are is read too. `guarding` are collections that guardrails
    look at.
    """
    reading = Reading(reader, directory, pins or {}, live)
    scopes: set[tuple[str, ...]] = {(a.organization, a.name) for a in projects}
    forecast_scopes = scopes | {(a.organization, a.name) for a in watched}
    needed = {("ApprovalPolicy", scope) for scope in forecast_scopes}
    needed |= set(guarding) | {
        (kind, scope[:1]) for scope in forecast_scopes for kind in ("Role", "Member")
    }
    reading.list_all(needed - live.listed - _list_unreadable(live))
    reading.list_change_requests(scopes)
    reading.list_connections(rewriting)
    reading.read_me()
    return reading.build_live()


def _list_unreadable(live: Live) -> set[tuple[str, tuple[str, ...]]]:
    return {(gap.kind, gap.scope) for gap in live.unreadable}


@dataclass
class Reading:
    """Hold one read in progress. Only the methods `list_*` and `read_*` send requests."""

    reader: Reader
    directory: Directory
    pins: Mapping[Address, str]
    before: Live | None = None
    payloads: dict[tuple[str, tuple[str, ...]], tuple[Payload, ...]] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)
    requests: list[tuple[tuple[str, ...], Payload]] = field(default_factory=list)
    me: Person | None = None
    partial: set[str] = field(default_factory=set)  # organizations that hide members
    read_singly: set[tuple[str, tuple[str, ...]]] = field(
        default_factory=set
    )  # read one by one, not listed
    _again: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)  # listed a second time
    _not_offered: set[str] = field(default_factory=set)  # kinds that this server does not have

    def find_organization_id(self, slug: str) -> str | None:
        """Return the id of an organization that this key can see."""
        payloads = self.directory.organizations.get(slug, ())
        return str(payloads[0]["id"]) if payloads else None

    def find_project_id(self, slug: str, name: str) -> str | None:
        """Return the id of a project, unless the name is unknown or ambiguous."""
        projects = self.directory.projects.get(slug, {})
        pinned = self.pins.get(Address("Project", (slug, name)))
        if pinned is not None:
            return pinned if any(pinned in ids for ids in projects.values()) else None
        ids = projects.get(name, ())
        return ids[0] if len(ids) == 1 else None

    def find_ids(self, scope: tuple[str, ...]) -> dict[str, str] | None:
        """Return the ids for a path template, or None if the scope is not live."""
        organization = self.find_organization_id(scope[0])
        if organization is None:
            return None
        if len(scope) == 1:
            return {"organization": organization}
        project = self.find_project_id(*scope)
        return None if project is None else {"organization": organization, "project": project}

    def list_all(self, collections: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        """List collections concurrently; note a refused one and continue with the others."""
        self._gather(
            {key: self._build_task(*key, READ[key[0]].params) for key in sorted(collections)}
        )

    def list_named(self, names: references.Names, named: Collection[Address]) -> None:
        """List what flags refer to and no listing has yet: archived flags, cohorts, holdouts.

        This covers the flags in the files, and the live flags with these `names`.
        """
        wanted = {*named, *references.find_referred(self.payloads, names)}
        self._list_again(references.find_lacking(self.payloads, wanted) - self._again)
        self.list_all(
            {(address.kind, references.get_scope(address)) for address in wanted}
            - self.payloads.keys()
            - {(gap.kind, gap.scope) for gap in self.unreadable}
        )

    def list_missing(self, names: references.Names) -> None:
        """Read the second listing of a kind if a declared object is not in the first."""
        self._list_again(
            {
                place
                for place, wanted in names.items()
                if (kind := READ[place[0]]).fallback_params
                and (items := self.payloads.get(place)) is not None
                and not list_names(kind, items).issuperset(wanted)
            }
        )

    def _list_again(self, collections: Collection[tuple[str, tuple[str, ...]]]) -> None:
        """Read the second listing of some collections, and add its objects."""
        self._again |= set(collections)
        first = {key: self.payloads[key] for key in collections}
        self._gather(
            {key: self._build_task(*key, KINDS[key[0]].fallback_params) for key in sorted(first)}
        )
        for key, items in first.items():
            kind = KINDS[key[0]]
            known = {read_id(kind, payload) for payload in items}
            extra = self.payloads.get(key, ()) if self.payloads.get(key) is not items else ()
            self.payloads[key] = (*items, *(p for p in extra if read_id(kind, p) not in known))

    def _build_task(
        self, kind: str, scope: tuple[str, ...], params: Mapping[str, str] | None = None
    ) -> Callable[[], tuple[Payload, ...]]:
        take = build_taker(READ[kind])

        def run() -> tuple[Payload, ...]:
            ids = self.find_ids(scope)
            if ids is None or kind in self._not_offered:
                return ()
            path = READ[kind].collection.format_map(ids)
            try:
                listing = self.reader.list(path, params, identity=identify_row, take=take)
            except NotFoundError:
                if kind == schedules.KIND:  # an older server: the other projects are not asked
                    self._not_offered.add(kind)
                raise
            if mismatch := live_names.find_mismatch(kind, listing.items):
                raise response_shapes.build_shape_error(path, mismatch)
            return listing.items

        return run

    def _gather(
        self, tasks: Mapping[tuple[str, tuple[str, ...]], Callable[[], tuple[Payload, ...]]]
    ) -> None:
        with worker_pool.open_pool(min(WORKERS, len(tasks)), "list") as pool:
            futures = {key: pool.submit(task) for key, task in tasks.items()}
            for key, future in futures.items():
                self._collect(key, future)

    def _collect(
        self, key: tuple[str, tuple[str, ...]], future: Future[tuple[Payload, ...]]
    ) -> None:
        try:
            items = future.result()
        except OF_ONE_SCOPE as error:
            self.unreadable.append(build_gap(*key, error))
            return
        self.payloads[key] = items

    def list_change_requests(self, scopes: Collection[tuple[str, ...]]) -> None:
        """List the change requests of projects that are open, or ended without being applied."""
        tasks = {
            ("ChangeRequest", scope): self._build_request_task(scope) for scope in sorted(scopes)
        }
        self._gather(tasks)
        for key in tasks:
            for payload in self.payloads.pop(key, ()):
                self.requests.append((key[1], payload))

    def _build_request_task(self, scope: tuple[str, ...]) -> Callable[[], tuple[Payload, ...]]:
        def run() -> tuple[Payload, ...]:
            ids = self.find_ids(scope)
            if ids is None:
                return ()
            listed = change_requests.list_all(self.reader, ids["project"], state=STANDING)
            return tuple(payload for payload in listed if live_names.find_request_kind(payload))

        return run

    def list_connections(self, places: Collection[tuple[str, tuple[str, ...]]]) -> None:
        """List what connects the objects of these collections with those that they rewrite."""
        connections = {
            (rewrites.through, scope): rewrites
            for kind, scope in places
            if (rewrites := KINDS[kind].rewrites) is not None
        }
        listed: dict[tuple[str, tuple[str, ...]], tuple[Payload, ...]] = {}
        for number in range(max((len(r.listings) for r in connections.values()), default=0)):
            self._gather(
                {
                    key: self._build_task(*key, rewrites.listings[number])
                    for key, rewrites in connections.items()
                    if number < len(rewrites.listings) and (number == 0 or key in listed)
                }
            )
            for key in connections:
                if key in self.payloads:
                    listed[key] = (*listed.get(key, ()), *self.payloads.pop(key))
        self.payloads |= listed

    def read_me(self) -> None:
        """Read the user of the key; unknown without the scope `user:read`, without an error."""
        try:
            payload = read_key_user(self.reader)
        except AuthenticationError:
            raise
        except UnreadableError as error:
            self.unreadable.append(build_gap(USER, (), error))
            return
        except ApiError:
            return
        level = (payload.get("organization") or {}).get("membership_level")
        self.me = Person(payload["id"], payload["uuid"], payload["email"], level)

    def _check_projects(self) -> None:
        """Note listings that lack projects which the organization itself names."""
        for gap in visibility.find_short_listings(self.directory, self.payloads):
            del self.payloads[gap.kind, gap.scope]
            self.unreadable.append(gap)

    def _check_people(self) -> None:
        """Note organizations that show only some of their members, by their own count."""
        for gap in visibility.find_hidden_people(self.directory, self.payloads, self.read_singly):
            self.partial.add(gap.scope[0])
            self.unreadable.append(gap)

    def build_live(self) -> Live:
        """Return everything that was read, with names for ids."""
        self._check_projects()
        self._check_people()
        names = Names(self.payloads, self.before, self.partial)
        scheduled = schedules.take_schedules(self.payloads, names)
        for slug in self.partial:
            self.payloads.pop(
                ("Member", (slug,)), None
            )  # the people are known, but not the collection
        resources: dict[Address, LiveResource] = {}
        duplicates: dict[Address, list[LiveResource]] = {}
        for batch in self._build_resources(names):
            unique = {resource.address: resource for resource in batch}
            if len(unique) == len(batch):
                resources |= unique
                continue
            for resource in batch:
                first = resources.setdefault(resource.address, resource)
                if first is not resource:
                    duplicates.setdefault(resource.address, [first]).append(resource)
        return schedules.add_schedules(self._merge(resources, duplicates, names), scheduled)

    def _build_resources(self, names: Names) -> Iterator[list[LiveResource]]:
        """Yield the resources of each collection; a malformed one makes all of it unreadable."""
        for (kind, scope), items in list(self.payloads.items()):
            if not READ[kind].declared:
                continue
            try:
                yield build_resources(KINDS[kind], scope, items, names)
            except response_shapes.MALFORMED as error:
                del self.payloads[kind, scope]
                path = READ[kind].collection.format_map(self.find_ids(scope) or {})
                error_ = response_shapes.build_shape_error(
                    path, live_names.describe_malformed(kind, error)
                )
                self.unreadable.append(build_gap(kind, scope, error_))
        if self.before is None:
            for payloads in self.directory.organizations.values():
                yield build_resources(KINDS["Organization"], (), payloads, names)

    def _merge(
        self,
        resources: Mapping[Address, LiveResource],
        duplicates: Mapping[Address, list[LiveResource]],
        names: Names,
    ) -> Live:
        ids = {address: tuple(item.id for item in items) for address, items in duplicates.items()}
        ids |= references.list_undeclared_ids(self.payloads)
        for slug, projects in self.directory.projects.items():
            for name, project_ids in projects.items():
                address = Address("Project", (slug, name))
                if address not in resources:
                    ids.setdefault(address, project_ids)
        all_duplicates = {address: tuple(items) for address, items in duplicates.items()}
        requests = [
            build_change_request(payload, *scope, names=names) for scope, payload in self.requests
        ]
        live = Live(
            resources=resources,
            ids=LiveIds(resources, ids),
            duplicates=all_duplicates,
            people=names.people,
            change_requests=tuple(r for r in requests if r.state not in change_requests.FINAL),
            rejections=tuple(r for r in requests if r.state in change_requests.FINAL),
            unreadable=tuple(self.unreadable),
            listed=frozenset({("Organization", ()), *self.payloads} - self.read_singly),
            me=self.me,
            domains=references.list_verified_domains(self.payloads),
            partial=names.partial,
            rewritten=references.list_rewritten(self.payloads),
        )
        if self.before is None:
            return live
        return replace(
            live,
            resources={**self.before.resources, **resources},
            ids=dict(chain(live.ids.items(), self.before.ids.items())),
            duplicates={**self.before.duplicates, **all_duplicates},
            schedules=self.before.schedules,
            unreadable=(*self.before.unreadable, *self.unreadable),
            listed=self.before.listed | live.listed,
        )
