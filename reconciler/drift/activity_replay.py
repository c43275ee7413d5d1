"""Each drifted object and its log, walked back from what is live: which entry moved which field.

The log is read newest first. The state of an object is rolled back entry by entry, so that of
each write it is known what was there before and after.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from reconciler.kinds import KINDS, fold
from reconciler.model import (
    ABSENT,
    Action,
    Address,
    Change,
    Entry,
    LogAction,
    Question,
    Spec,
    instant,
    parse_path,
    value_at,
)

Spell = Callable[[Address, str, Any], Spec]
"""(address, field of the API, logged value) -> the spec fields it is, in normal form; or none."""

AT_ONCE: Final = 100  # ids of one listing: an address line has its limits
WHOLE: Final = ""  # the path of an object as a whole
_WHOLE: Final = {  # what explains that an object is gone, or there again
    Action.CREATE: {LogAction.DELETED},
    Action.DELETE: {LogAction.CREATED, LogAction.RESTORED},
    Action.UPDATE: set[LogAction](),
    Action.NONE: set[LogAction](),
}
_EMPTY: Final[tuple[Any, ...]] = (None, {}, [], "", ABSENT)


@dataclass(frozen=True, slots=True)
class Step:
    """The entry that moved a field last, and the write as a whole."""

    entry: Entry
    deed: LogAction
    before: Spec | None = None  # of the fields that it touched; None: it made the object
    after: Spec = field(default_factory=dict)
    moved: tuple[Any, Any] | None = None  # the field itself
    fits: bool = True  # False: what it wrote is not what is live, nothing later explains that


@dataclass(slots=True)
class Trail:
    """One drifted object: the fields that are still unexplained, and what explained the others."""

    change: Change
    state: dict[str, Any]  # rolled back as entries are taken
    open: set[str]
    found: dict[str, Step] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the log has nothing more to say."""
        return not self.open

    def times(self) -> Iterator[datetime]:
        """When its fields were moved; of what the log does not say, its last write as a whole."""
        yield from (step.entry.at for step in self.found.values())
        before = self.change.before if self.open else None
        written = instant(before.payload.get("updated_at")) if before is not None else None
        if written is not None:
            yield written

    def take(self, entry: Entry, spell: Spell) -> None:
        """Walk one entry back."""
        if self.done:
            return
        deed = _deed(entry)
        before, after = self._rolled(entry, spell)
        if WHOLE in self.open:
            if deed in _WHOLE[self.change.action]:
                made = deed is LogAction.CREATED
                self._explain(WHOLE, Step(entry, deed, None if made else before, self._all(after)))
            self.state.update(before)
            return
        if deed is LogAction.CREATED:
            for path in tuple(self.open):
                self._explain(path, Step(entry, deed, None, self._all(after)))
        for path in sorted(self.open):
            moved = self._moved(path, entry, before, after)
            if moved is not None:
                fits = _same(moved[1], value_at(self.state, parse_path(path), ABSENT))
                self._explain(path, Step(entry, LogAction.CHANGED, before, after, moved, fits))
        self.state.update(before)

    def _rolled(self, entry: Entry, spell: Spell) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the entry touched, before and after."""
        before: dict[str, Any] = {}
        after: dict[str, Any] = {}
        defaults = KINDS[self.change.address.kind].defaults
        for move in entry.moves:
            was = spell(self.change.address, move.field, move.before)
            now = spell(self.change.address, move.field, move.after)
            for name in {*was, *now}:
                for side, spec in ((before, was), (after, now)):
                    if (value := spec.get(name, defaults.get(name, ABSENT))) is not ABSENT:
                        side[name] = value
        return before, after

    def _moved(self, path: str, entry: Entry, before: Spec, after: Spec) -> tuple[Any, Any] | None:
        """The field before and after, if the entry moved it."""
        kind = KINDS[self.change.address.kind]
        if path == f"metadata.{kind.key}":
            names = (move for move in entry.moves if move.field == kind.key_payload)
            return next(((move.before, move.after) for move in names), None)
        steps = parse_path(path)
        if steps[0] not in {*before, *after}:
            return None
        was, now = value_at(before, steps, ABSENT), value_at(after, steps, ABSENT)
        return None if _same(was, now) else (was, now)

    def _all(self, after: Spec) -> Spec:
        """The object after an entry."""
        return {**self.state, **after}

    def _explain(self, path: str, step: Step) -> None:
        self.open.discard(path)
        self.found[path] = step


class ActivityReplay:
    """Every drifted object that the log may know, found by id, or by name where it has none."""

    def __init__(self, changes: Iterable[Change], spell: Spell) -> None:
        self.of: dict[Address, Trail] = {}
        self._spell = spell
        self._by_id: dict[tuple[str, str, str], Trail] = {}
        self._by_name: dict[tuple[str, str, str], list[Trail]] = {}
        self._seen: set[str] = set()
        for change in changes:
            self._add(change)

    def _add(self, change: Change) -> None:
        kind = KINDS[change.address.kind]
        trail = Trail(change, dict(change.before.spec) if change.before else {}, _asked(change))
        self.of[change.address] = trail
        organization = change.address.organization
        for scope in kind.activity_scopes:
            if change.before is not None:
                for id_ in kind.activity_ids(change.before.payload):
                    self._by_id[organization, scope, id_] = trail
            else:
                name = fold(change.address).name
                self._by_name.setdefault((organization, scope, name), []).append(trail)

    def asked(self) -> Iterator["LogQuestion"]:
        """As few listings as will do: one an organization for each hundred objects."""
        waiting = [self.of[address] for address in sorted(self.of) if not self.of[address].done]
        for organization in sorted({one.change.address.organization for one in waiting}):
            here = [one for one in waiting if one.change.address.organization == organization]
            for known in (True, False):  # by id, and by name what has none any more
                part = [one for one in here if (one.change.before is not None) is known]
                for start in range(0, len(part), AT_ONCE):
                    yield LogQuestion.about(part[start : start + AT_ONCE])

    def gated(self) -> dict[tuple[str, ...], datetime]:
        """Projects with drift that may have been approved, and since when."""
        times: dict[tuple[str, ...], datetime] = {}
        for address, trail in self.of.items():
            if KINDS[address.kind].gated:
                scope = address.parts[:-1]
                for at in trail.times():
                    times[scope] = min(at, times.get(scope, at))
        return times

    def take(self, entry: Entry, projects: Mapping[str, str]) -> None:
        """Hand an entry to whom it is about, once. `projects`: id -> name, of its organization."""
        if entry.id in self._seen:
            return
        self._seen.add(entry.id)
        known = self._by_id.get((entry.organization, entry.scope, entry.item))
        if known is not None:
            known.take(entry, self._spell)
            return
        for name in (entry.name, entry.name.casefold()):
            for trail in self._by_name.get((entry.organization, entry.scope, name), ()):
                where = trail.change.address.project
                if where is None or projects.get(entry.project or "") == where:
                    trail.take(entry, self._spell)


@dataclass(frozen=True, slots=True)
class LogQuestion:
    """A question, and the objects that it is about."""

    question: Question
    trails: tuple[Trail, ...]

    @property
    def done(self) -> bool:
        """Whether everything is explained."""
        return all(trail.done for trail in self.trails)

    @classmethod
    def about(cls, trails: list[Trail]) -> "LogQuestion":
        """One listing for objects of one organization."""
        scopes: dict[str, None] = {}
        ids: dict[str, None] = {}
        names: dict[str, None] = {}
        projects: set[str] = set()
        for change in (trail.change for trail in trails):
            kind = KINDS[change.address.kind]
            scopes |= dict.fromkeys(kind.activity_scopes)
            if change.before is None:
                names[change.address.name] = None
            else:
                ids |= dict.fromkeys(kind.activity_ids(change.before.payload))
            if change.address.project is not None:
                projects.add(change.address.project)
        question = Question(
            trails[0].change.address.organization,
            tuple(scopes),
            tuple(sorted(projects)),
            tuple(ids),
            tuple(names),
        )
        return cls(question, tuple(trails))


def _asked(change: Change) -> set[str]:
    """The paths of a change that the log can say something about."""
    kind = KINDS[change.address.kind]
    if not kind.activity_scopes:
        return set()
    if change.action is not Action.UPDATE:
        return {WHOLE}
    return {
        one.path
        for one in change.fields
        if not any(one.path == name or one.path.startswith(f"{name}[") for name in kind.unlogged)
    }


def _deed(entry: Entry) -> LogAction:
    """What an entry did to its object: PostHog deletes flags softly (contract 9.5, 9.6)."""
    for move in entry.moves:
        if move.field == "deleted" and bool(move.before) is not bool(move.after):
            return LogAction.DELETED if move.after else LogAction.RESTORED
    match entry.activity:
        case "created":
            return LogAction.CREATED
        case "deleted":
            return LogAction.DELETED
        case _:
            return LogAction.CHANGED


def _same(one: Any, other: Any) -> bool:
    """Equal, or both nothing."""
    return bool(one == other) or (one in _EMPTY and other in _EMPTY)
