"""Pull: read live resources for the files, and keep what git has changed."""

from collections.abc import Callable, Iterator
from dataclasses import field, replace
from typing import Any

from reconciler.config import loaded as config_loaded
from reconciler.config.edit import selection
from reconciler.config.edit.documents import Item, SkippedEdit
from reconciler.config.edit.selection import Choice, KeptChange, PullSelection
from reconciler.errors import ApiError, AuthenticationError
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.live import key_access
from reconciler.live import names as live_names
from reconciler.live import reader as live_reader
from reconciler.model import (
    Action,
    Address,
    Cause,
    Change,
    ChangeRequest,
    Declared,
    Live,
    Resource,
    get_root,
    map_values,
    parse_id,
)
from reconciler.operations import plan
from reconciler.plan import links
from reconciler.plan.approvals import request_matching
from reconciler.plan.diff import matching, references, removals, three_way
from reconciler.plan.diff.base_index import BaseIndex
from reconciler.posthog import change_requests
from reconciler.posthog.client import Reader


@dataclass(frozen=True, slots=True)
class _World:
    """What was read, and what the files say, and said at the base."""

    live: Live
    declared: Declared
    base: Declared | None
    reader: Reader
    open_requests: dict[tuple[str, ...], list[ChangeRequest]] = field(default_factory=dict)

    def list_open_requests(self, scope: tuple[str, ...]) -> list[ChangeRequest]:
        """Return the open requests of a project, which are listed once."""
        if scope not in self.open_requests:
            self.open_requests[scope] = list(_open(self.reader, self.live, scope))
        return self.open_requests[scope]

    def recognize_intent(self, change: Change) -> Change:
        """Return the change; without a base, what an open request proposes comes from git."""
        is_unknown = any(each.cause is Cause.UNKNOWN for each in change.fields)
        if change.action is not Action.UPDATE or not is_unknown or not _is_gated(change.address):
            return change
        requests = self.list_open_requests(change.address.parts[:-1])
        fields = tuple(
            replace(each, cause=Cause.INTENT) if _request(requests, change, each.path) else each
            for each in change.fields
        )
        return replace(change, fields=fields)

    def left(self, change: Change) -> list[tuple[str | int, ...]]:
        """Return the fields that a document had at the base and has no more."""
        before = BaseIndex(self.declared, self.base)
        then = before.find_declaration(change.desired) if change.desired is not None else None
        if then is None or change.desired is None:
            return []
        kind = KINDS[change.address.kind]
        removed = removals.find_removed_fields(then.spec, change.desired.spec, kind)
        return [path for path, _ in removed]


def pull(
    reader: Reader,
    loaded: config_loaded.Loaded,
    choice: Choice,
    base: config_loaded.Loaded | None = None,
) -> PullSelection:
    """Read everything live that `choice` asks for, and the documents that stand for it.

    What git has changed since the base, and PostHog does not have yet, is left to the files.
    """
    directory = key_access.read_directory(reader)
    choice.check_names(directory.projects)
    names = directory.project_names()
    whole = config_loaded.expand_templates(loaded, names)
    picked = {a: r for a, r in whole.resources.items() if choice.covers(a)}
    ids = {
        Address("Project", (slug, name)): selection.find_oldest_id(same_named)
        for slug, projects in directory.projects.items()
        for name, same_named in projects.items()
    }
    ids |= plan.find_pins(whole, directory)
    wanted = {*choice.list_collections(directory.projects), *picked}
    named = references.list_id_references(picked, whole)
    detailed = {a for a in wanted if KINDS[a.kind].details or KINDS[a.kind].part_of}
    live = live_reader.read_live(reader, directory, wanted, ids, named=named, detailed=detailed)
    then, _ = config_loaded.expand_base(base, names)
    respelled = references.respell_references(then, live, whole) if then is not None else None
    world = _World(live, whole, respelled, reader)
    declared_places = {(address.kind, address.parts[:-1]) for address in picked}
    unreadable = tuple(
        gap
        for gap in live.unreadable
        if gap.is_offered or gap.kind in choice.kinds or (gap.kind, gap.scope) in declared_places
    )
    pulled, known = PullSelection(unreadable=unreadable), set[int]()
    changes = list(_changes(world, loaded, pulled, known, picked))
    _removed(world, choice, pulled, known, changes)
    pulled.add_undeclared(live, choice, known)
    pulled.items = [_written(item, live, pulled) for item in pulled.items]
    pulled.kept = list(_awaited(world, pulled.kept, changes))
    return pulled


