"""A call that was let in: who asks, about which organization and project, and for what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from reconciler.sandbox.protocol.messages import Answer, Incoming
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import Membership, Organization, Project, Token, User
from reconciler.sandbox.store.paging import links, window
from reconciler.sandbox.store.transaction import Clause, Transaction, Window

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who a write is by, and through what: what the activity log will say."""

    user: User
    client: str | None = None
    ip: str | None = None


@dataclass(frozen=True, slots=True)
class Bend:
    """What a fault changes about one call; the default is nothing."""

    shift: int = 0  # lists begin this many rows late
    empty: bool = False  # lists are empty
    race: bool = False  # the gate does not look for an open request
    without_scope: str | None = None
    without_fields: tuple[str, ...] = ()  # silently ignored
    session: User | None = None  # somebody else, at a browser: no key, no limit


@dataclass(frozen=True, slots=True)
class Call:
    """Everything that a view may look at."""

    tx: Transaction
    incoming: Incoming
    profile: Profile
    user: User
    token: Token
    params: Mapping[str, str]
    membership: Membership | None = None
    in_organization: Organization | None = None
    in_project: Project | None = None
    data: Any = field(default_factory=dict)
    bend: Bend = field(default_factory=Bend)

    @property
    def organization(self) -> Organization:
        """The organization of the path, or that of its project."""
        if self.in_organization is None:
            raise LookupError("this route has no organization")
        return self.in_organization

    @property
    def project(self) -> Project:
        """The project of the path."""
        if self.in_project is None:
            raise LookupError("this route has no project")
        return self.in_project

    @property
    def level(self) -> int:
        """The caller's membership level here; 0 without one."""
        return self.membership.level if self.membership else 0

    @property
    def actor(self) -> Actor:
        """The caller, as the author of writes."""
        client = self.incoming.header("x-posthog-client")
        return Actor(self.user, client or None, self.incoming.ip)

    def query(self, name: str) -> str | None:
        """A query parameter; repeated, the last one wins."""
        values = self.incoming.query.get(name)
        return values[-1] if values else None

    def window(self) -> Window:
        """The part of a list that is asked for (contract 1.6)."""
        return window(self.query("limit"), self.query("offset"))


def paged(call: Call, kind: type[T], clauses: list[Clause], **options: Any) -> tuple[Any, list[T]]:
    """One page of a list, and the envelope around it without its results.

    Options: `keep` filters what SQL cannot, `order` replaces newest first.
    """
    asked = call.window()
    order = options.get("order", asked.order)
    reach = Window(asked.limit, max(0, asked.offset + call.bend.shift), order)
    count, found = call.tx.page(kind, clauses, reach, options.get("keep"))
    if call.bend.empty:
        count, found = 0, []
    following, previous = links(call.incoming, asked, count)
    return {"count": count, "next": following, "previous": previous}, found


def page_answer(envelope: Mapping[str, Any], results: list[Any]) -> Answer:
    """A page as an answer."""
    return Answer(200, {**envelope, "results": results})
