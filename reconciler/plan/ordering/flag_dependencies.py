"""Flags that depend on flags: which change goes first, and which PostHog would refuse.

A flag that others depend on is switched on before them, and switched off or deleted after them
(contract 9.5, 9.7). Names are those that the live side has before the run.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    Action,
    Address,
    Change,
    Finding,
    Live,
    Path,
    Severity,
    Spec,
    get_root,
    iterate_values,
    select_written,
)

KIND: Final = "FeatureFlag"
IN_USE: Final = "flag-in-use"
IS_OFF: Final = "dependency-off"
CYCLE: Final = "cycle"
_PATHS: Final = tuple(
    reference.path for reference in KINDS[KIND].references if reference.kind == KIND
)
_SENT: Final = frozenset({"active", "filters"})
_SHOWN: Final = 5  # flags that an error lists

Needs = Mapping[Address, set[Address]]
_Key = tuple[tuple[str, ...], str]  # the scope of a flag, and its live key


@dataclass(frozen=True)
class _FlagMove:
    """The effect of a change on its flag, as far as other flags are concerned."""

    change: Change

    @cached_property
    def key(self) -> _Key:
        """Return the flag as conditions refer to it."""
        before, address = self.change.before, self.change.address
        return address.parts[:-1], before.address.name if before is not None else address.name

    @cached_property
    def sends(self) -> frozenset[str]:
        """Return which of the fields that PostHog checks are sent."""
        if self.change.action is Action.CREATE:
            return _SENT
        return _SENT & {get_root(field.path) for field in self.change.fields}

    @cached_property
    def _specs(self) -> tuple[Spec, Spec]:
        before = self.change.before.spec if self.change.before is not None else {}
        wanted = self.change.desired.spec if self.change.desired is not None else {}
        sent = {name: value for name, value in wanted.items() if name in self.sends}
        return before, {**before, **sent}

    @property
    def was_on(self) -> bool:
        """Return whether it is active before the run."""
        return self.change.before is not None and bool(self._specs[0].get("active", True))

    @property
    def is_on(self) -> bool:
        """Return whether it is active after the run."""
        return self.change.action is not Action.DELETE and bool(self._specs[1].get("active", True))

    @property
    def rises(self) -> bool:
        """Return whether other flags can depend on it only after the change."""
        return self.change.action is Action.CREATE or (self.is_on and not self.was_on)

    @property
    def falls(self) -> bool:
        """Return whether other flags can depend on it only before the change."""
        return self.change.action is Action.DELETE or (self.was_on and not self.is_on)

    @cached_property
    def needed_before(self) -> frozenset[str]:
        """Return the keys of the flags that it depends on before the run."""
        return frozenset(_list_keys(self._specs[0]))

    @cached_property
    def needed(self) -> frozenset[str]:
        """Return the keys of the flags that it depends on after the run."""
        return frozenset(() if self.change.action is Action.DELETE else _list_keys(self._specs[1]))


def _list_keys(spec: Spec) -> Iterator[str]:
    for path in _PATHS:
        for _, key in iterate_values(spec, path):
            yield str(key)


def _index_moves(changes: Iterable[Change]) -> dict[_Key, _FlagMove]:
    flags = (_FlagMove(c) for c in select_written(changes) if c.address.kind == KIND)
    return {move.key: move for move in flags}


def add_needs(moving: Mapping[Address, Change], needs: Needs) -> None:
    """Add to `needs` what flags wait for because of other flags."""
    moves = _index_moves(moving.values())
    if not any(move.rises or move.falls for move in moves.values()):
        return
    for (scope, _), move in moves.items():
        deletes = move.change.action is Action.DELETE
        for key in move.needed_before | move.needed:
            other = moves.get((scope, key))
            if other is None or other is move or not (deletes or move.sends):
                continue
            if other.falls and (move.was_on or key in move.needed):
                needs[other.change.address].add(move.change.address)
            elif other.rises and key in move.needed:
                needs[move.change.address].add(other.change.address)


def find_refused_changes(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Find everything that PostHog must refuse because of what depends on what."""
    moves = _index_moves(changes)
    falling = {key: move for key, move in moves.items() if move.falls}
    if falling:
        written = {_FlagMove(change).key for change in changes if change.address.kind == KIND}
        yield from _find_in_use(falling, moves, live, written)
    dependants = [move for move in moves.values() if move.needed and move.sends]
    if dependants:
        yield from _FlagsAfterRun(moves, live).problems(dependants)


def _find_in_use(
    falling: Mapping[_Key, _FlagMove],
    moves: Mapping[_Key, _FlagMove],
    live: Live,
    written: Collection[_Key],
) -> Iterator[Finding]:
    users: dict[_Key, list[str]] = defaultdict(list)
    scopes = {scope for scope, _ in falling}
    for address, flag in live.resources.items():
        scope = address.parts[:-1]
        if address.kind != KIND or scope not in scopes or (scope, address.name) in moves:
            continue
        if flag.spec.get("active", True):
            for key in frozenset(_list_keys(flag.spec)):
                users[scope, key].append(address.name)
    for (scope, name), move in moves.items():
        for key in move.needed if move.is_on else ():
            users[scope, key].append(name)
    for where, move in falling.items():
        others = sorted(user for user in users.get(where, ()) if user != where[1])
        if others:
            unwritten = [user for user in others if (where[0], user) not in written]
            yield _report_in_use(move.change, others, unwritten)