def _changes(
    world: _World,
    loaded: config_loaded.Loaded,
    pulled: PullSelection,
    known: set[int],
    picked: dict[Address, Resource],
) -> Iterator[Change]:
    """Hand declared resources to `pulled`; return what differs, and which side moved."""
    live = world.live
    closed = {(gap.kind, gap.scope) for gap in live.unreadable}
    lookup = matching.LiveLookup(live)
    spelled = references.respell_references(
        replace(world.declared, resources=picked), live
    ).resources
    earlier = BaseIndex(world.declared, world.base)
    for address, resource in picked.items():
        candidates = lookup.find_candidates(resource)
        if len(candidates) > 1:
            chosen = selection.find_oldest_id(candidate.id for candidate in candidates)
            candidates = tuple(candidate for candidate in candidates if candidate.id == chosen)
        known |= {id(candidate) for candidate in candidates}
        if (address.kind, address.parts[:-1]) in closed:
            continue
        if matching.check_hidden_people(resource, live) is not None:
            continue
        then = earlier.find_declaration(resource)
        change = three_way.compare_resource(
            spelled[address], then, candidates[0] if candidates else None
        )
        change = world.recognize_intent(change)
        yield change
        was_there = then is None or (bool(then.spec or then.source) and not then.lifecycle.absent)
        if resource.lifecycle.absent:
            if candidates and then is not None and was_there:
                pulled.kept.append(KeptChange(address))
        elif not candidates:
            pulled.missing.append(resource)
            if not was_there:
                pulled.kept.append(KeptChange(address))
        elif address in loaded.declared.resources:
            is_unique = candidates[0].address not in live.duplicates
            left = world.left(change)
            pulled.add_declared(resource, candidates[0], change, is_unique=is_unique, removed=left)
        else:
            pulled.skip_template(resource, change)


def _written(item: Item, live: Live, pulled: PullSelection) -> Item:
    """Return the item with ids as PostHog has them where no name is, without what it refuses.

    A flag, cohort or holdout that has gone since stays named in a flag until its next save.
    """
    spec = item.spec
    for reference in KINDS[item.address.kind].references:
        if reference.takes_ids:
            spec = map_values(spec, reference.path, _plain(reference.kind))
    if spec is item.spec:
        return item  # everything that it refers to has a name
    dangling = references.describe_dangling(item.address, item.spec, live)
    if dangling and "filters" in spec:
        reason = f"`filters` is left out: PostHog would refuse it today: {dangling}"
        fix = "remove the condition in PostHog, and pull again"
        pulled.skipped.append(SkippedEdit(item.address, reason, fix))
        spec = {name: value for name, value in spec.items() if name != "filters"}
    return replace(item, spec=spec, fields=item.fields & spec.keys())


def _plain(kind: str) -> Callable[[Any], Any]:
    def plain(name: Any) -> Any:
        id_ = parse_id(name) if isinstance(name, str) else None
        if id_ is None:
            return name
        return int(id_) if kind != "FeatureFlag" and id_.isdecimal() else id_

    return plain


def _removed(
    world: _World, choice: Choice, pulled: PullSelection, known: set[int], changes: list[Change]
) -> None:
    """Keep out what has left the files since the base, although it is still live."""
    deletes, _ = removals.find_removals(
        world.declared, world.base, world.live, choice.covers, changes
    )
    for change in deletes:
        if change.before is not None:
            known.add(id(change.before))
            pulled.kept.append(KeptChange(change.address))


def _is_gated(address: Address) -> bool:
    return KINDS[address.kind].gated


def _awaited(world: _World, kept: list[KeptChange], changes: list[Change]) -> Iterator[KeptChange]:
    """Yield the same with the requests that it waits for: one listing a project, if needed."""
    of = {change.address: change for change in changes}
    gated = (difference.address for difference in kept if _is_gated(difference.address))
    scopes = {address.parts[:-1] for address in gated if address in of}
    requests = [each for scope in sorted(scopes) for each in world.list_open_requests(scope)]
    urls = links.link_requests(requests, world.live, world.reader.host)
    for difference in kept:
        change = of.get(difference.address)
        request = _request(requests, change, difference.path) if change is not None else None
        if request is not None:
            yield replace(difference, change_request=request.id, url=urls.get(request.id, ""))
        else:
            yield difference


def _open(reader: Reader, live: Live, scope: tuple[str, ...]) -> Iterator[ChangeRequest]:
    ids = live.ids.get(Address("Project", scope), ())
    if len(ids) != 1:
        return
    try:
        for payload in change_requests.list_open(reader, ids[0]):
            if live_names.find_request_kind(payload) is None:
                continue
            yield live_names.build_change_request(payload, *scope, names=live_names.Names({}, live))
    except AuthenticationError:
        raise
    except ApiError:  # pulling needs no request to be readable
        return


def _request(requests: list[ChangeRequest], change: Change, path: str) -> ChangeRequest | None:
    """Return the open request that proposes what git has changed."""
    if change.action not in {Action.CREATE, Action.UPDATE}:
        return None
    for request in requests:
        if not request_matching.is_open_on_object(
            request, change
        ) or not request_matching.has_same_intent(request, change, change.before):
            continue
        if not path or get_root(path) in request_matching.list_proposed_fields(request):
            return request
    return None
