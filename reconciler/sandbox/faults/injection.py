"""Schedules of injected faults: what to spoil, when, and how (format: docs/sandbox.md).

Pure but for the hit counters: the same schedule over the same requests draws the same faults.
"""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.store import random_source

POINTS = ("before", "after", "mid_body", "late_commit")
REST = None  # an open end of a range of hits

WIRE = frozenset({"refuse", "reset", "hang", "drip", "status", "throttle", "truncate", "mutate"})
BEND = frozenset(
    {"stale", "shift_page", "empty_list", "forbid_scope", "race", "forget", "drop_fields"}
)
WORLD = frozenset({"revoke_key", "edit", "vote", "call", "clock", "task"})
_NEEDS_ANSWER = frozenset({"drip", "truncate", "mutate"})
_CUTS = frozenset({"reset", "hang"})
_DELAYS = _CUTS | {"status"}


@dataclass(frozen=True, slots=True)
class Effect:
    """What happens, and how exactly."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests are meant; `*` and `?` are wild."""

    method: str = "*"
    route: str = "*"
    path: str = "*"
    user: str = "*"
    hits: tuple[tuple[int, int | None], ...] = ((1, 1),)

    def fits(self, request: "Request") -> bool:
        """Whether a request counts as a hit."""
        pairs = (
            (request.method, self.method.upper()),
            (request.path, self.path),
            (request.user or "", self.user),
        )
        route = any(fnmatch.fnmatchcase(request.route, one) for one in _classes(self.route))
        return route and all(fnmatch.fnmatchcase(value, wanted) for value, wanted in pairs)

    def due(self, hit: int) -> bool:
        """Whether this is one of the hits that are meant."""
        return any(first <= hit and (last is REST or hit <= last) for first, last in self.hits)


def _classes(route: str) -> tuple[str, ...]:
    """`feature_flags` is every route of the resource, `list` every list."""
    if "." in route or "*" in route:
        return (route,)
    return (f"{route}.*", f"*.{route}")


@dataclass(frozen=True, slots=True)
class Request:
    """What a schedule looks at."""

    method: str
    route: str
    path: str
    user: str | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a schedule."""

    match: Match
    effects: tuple[Effect, ...]  # one of them is drawn
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
        """How the request log names it."""
        return f"{self.effect.name}@{self.point}"

    @property
    def acts(self) -> bool:
        """Whether the request is carried out at once."""
        return self.point not in ("before", "late_commit")


@dataclass(frozen=True, slots=True)
class Drawn:
    """Every fault of one request: one on the wire at most, any number elsewhere."""

    wire: Fault | None = None
    bends: tuple[Fault, ...] = ()
    before: tuple[Fault, ...] = ()
    after: tuple[Fault, ...] = ()

    @property
    def label(self) -> str | None:
        """All of them, as the request log names them."""
        found = [*self.before, *self.bends, *([self.wire] if self.wire else []), *self.after]
        return ", ".join(one.label for one in found) or None

    def bend(self, name: str) -> Fault | None:
        """The bend of a name, if it was drawn."""
        return next((one for one in self.bends if one.effect.name == name), None)


NOTHING = Drawn()


class Schedule:
    """Rules, and how often each was hit."""

    def __init__(self, rules: Sequence[Rule] = (), seed: int = 0) -> None:
        self.rules = tuple(rules)
        self.seed = seed
        self.hits = [0] * len(self.rules)

    @property
    def memory(self) -> int:
        """How many earlier states of the world stale reads may ask for."""
        wanted = [
            int(effect.args.get("writes", 1))
            for rule in self.rules
            for effect in rule.effects
            if effect.name == "stale"
        ]
        return max(wanted, default=0)

    def draw(self, request: Request) -> Drawn:
        """Count a request, and say what befalls it."""
        drawn = NOTHING
        for number, rule in enumerate(self.rules):
            if not rule.match.fits(request):
                continue
            self.hits[number] += 1
            hit = self.hits[number]
            if not rule.match.due(hit):
                continue
            if random_source.share(self.seed, "fault", number, hit) >= rule.probability:
                continue
            place = random_source.pick(self.seed, len(rule.effects), "effect", number, hit)
            drawn = _with(drawn, _fault(rule, rule.effects[place]))
        return drawn


def _fault(rule: Rule, effect: Effect) -> Fault:
    natural = "after" if effect.name in _NEEDS_ANSWER else "before"
    return Fault(effect, rule.point or natural, rule.later)


def _with(drawn: Drawn, fault: Fault) -> Drawn:
    if fault.effect.name in BEND:
        return replace(drawn, bends=(*drawn.bends, fault))
    if fault.effect.name in WORLD:
        if fault.point == "after":
            return replace(drawn, after=(*drawn.after, fault))
        return replace(drawn, before=(*drawn.before, fault))
    return drawn if drawn.wire else replace(drawn, wire=fault)


def seen_status(status: int | None, wire: Fault | None) -> int | None:
    """The status that a caller sees; None when no answer reaches it."""
    if wire is None or wire.effect.name in ("drip", "truncate", "mutate"):
        return status
    if wire.effect.name == "status":
        return int(wire.effect.args["code"])
    if wire.effect.name == "throttle":
        return 429
    return status if wire.point == "mid_body" else None


def check(rule: Rule, where: str) -> Rule:
    """Refuse a point at which an effect makes no sense."""
    for effect in rule.effects:
        allowed = tuple(_points(effect.name))
        if rule.point is not None and rule.point not in allowed:
            raise SandboxError(
                f"{where}.point: {effect.name} happens {' or '.join(allowed)}, not {rule.point}"
            )
    return rule


def _points(name: str) -> Iterator[str]:
    if name not in _NEEDS_ANSWER:
        yield "before"
    if name not in BEND and name != "refuse":
        yield "after"
    if name in _CUTS:
        yield "mid_body"
    if name in _DELAYS:
        yield "late_commit"