def _report_in_use(change: Change, users: list[str], unwritten: list[str]) -> Finding:
    deletes = change.action is Action.DELETE
    what = "deleted" if deletes else "switched off"
    listed = _list_names(users)
    depend = "is active and depends" if len(users) == 1 else "are active and depend"
    it = "it" if len(users) == 1 else "them"
    fix = f"remove the condition from {listed}, or switch {it} off"
    if unwritten:
        are = "is" if len(unwritten) == 1 else "are"
        fix += f"; {_list_names(unwritten)} {are} not in any file: do it in PostHog"
    resource = change.desired
    place = ("active",) if not deletes else ()
    return Finding(
        code=IN_USE,
        severity=Severity.ERROR,
        message=f"{change.address} cannot be {what}: {listed} {depend} on it",
        why=f"PostHog refuses it as long as an active flag has a condition on this one ({listed})",
        fix=fix,
        source=resource.locate(place) if resource is not None else change.source,
        address=change.address,
    )


def _list_names(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more


class _FlagsAfterRun:
    """The flags as they are after the run."""

    def __init__(self, moves: Mapping[_Key, _FlagMove], live: Live) -> None:
        self._moves, self._live = moves, live

    def problems(self, asking: Iterable[_FlagMove]) -> Iterator[Finding]:
        """Find dependencies that are off when they are needed, and cycles."""
        for move in asking:
            scope, own = move.key
            resource = move.change.desired
            for path, name in _list_dependencies(move):
                key = str(name)
                if key == own:
                    continue  # reported where names are resolved
                if self._is_off(move, (scope, key)):
                    yield _report_off(move.change, key, path)
                elif "filters" in move.sends and (ring := self._ring((scope, key), own)):
                    yield Finding(
                        code=CYCLE,
                        severity=Severity.ERROR,
                        message="these flags depend on each other: " + " → ".join((own, *ring)),
                        why="PostHog refuses dependencies that lead back to their flag",
                        fix="remove one of the conditions",
                        source=resource.locate(path) if resource is not None else None,
                        address=move.change.address,
                    )
                    break

    def _is_off(self, move: _FlagMove, key: _Key) -> bool:
        """Return whether a dependency is off when the change is sent, in the best order."""
        other = self._moves.get(key)
        if other is not None:
            if other.change.action is Action.DELETE:
                return not move.is_on  # else `_find_in_use` has reported it
            # it is switched off after this, or on before it
            return not (other.was_on or other.is_on)
        flag = self._live.resources.get(Address(KIND, (*key[0], key[1])))
        return flag is not None and not flag.spec.get("active", True)

    def _needed(self, key: _Key) -> Iterable[str]:
        if key in self._moves:
            return self._moves[key].needed
        flag = self._live.resources.get(Address(KIND, (*key[0], key[1])))
        return frozenset(_list_keys(flag.spec)) if flag is not None else ()

    def _ring(self, start: _Key, own: str) -> tuple[str, ...]:
        """Return the path from a dependency back to the flag itself; empty if there is none."""
        scope, first = start
        came_from: dict[str, str] = {first: ""}
        todo = [first]
        while todo:
            key = todo.pop()
            for other in sorted(self._needed((scope, key))):
                if other == own:
                    return _trace(key, came_from, own)
                if other not in came_from:
                    came_from[other] = key
                    todo.append(other)
        return ()


def _list_dependencies(move: _FlagMove) -> Iterator[tuple[Path, object]]:
    """Yield what a flag depends on after the run, with the place where it is written."""
    resource, before = move.change.desired, move.change.before
    if resource is not None and "filters" in move.sends:
        spec: Spec = resource.spec
    else:
        spec = before.spec if before is not None else {}
    for path in _PATHS:
        yield from iterate_values(spec, path)


def _trace(key: str, came_from: Mapping[str, str], own: str) -> tuple[str, ...]:
    path = [own]
    while key:
        path.append(key)
        key = came_from[key]
    return tuple(reversed(path))


def _report_off(change: Change, key: str, path: Path) -> Finding:
    resource = change.desired
    place = path if resource is not None and "filters" in resource.spec else ("active",)
    return Finding(
        code=IS_OFF,
        severity=Severity.ERROR,
        message=f"{change.address} depends on {key}, which is off",
        why="PostHog accepts conditions on active flags only, and does not switch on a flag that "
        "depends on a flag that is off",
        fix=f"switch {key} on as well, or remove the condition",
        source=resource.locate(place) if resource is not None else None,
        address=change.address,
        width=len(key),
    )
