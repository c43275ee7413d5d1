"""A route as a value: who may take it, and which function answers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from reconciler.sandbox.protocol.messages import Answer
from reconciler.sandbox.requests.call import Call

View = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path. `:name` segments become `call.params`."""

    method: str
    path: str
    name: str  # `feature_flags.list`: what fault schedules and the OpenAPI document call it
    view: View
    scope: str = ""  # empty: any key will do
    level: int = 0  # the least membership level; below it 403
    refusal: str = "Your organization access level is insufficient."
    feature: str | None = None  # a paid feature, asked for on Cloud only (contract 1.4)
    generations: frozenset[str] = frozenset({"g2", "g1", "docs"})

    @property
    def summary(self) -> str:
        """The first line of the view's docstring."""
        return (self.view.__doc__ or "").strip().split("\n", maxsplit=1)[0]


@dataclass(slots=True)
class _Node:
    words: dict[str, "_Node"] = field(default_factory=dict)
    wild: "_Node | None" = None
    methods: dict[str, tuple[Route, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """What a path leads to: one route a method, and the values of its `:name` segments."""

    methods: dict[str, tuple[Route, tuple[str, ...]]]
    values: tuple[str, ...]

    def route(self, method: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a method, with its parameters named."""
        found = self.methods.get(method)
        if found is None:
            return None
        route, names = found
        return route, dict(zip(names, self.values, strict=True))


class Table:
    """All routes of one profile, ready to be looked up by path."""

    def __init__(self, routes: Iterable[Route], generation: str) -> None:
        self._root = _Node()
        self.routes = tuple(one for one in routes if generation in one.generations)
        for one in self.routes:
            self._add(one)

    def _add(self, route: Route) -> None:
        node = self._root
        names: list[str] = []
        for segment in segments(route.path):
            if segment.startswith(":"):
                names.append(segment[1:])
                node.wild = node.wild or _Node()
                node = node.wild
            else:
                node = node.words.setdefault(segment, _Node())
        node.methods[route.method] = (route, tuple(names))

    def match(self, path: str) -> Match | None:
        """What a path leads to. `/api/environments/:id/x` is `/api/projects/:id/x` (1.1)."""
        parts = segments(path)
        if is_alias(path):
            parts[1] = "projects"
        values: list[str] = []
        node: _Node | None = self._root
        for part in parts:
            if node is None:
                return None
            if part in node.words:
                node = node.words[part]
            else:
                values.append(part)
                node = node.wild
        if node is None or not node.methods:
            return None
        return Match(node.methods, tuple(values))


def segments(path: str) -> list[str]:
    """A path's parts; the slash at its end is optional (contract 1.1)."""
    return path.strip("/").split("/")


def is_alias(path: str) -> bool:
    """Whether a path uses the older prefix (contract 1.1)."""
    parts = segments(path)
    return parts[:2] == ["api", "environments"] and len(parts) > len(("api", "environments"))
