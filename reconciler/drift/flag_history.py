"""Rebuild what each write of a flag changed, from the activity log, newest entry first.

An entry shows the fields that a write changed, before and after. It does not show a new flag: that
is the present flag with every later write taken back. What the log does not show is missing, and is
never guessed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

from reconciler.drift.activity_replay import classify_entry
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Entry, FieldMove, FlagWrite, LogAction, Payload

_FLAG: Final = KINDS["FeatureFlag"]
_GATED: Final = ("active", "filters", "bucketing_identifier")  # approval may depend on these
_TRACKED: Final = (*_GATED, "key", "is_remote_configuration")
_NOT_NULL: Final = frozenset({"active", "filters", "key"})  # null means that nothing was logged
_UNKNOWN: Final = object()


@dataclass(slots=True)
class FlagHistory:
    """The history of one flag, from now backwards.

    Attributes:
        is_listed: whether it exists, and lists show it.
        is_deleted: whether it is deleted now.
        version: an upper bound of its version after the write that is taken next.
        gaps: how often the log has another value than the write before left: one is missing.
        is_created: whether the log has its beginning.
        lacks: sides of changes that the log does not have, by side.

    """

    is_listed: bool = False
    is_deleted: bool = False
    version: int | None = None
    gaps: int = 0
    is_created: bool = False
    lacks: Counter[str] = field(default_factory=Counter)
    _state: dict[str, Any] = field(default_factory=dict)
    _is_begun: bool = False

    @classmethod
    def start(cls, payload: Payload | None) -> "FlagHistory":
        """Begin with the flag as it is; None if no list shows it."""
        if payload is None:
            return cls()
        state = {name: payload[name] for name in _TRACKED if name in payload}
        version = payload.get("version")
        bound = version if isinstance(version, int) else None
        return cls(is_listed=True, version=bound, _state=state)

    def take(self, entry: Entry) -> FlagWrite:
        """Return the write of the next older entry, and take it back."""
        action = classify_entry(entry)
        if not self._is_begun:
            self._is_begun = True
            self.is_deleted = action is LogAction.DELETED
        if action is LogAction.CREATED:
            return self._take_create(entry)
        before: dict[str, Any] = {}
        after: dict[str, Any] = {}
        missing: set[str] = set()
        for move in entry.moves:
            if move.field in _TRACKED:
                self._take_move(move, before, after, missing)
        if not entry.moves and action is LogAction.CHANGED:
            missing |= set(_GATED)
            self.lacks["before"] += 1
            self._state.clear()
        if "bucketing_identifier" in after and "filters" not in after:
            self._add_filters(before, after, missing)  # conditions look at them, too
        key = before.get("key") if action is LogAction.DELETED else after.get("key")
        write = FlagWrite(entry, action, str(key or entry.name), before, after, frozenset(missing))
        if self.version is not None and self.version > 1:
            self.version -= 1
        return write

    def _take_create(self, entry: Entry) -> FlagWrite:
        """Return the write that created the flag; what is older belongs to another one."""
        given = {
            move.field: move.after
            for move in entry.moves
            if move.field in _TRACKED and move.after is not None
        }
        state = {**self._state, **given}
        missing = frozenset(name for name in ("active", "filters") if name not in state)
        self.is_created, self._state = True, {}
        return FlagWrite(entry, LogAction.CREATED, entry.name, None, state, missing)

    def _take_move(
        self, move: FieldMove, before: dict[str, Any], after: dict[str, Any], missing: set[str]
    ) -> None:
        """Take one changed field back."""
        name = move.field
        old, new = (_read_side(name, value) for value in (move.before, move.after))
        known = self._state.get(name, _UNKNOWN)
        if old is None and new is None:  # of a field that may be null: no change
            old = new = _UNKNOWN
        if old is _UNKNOWN:
            self.lacks["before"] += 1
        if new is _UNKNOWN:
            self.lacks["after"] += 1
            new = _UNKNOWN if _is_same(name, known, old) else known  # it has changed
        elif known is not _UNKNOWN and not _is_same(name, known, new):
            self.gaps += 1
        if name == "active" and old is _UNKNOWN and isinstance(new, bool):
            old = not new  # it has changed
        for side, value in ((before, old), (after, new)):
            if value is _UNKNOWN:
                missing.add(name)
            else:
                side[name] = value
        if old is _UNKNOWN:
            self._state.pop(name, None)
        else:
            self._state[name] = old

    def _add_filters(
        self, before: dict[str, Any], after: dict[str, Any], missing: set[str]
    ) -> None:
        """Add the filters, which this write did not change."""
        if "filters" in self._state and not self.gaps:
            before["filters"] = after["filters"] = self._state["filters"]
        else:
            missing.add("filters")


def _read_side(name: str, value: Any) -> Any:
    """Return a logged value, or `_UNKNOWN` for a field that is never null."""
    if name == "active":
        return value if isinstance(value, bool) else _UNKNOWN
    if name == "filters":
        return value if isinstance(value, Mapping) else _UNKNOWN
    return _UNKNOWN if value is None and name in _NOT_NULL else value


def _is_same(name: str, known: Any, logged: Any) -> bool:
    """Compare a value with what an older entry left; reads add labels, and decrypt payloads."""
    if known == logged or name != "filters":
        return bool(known == logged)
    return bool(_normalize_filters(known) == _normalize_filters(logged))


def _normalize_filters(filters: Any) -> Any:
    """Return filters in normal form without payloads; None if they have none."""
    try:
        spec = _FLAG.canonical(_FLAG.to_spec({"filters": filters}))["filters"]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    return {name: value for name, value in spec.items() if name != "payloads"}
