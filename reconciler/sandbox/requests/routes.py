"""Routes as values: path, required access, and the function that answers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.requests.call import Call

View = Callable[[Call], Response]
PARTLY_MODELLED = frozenset({"cohorts", "experiments"})  # resources; of others 403 is PostHog's own
_NOT_MODELLED = frozenset(  # methods of PostHog, each beside a route of the same path
    {("users.retrieve", "PATCH"), ("users.retrieve", "DELETE"), ("projects.list", "POST")}
)
# Actions of PostHog on a collection: without this list they are taken for the id of an object.
_ACTIONS_NOT_MODELLED = {
    "/api/projects/:project/feature_flags": (
        *("activity", "bulk_delete", "bulk_keys", "bulk_update_tags", "evaluation_reasons"),
        *("local_evaluation", "matching_ids", "my_flags", "user_blast_radius"),
    ),
    "/api/projects/:project/cohorts": ("activity",),
    "/api/projects/:project/experiments": (
        *("eligible_feature_flags", "requires_flag_implementation", "stats"),
    ),
}


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path. `:name` segments become `call.params`."""

    method: str
    path: str
    name: str  # `feature_flags.list`: the name in fault schedules and the OpenAPI document
    view: View
    scope: str = ""  # empty: every key may call it
    level: int = 0  # the lowest membership level; below it 403
    refusal: str = "Your organization access level is insufficient."
    feature: str | None = None  # a paid feature, required only on Cloud (contract 1.4)
    generations: frozenset[str] = frozenset({"g3", "g2", "g1", "docs"})

    @property
    def summary(self) -> str:
        """Return the first line of the view's docstring."""
        return (self.view.__doc__ or "").strip().split("\n", maxsplit=1)[0]


def make_newest_route(
    method: str, path: str, name: str, view: View, *, resource: str, scope: str
) -> Route:
    """Return a route of a resource that only the newest generation has.

    `scope`: the object that a key needs a scope for.
    """
    needed = f"{scope}:{'read' if method == 'GET' else 'write'}"
    return Route(method, path, f"{resource}.{name}", view, needed, generations=frozenset({"g3"}))


@dataclass(slots=True)
class _Node:
    words: dict[str, "_Node"] = field(default_factory=dict)
    wild: "_Node | None" = None
    methods: dict[str, tuple[Route, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """The routes of a path by method, and the values of its `:name` segments."""

    methods: dict[str, tuple[Route, tuple[str, ...]]]
    values: tuple[str, ...]

    def leaves_out(self, method: str) -> bool:
        """Return whether PostHog may offer a method here that the sandbox does not model."""
        names = [route.name for route, _ in self.methods.values()]
        return method not in self.methods and any(
            name.partition(".")[0] in PARTLY_MODELLED or (name, method) in _NOT_MODELLED
            for name in names
        )

    def find_route(self, method: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route of a method, and its parameters by name."""
        entry = self.methods.get(method)
        if entry is None:
            return None
        route, names = entry
        return route, dict(zip(names, self.values, strict=True))


class RouteTable:
    """All routes of one profile, by path."""

    def __init__(self, routes: Iterable[Route], generation: str) -> None:
        self._root = _Node()
        self.routes = tuple(route for route in routes if generation in route.generations)
        for route in self.routes:
            node, names = self._make_node(route.path)
            node.methods[route.method] = (route, names)
        for collection, actions in _ACTIONS_NOT_MODELLED.items():
            for action in actions:
                self._make_node(f"{collection}/{action}")

    def _make_node(self, path: str) -> tuple[_Node, tuple[str, ...]]:
        """Return the node of a path, and the names of its `:name` segments."""
        node = self._root
        names: list[str] = []
        for segment in split_path(path):
            if segment.startswith(":"):
                names.append(segment[1:])
                node.wild = node.wild or _Node()
                node = node.wild
            else:
                node = node.words.setdefault(segment, _Node())
        return node, tuple(names)

    def find_match(self, path: str) -> RouteMatch | None:
        """Return what a path leads to. `/api/environments/:id/x` is `/api/projects/:id/x` (1.1)."""
        parts = split_path(path)
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
        return RouteMatch(node.methods, tuple(values))


def split_path(path: str) -> list[str]:
    """Return a path's segments; the slash at its end is optional (contract 1.1)."""
    return path.strip("/").split("/")


def is_alias(path: str) -> bool:
    """Return whether a path uses the older prefix (contract 1.1)."""
    parts = split_path(path)
    return parts[:2] == ["api", "environments"] and len(parts) > len(("api", "environments"))
