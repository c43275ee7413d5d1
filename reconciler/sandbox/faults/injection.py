"""Schedules of injected faults: which requests get which fault (format: docs/sandbox.md).

Pure except for the hit counters: the same schedule and the same requests give the same faults.
"""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.store import random_source

POINTS = ("before", "after", "mid_body", "late_commit")
OPEN_END = None  # an open end of a range of hits

WIRE_EFFECTS = frozenset(
    {"refuse", "reset", "hang", "drip", "status", "throttle", "truncate", "mutate"}
)
CALL_EFFECTS = frozenset(
    {"stale", "shift_page", "empty_list", "forbid_scope", "race", "forget", "drop_fields"}
)
WORLD_EFFECTS = frozenset({"revoke_key", "edit", "vote", "call", "clock", "task"})
_NEEDS_ANSWER = frozenset({"drip", "truncate", "mutate"})
_CUTS = frozenset({"reset", "hang"})
_DELAYS = _CUTS | {"status"}


@dataclass(frozen=True, slots=True)
class Effect:
    """The name of an effect, and its arguments."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestMatch:
    """The requests that a rule is about; `*` and `?` are wildcards."""

    method: str = "*"
    route: str = "*"
    path: str = "*"
    user: str = "*"
    hits: tuple[tuple[int, int | None], ...] = ((1, 1),)

    def matches(self, request: "RequestFacts") -> bool:
        """Return whether a request counts as a hit."""
        pairs = (
            (request.method, self.method.upper()),
            (request.path, self.path),
            (request.user or "", self.user),
        )
        route = any(
            fnmatch.fnmatchcase(request.route, pattern) for pattern in _expand_route(self.route)
        )
        return route and all(fnmatch.fnmatchcase(value, wanted) for value, wanted in pairs)

    def includes_hit(self, hit: int) -> bool:
        """Return whether the rule applies to this hit."""
        return any(first <= hit and (last is OPEN_END or hit <= last) for first, last in self.hits)


def _expand_route(route: str) -> tuple[str, ...]:
    """Return patterns: `feature_flags` is every route of the resource, `list` every list."""
    if "." in route or "*" in route:
        return (route,)
    return (f"{route}.*", f"*.{route}")


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What a schedule knows of a request."""

    method: str
    route: str
    path: str
    user: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a schedule."""

    match: RequestMatch
    effects: tuple[Effect, ...]  # one of them is chosen
    point: str | None = None
    probability: float = 1.0
    later: int = 1  # late_commit: how many requests later the write lands


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was drawn for one request."""

    effect: Effect
    point: str
    later: int = 1

    @property
    def label(self) -> str:
        """Return the name in the request log."""
        return f"{self.effect.name}@{self.point}"

    @property
    def is_carried_out(self) -> bool:
        """Return whether the request is carried out at once."""
        return self.point not in ("before", "late_commit")


@dataclass(frozen=True, slots=True)
class DrawnFaults:
    """Every fault of one request: at most one on the wire, any number of others."""

    wire: Fault | None = None
    call_effects: tuple[Fault, ...] = ()
    before: tuple[Fault, ...] = ()
    after: tuple[Fault, ...] = ()

    @property
    def label(self) -> str | None:
        """Return the name in the request log."""
        faults = [
            *self.before,
            *self.call_effects,
            *([self.wire] if self.wire else []),
            *self.after,
        ]
        return ", ".join(fault.label for fault in faults) or None

    def find_call_effect(self, name: str) -> Fault | None:
        """Return the drawn fault whose effect changes the call in this way, if any."""
        return next((fault for fault in self.call_effects if fault.effect.name == name), None)


NO_FAULTS = DrawnFaults()


class Schedule:
    """Rules, and how often each was hit."""

    def __init__(self, rules: Sequence[Rule] = (), seed: int = 0) -> None:
        self.rules = tuple(rules)
        self.seed = seed
        self.hits = [0] * len(self.rules)

    @property
    def kept_states(self) -> int:
        """Return how many earlier states of the world stale reads need."""
        wanted = [
            int(effect.args.get("writes", 1))
            for rule in self.rules
            for effect in rule.effects
            if effect.name == "stale"
        ]
        return max(wanted, default=0)

    def draw_faults(self, request: RequestFacts) -> DrawnFaults:
        """Count a request, and return the faults that it gets."""
        drawn = NO_FAULTS
        for number, rule in enumerate(self.rules):
            if not rule.match.matches(request):
                continue
            self.hits[number] += 1
            hit = self.hits[number]
            if not rule.match.includes_hit(hit):
                continue
            if random_source.draw_share(self.seed, "fault", number, hit) >= rule.probability:
                continue
            place = random_source.pick_index(self.seed, len(rule.effects), "effect", number, hit)
            drawn = _add_fault(drawn, _make_fault(rule, rule.effects[place]))
        return drawn


def _make_fault(rule: Rule, effect: Effect) -> Fault:
    natural = "after" if effect.name in _NEEDS_ANSWER else "before"
    return Fault(effect, rule.point or natural, rule.later)


def _add_fault(drawn: DrawnFaults, fault: Fault) -> DrawnFaults:
    if fault.effect.name in CALL_EFFECTS:
        return replace(drawn, call_effects=(*drawn.call_effects, fault))
    if fault.effect.name in WORLD_EFFECTS:
        if fault.point == "after":
            return replace(drawn, after=(*drawn.after, fault))
        return replace(drawn, before=(*drawn.before, fault))
    return drawn if drawn.wire else replace(drawn, wire=fault)


def find_seen_status(status: int | None, wire: Fault | None) -> int | None:
    """Return the status that a caller sees; None when no response arrives."""
    if wire is None or wire.effect.name in ("drip", "truncate", "mutate"):
        return status
    if wire.effect.name == "status":
        return int(wire.effect.args["code"])
    if wire.effect.name == "throttle":
        return 429
    return status if wire.point == "mid_body" else None


def check_points(rule: Rule, where: str) -> Rule:
    """Refuse a point at which an effect is not possible."""
    for effect in rule.effects:
        allowed = tuple(_list_points(effect.name))
        if rule.point is not None and rule.point not in allowed:
            raise SandboxError(
                f"{where}.point: {effect.name} happens {' or '.join(allowed)}, not {rule.point}"
            )
    return rule


def _list_points(name: str) -> Iterator[str]:
    if name not in _NEEDS_ANSWER:
        yield "before"
    if name not in CALL_EFFECTS and name != "refuse":
        yield "after"
    if name in _CUTS:
        yield "mid_body"
    if name in _DELAYS:
        yield "late_commit"
