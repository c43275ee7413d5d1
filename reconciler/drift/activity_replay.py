"""Replay the log of each drifted object backwards from its live state: which entry set which field.

The log is read newest first. The state of an object is rolled back entry by entry, so that the
state before and after each write is known.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Final

from reconciler.kinds import KINDS, fold_name
from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    ABSENT,
    Action,
    Address,
    Change,
    Entry,
    LogAction,
    Question,
    Spec,
    get_value,
    parse_path,
    parse_time,
)

Spell = Callable[[Address, str, Any], Spec]
"""(address, field of the API, logged value) -> its spec fields in normal form; or none."""

AT_ONCE: Final = 100  # ids of one listing: the length of a URL is limited
WHOLE: Final = ""  # the path of an object as a whole
_WHOLE: Final = {  # what explains that an object was deleted, or created again
    Action.CREATE: {LogAction.DELETED},
    Action.DELETE: {LogAction.CREATED, LogAction.RESTORED},
    Action.UPDATE: set[LogAction](),
    Action.NONE: set[LogAction](),
}
_EMPTY: Final[tuple[Any, ...]] = (None, {}, [], "", ABSENT)


@dataclass(frozen=True, slots=True)
class LogEvent:
    """Hold the last entry that changed a field, and the write as a whole."""

    entry: Entry
    action: LogAction
    before: Spec | None = None  # of the fields that it wrote; None: it created the object
    after: Spec = field(default_factory=dict)
    values: tuple[Any, Any] | None = None  # the field itself
    fits: bool = True  # False: the live value is another one, and no later entry explains it


Accept = Callable[[Change, str, LogEvent], bool]
"""(change, path, event) -> whether the event explains the field."""


@dataclass(slots=True)
class ObjectHistory:
    """Collect the events of one drifted object, and the fields that are still unexplained."""

    change: Change
    state: dict[str, Any]  # rolled back as entries are taken
    open: set[str]
    events: dict[str, LogEvent] = field(default_factory=dict)
    accepts: "Accept | None" = None

    @property
    def done(self) -> bool:
        """Return whether every field is explained."""
        return not self.open

    def list_times(self) -> Iterator[datetime]:
        """Yield when its fields were changed; for unexplained ones, its last write."""
        yield from (event.entry.at for event in self.events.values())
        before = self.change.before if self.open else None
        written = parse_time(before.payload.get("updated_at")) if before is not None else None
        if written is not None:
            yield written

    def take(self, entry: Entry, spell: Spell) -> None:
        """Roll back one entry."""
        if self.done:
            return
        action = classify_entry(entry)
        before, after = read_entry(self.change.address, entry, spell)
        if WHOLE in self.open:
            if action in _WHOLE[self.change.action]:
                is_created = action is LogAction.CREATED
                self._explain(
                    WHOLE,
                    LogEvent(
                        entry, action, None if is_created else before, self._apply_entry(after)
                    ),
                )
            self.state.update(before)
            return
        if action is LogAction.CREATED:
            for path in tuple(self.open):
                self._explain(path, LogEvent(entry, action, None, self._apply_entry(after)))
        for path in sorted(self.open):
            field_values = self._find_field_values(path, entry, before, after)
            if field_values is not None:
                fits = _is_same(field_values[1], get_value(self.state, parse_path(path), ABSENT))
                self._explain(
                    path, LogEvent(entry, LogAction.CHANGED, before, after, field_values, fits)
                )
        self.state.update(before)

    def _find_field_values(
        self, path: str, entry: Entry, before: Spec, after: Spec
    ) -> tuple[Any, Any] | None:
        """Return the field before and after, if the entry changed it."""
        kind = KINDS[self.change.address.kind]
        if path == f"metadata.{kind.key}":
            names = (move for move in entry.moves if move.field == kind.key_payload)
            return next(((move.before, move.after) for move in names), None)
        steps = parse_path(path)
        if steps[0] not in {*before, *after}:
            return None
        was, now = get_value(before, steps, ABSENT), get_value(after, steps, ABSENT)
        return None if _is_same(was, now) else (was, now)

    def _apply_entry(self, after: Spec) -> Spec:
        """Return the object after an entry."""
        return {**self.state, **after}

    def _explain(self, path: str, event: LogEvent) -> None:
        if self.accepts is None or self.accepts(self.change, path, event):
            self.open.discard(path)
            self.events[path] = event
        else:
            self.events.setdefault(path, event)


class ActivityReplay:
    """Hold every drifted object that the log may know, by id, or by name if it has no id."""

    def __init__(
        self, changes: Iterable[Change], spell: Spell, accepts: "Accept | None" = None
    ) -> None:
        """Take no entry yet.

        `accepts` says whether an event explains a field, else an older one may. Without it, and
        if none is accepted, the newest does.
        """
        self.histories: dict[Address, ObjectHistory] = {}
        self._spell, self._accepts = spell, accepts
        self._by_id: dict[tuple[str, str, str], ObjectHistory] = {}
        self._by_name: dict[tuple[str, str, str], list[ObjectHistory]] = {}
        self._seen: set[str] = set()
        for change in changes:
            self._add(change)

    def _add(self, change: Change) -> None:
        kind = KINDS[change.address.kind]
        history = ObjectHistory(
            change,
            dict(change.before.spec) if change.before else {},
            _list_open_paths(change),
            accepts=self._accepts,
        )
        self.histories[change.address] = history
        organization = change.address.organization
        for scope in kind.activity_scopes:
            if change.before is not None:
                for id_ in kind.activity_ids(change.before.payload):
                    self._by_id[organization, scope, id_] = history
            else:
                name = fold_name(change.address).name
                self._by_name.setdefault((organization, scope, name), []).append(history)

    def list_questions(self) -> Iterator["LogQuestion"]:
        """Yield as few listings as possible: one per organization and hundred objects."""
        waiting = [
            self.histories[address]
            for address in sorted(self.histories)
            if not self.histories[address].done
        ]
        for organization in sorted({history.change.address.organization for history in waiting}):
            histories = [
                history
                for history in waiting
                if history.change.address.organization == organization
            ]
            for known in (True, False):  # by id, and by name if there is no id any more
                part = [
                    history for history in histories if (history.change.before is not None) is known
                ]
                for start in range(0, len(part), AT_ONCE):
                    yield LogQuestion.build(part[start : start + AT_ONCE])

    def find_gated_projects(self) -> dict[tuple[str, ...], datetime]:
        """Return the projects with drift that may have been approved, and since when."""
        times: dict[tuple[str, ...], datetime] = {}
        for address, history in self.histories.items():
            if KINDS[address.kind].gated:
                scope = address.parts[:-1]
                for at in history.list_times():
                    times[scope] = min(at, times.get(scope, at))
        return times

    def take(self, entry: Entry, projects: Mapping[str, str]) -> None:
        """Give an entry to the objects that it is about, once. `projects`: id -> name."""
        if entry.id in self._seen:
            return
        self._seen.add(entry.id)
        known_history = self._by_id.get((entry.organization, entry.scope, entry.item))
        if known_history is not None:
            known_history.take(entry, self._spell)
            return
        for name in (entry.name, entry.name.casefold()):
            for history in self._by_name.get((entry.organization, entry.scope, name), ()):
                project = history.change.address.project
                if project is None or projects.get(entry.project or "") == project:
                    history.take(entry, self._spell)


@dataclass(frozen=True, slots=True)
class LogQuestion:
    """Hold a question, and the objects that it is about."""

    question: Question
    histories: tuple[ObjectHistory, ...]

    @property
    def done(self) -> bool:
        """Return whether everything is explained."""
        return all(history.done for history in self.histories)

    @classmethod
    def build(cls, histories: list[ObjectHistory]) -> "LogQuestion":
        """Build one listing for objects of one organization."""
        scopes: dict[str, None] = {}
        ids: dict[str, None] = {}
        names: dict[str, None] = {}
        projects: set[str] = set()
        for change in (history.change for history in histories):
            kind = KINDS[change.address.kind]
            scopes |= dict.fromkeys(kind.activity_scopes)
            if change.before is None:
                names[change.address.name] = None
            else:
                ids |= dict.fromkeys(kind.activity_ids(change.before.payload))
            if change.address.project is not None:
                projects.add(change.address.project)
        question = Question(
            histories[0].change.address.organization,
            tuple(scopes),
            tuple(sorted(projects)),
            tuple(ids),
            tuple(names),
        )
        return cls(question, tuple(histories))


def _list_open_paths(change: Change) -> set[str]:
    """List the paths of a change that the log may explain."""
    kind = KINDS[change.address.kind]
    if not kind.activity_scopes:
        return set()
    if change.action is not Action.UPDATE:
        return {WHOLE}
    return {
        field_change.path
        for field_change in change.fields
        if not any(
            field_change.path == name or field_change.path.startswith(f"{name}[")
            for name in kind.unlogged
        )
    }


def read_entry(
    address: Address, entry: Entry, spell: Spell
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the spec fields that an entry about this object wrote, before and after."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    defaults = KINDS[address.kind].defaults
    for move in entry.moves:
        was, now = (spell(address, move.field, value) for value in (move.before, move.after))
        for name in {*was, *now}:
            for side, spec in ((before, was), (after, now)):
                if (value := spec.get(name, defaults.get(name, ABSENT))) is not ABSENT:
                    side[name] = value
    return before, after


def classify_entry(entry: Entry) -> LogAction:
    """Return what an entry did to its object: PostHog deletes flags softly (contract 9.5, 9.6)."""
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


def _is_same(first: Any, second: Any) -> bool:
    """Return whether two values are equal, or both empty."""
    return bool(first == second) or (first in _EMPTY and second in _EMPTY)
