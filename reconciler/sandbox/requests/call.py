"""A call that passed the access checks: the caller, the place, the parameters and the body."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from reconciler.sandbox.protocol.messages import IncomingRequest, Response
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import Membership, Organization, Project, Token, User
from reconciler.sandbox.store.paging import make_page_links, parse_window
from reconciler.sandbox.store.transaction import Clause, Transaction, Window

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of a write, as the activity log names it."""

    user: User
    client: str | None = None
    ip: str | None = None


@dataclass(frozen=True, slots=True)
class FaultEffect:
    """What a fault changes about one call; by default nothing."""

    shift: int = 0  # lists begin this many rows late
    empty: bool = False  # lists are empty
    race: bool = False  # the gate ignores an open request
    without_scope: str | None = None
    without_fields: tuple[str, ...] = ()  # silently ignored
    session: User | None = None  # another person, at a browser: no key, no limit


@dataclass(frozen=True, slots=True)
class Call:
    """Everything that a view may use."""

    tx: Transaction
    incoming: IncomingRequest
    profile: Profile
    user: User
    token: Token
    params: Mapping[str, str]
    membership: Membership | None = None
    in_organization: Organization | None = None
    in_project: Project | None = None
    data: Any = field(default_factory=dict)
    fault_effect: FaultEffect = field(default_factory=FaultEffect)

    @property
    def organization(self) -> Organization:
        """Return the organization of the path, or that of its project."""
        if self.in_organization is None:
            raise LookupError("this route has no organization")
        return self.in_organization

    @property
    def project(self) -> Project:
        """Return the project of the path."""
        if self.in_project is None:
            raise LookupError("this route has no project")
        return self.in_project

    @property
    def level(self) -> int:
        """Return the caller's membership level here; 0 without one."""
        return self.membership.level if self.membership else 0

    @property
    def actor(self) -> Actor:
        """Return the caller as the author of writes."""
        client = self.incoming.get_header("x-posthog-client")
        return Actor(self.user, client or None, self.incoming.ip)

    def get_query(self, name: str) -> str | None:
        """Return a query parameter; of a repeated one, the last value."""
        values = self.incoming.query.get(name)
        return values[-1] if values else None

    def parse_window(self) -> Window:
        """Return the requested part of a list (contract 1.6)."""
        return parse_window(self.get_query("limit"), self.get_query("offset"))


def read_page(
    call: Call, kind: type[T], clauses: list[Clause], **options: Any
) -> tuple[Any, list[T]]:
    """Return the envelope of one page of a list, and the page's rows.

    Options: `keep` filters what SQL cannot, `order` replaces newest first.
    """
    window = call.parse_window()
    order = options.get("order", window.order)
    reach = Window(window.limit, max(0, window.offset + call.fault_effect.shift), order)
    count, rows = call.tx.read_page(kind, clauses, reach, options.get("keep"))
    if call.fault_effect.empty:
        count, rows = 0, []
    following, previous = make_page_links(call.incoming, window, count)
    return {"count": count, "next": following, "previous": previous}, rows


def make_page(envelope: Mapping[str, Any], results: list[Any]) -> Response:
    """Return a page as a response."""
    return Response(200, {**envelope, "results": results})
