"""The hall: observe, plan, apply, drift. The only module that knows all the rooms."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from reconciler import live as live_room
from reconciler.apply import executor
from reconciler.apply.journal import Journal
from reconciler.apply.names import Names
from reconciler.apply.progress import Tools
from reconciler.config import excerpt, loader
from reconciler.model import (
    Address,
    Change,
    Declared,
    Live,
    Outcome,
    Payload,
    Plan,
    Requests,
)
from reconciler.plan import build, intent
from reconciler.plan.build import Options
from reconciler.posthog.client import Reader, Writer


@dataclass(frozen=True, slots=True)
class World:
    """What was read once, at one moment, and is never read again."""

    desired: Declared
    base: Declared | None
    live: Live
    reads: int  # GET requests that reading it took


def observe(
    reader: Reader, loaded: loader.Loaded, options: Options, base: loader.Loaded | None = None
) -> World:
    """Read the live side of what the files declare. All that planning may look at.

    Policies and open change requests are read only where a gated kind is about to change: a
    clean plan costs one listing of organizations and the declared collections, nothing else.
    """
    before = reader.reads
    directory = live_room.directory(reader)
    names = directory.project_names()
    desired = loader.expand(loaded, names)
    based = loader.expand(base, names) if base is not None else None
    picked = build.pick(desired, options)
    pins = {a: r.id for a, r in desired.resources.items() if r.id is not None}
    live = live_room.read(reader, directory, picked.resources.keys(), pins)
    asked = build.gated_projects(desired=desired, base=based, live=live, options=options)
    if asked:
        live = live_room.read_gates(reader, live, directory, asked)
    return World(desired, based, live, reader.reads - before)


def plan(world: World, options: Options, *, target: str, host: str, created_at: str) -> Plan:
    """What apply would do, and why."""
    made = build.build(desired=world.desired, base=world.base, live=world.live, options=options)
    return replace(
        made,
        target=target,
        host=host,
        created_at=created_at,
        desired_digest=digest(world.desired),
        findings=tuple(excerpt.attach(finding) for finding in made.findings),
        requests=Requests(world.reads, made.requests.expected_writes),
    )


def digest(declared: Declared) -> str:
    """One digest over everything declared, whatever file it stands in."""
    canonical = {
        str(address): [resource.spec, resource.lifecycle.absent, resource.id]
        for address, resource in declared.resources.items()
    }
    form = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(form.encode()).hexdigest()


def apply(
    made: Plan,
    world: World,
    writer: Writer,
    journal: Journal,
    *,
    workers: int,
    stop: Event,
) -> Iterator[Outcome]:
    """Carry the plan out. `world` is what it was made from."""
    names = Names(world.live)
    for change in made.changes:
        if change.live_id is not None:  # also of what is renamed, and of one among namesakes
            names.learn(change.address, change.live_id)
    tools = Tools(writer, journal, names, _same_intent, request_url(made.host, names))
    yield from executor.execute(made, tools, executor.Options(workers, stop))


def _same_intent(payload: Payload, change: Change, seen: Payload | None) -> bool:
    """Whether a change request proposes what the change wants of the flag as last seen."""
    request = live_room.change_request(payload, *change.address.parts[:2])
    there = change.before
    if there is not None and seen is not None:
        there = replace(there, payload=seen)
    return intent.same_intent(request, change, there)


def request_url(host: str, names: Names) -> Callable[[Address, str], str]:
    """Where a person opens a change request in PostHog."""

    def url(address: Address, request: str) -> str:
        return f"{host}/project/{names.scope_ids(address)['project']}/approvals/{request}"

    return url


def drift(
    reader: Reader,
    head: loader.Loaded,
    options: Options,
    *,
    target: str,
    host: str,
    created_at: str,
) -> Plan:
    """What differs between the files at a commit and the live side: the plan's engine, no other."""
    world = observe(reader, head, options, base=head)
    return plan(world, options, target=target, host=host, created_at=created_at)


def journal_path(folder: Path, stamp: str) -> Path:
    """`.reconciler/runs/<time>.jsonl` below the configuration's folder."""
    return folder / ".reconciler" / "runs" / f"{stamp}.jsonl"
