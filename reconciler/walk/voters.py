"""Who voted, against who wrote: git, the change requests and the people of an organization."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from reconciler.config import authors, git
from reconciler.errors import ApiError, AuthenticationError
from reconciler.kind import instant
from reconciler.kinds import KINDS
from reconciler.live import naming
from reconciler.model import (
    Action,
    Address,
    ChangeRequest,
    Declared,
    Finding,
    Live,
    Payload,
    Person,
    Plan,
    Resource,
)
from reconciler.plan import authorship
from reconciler.posthog import change_requests
from reconciler.posthog.client import Reader
from reconciler.source import Source

_PAGES: Final = 10  # of applied requests that are looked through, newest first
_FIRST: Final = 1  # the same where no base says how far back to go


class Voters:
    """Answers whether an approver wrote the change. Git is asked once a document, and only then."""

    def __init__(self, desired: Declared, base: Declared | None, live: Live) -> None:
        self._desired, self._base, self._live = desired, base, live
        self._since = base.origin if base is not None else None
        self._met: dict[str, dict[str, Person]] = {
            slug: dict(people) for slug, people in live.people.items() if people
        }
        self._known: dict[Address, tuple[str, ...]] = {}
        self._written: dict[Source, str | None] = {}

    def remark(self, address: Address, request: ChangeRequest) -> str:
        """A sentence on who approved a request, if there is one to be said."""
        return authorship.remark(request, self._authors(address), self._people(address))

    def findings(self, requests: Iterable[ChangeRequest]) -> Iterator[Finding]:
        """What is to be said of requests about declared flags that somebody has approved."""
        for request in requests:
            scope = (request.organization, request.project)
            address = Address("FeatureFlag", (*scope, request.flag_key))
            resource = self._desired.resources.get(address)
            if resource is None or not any(vote.approved for vote in request.votes):
                continue
            yield from authorship.findings(
                request,
                self._authors(address),
                self._people(address),
                address=address,
                source=resource.source,
            )

    def applied(self, reader: Reader, made: Plan) -> Iterator[Finding]:
        """The same of what was approved since the base: one listing a project, if it can matter.

        That is where files have moved since then and the live side is as they say by now. Before
        anything was applied every file has moved, and what was asked since its last commit counts.
        """
        if self._base is None and git.root(Path.cwd()) is None:
            return
        settled: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for change in made.changes:
            kind = KINDS[change.address.kind]
            if change.action is Action.NONE and kind.gated and self._has_moved(change.address):
                settled[change.address.parts[:-1]].add(change.address.name)
        for scope, keys in settled.items():
            ids = self._live.ids.get(Address("Project", scope), ())
            if len(ids) != 1:
                continue
            for payload in self._since_base(reader, ids[0]):
                request = naming.change_request(payload, *scope)
                if request.flag_key in keys and self._is_about_this(request):
                    self._meet(reader, scope[0])
                    yield from self.findings((request,))

    def _is_about_this(self, request: ChangeRequest) -> bool:
        """Whether a request was filed for what the document says now, where no base tells."""
        scope = (request.organization, request.project)
        resource = self._desired.resources.get(Address("FeatureFlag", (*scope, request.flag_key)))
        if self._base is not None or resource is None or resource.source is None:
            return self._base is not None
        source, filed = resource.source, instant(request.payload.get("created_at"))
        if source not in self._written:
            self._written[source] = authors.written_at(source.file, source.line, cwd=Path.cwd())
        moment = instant(self._written[source])
        return moment is not None and filed is not None and filed >= moment

    def _meet(self, reader: Reader, organization: str) -> None:
        """Who is in an organization: to tell an author who may not vote from one unknown here."""
        ids = self._live.ids.get(Address("Organization", (organization,)), ())
        if organization in self._met or len(ids) != 1:
            return
        self._met[organization] = {}
        try:
            path = KINDS["Member"].path(KINDS["Member"].collection, {"organization": ids[0]})
            for payload in reader.list(path).items:
                user = payload["user"]
                person = Person(int(user["id"]), str(user["uuid"]), str(user["email"]))
                self._met[organization][person.email.lower()] = person
        except AuthenticationError:
            raise
        except ApiError:  # then only what is sure is said
            return

    def _since_base(self, reader: Reader, project: str) -> Iterator[Payload]:
        moment = git.made_at(self._since, cwd=Path.cwd()) if self._since is not None else None
        try:
            pages = change_requests.pages(reader, project, state=("applied",))
            for page in islice(pages, _PAGES if self._base is not None else _FIRST):
                for payload in page:
                    filed = instant(payload.get("created_at"))
                    if moment is not None and filed is not None and filed < moment:
                        return
                    yield payload
        except AuthenticationError:
            raise
        except ApiError:  # who may not read requests is told so elsewhere
            return

    def _has_moved(self, address: Address) -> bool:
        now = self._desired.resources.get(address)
        before = self._base.resources.get(address) if self._base is not None else None
        return now is not None and (before is None or before.spec != now.spec)

    def _people(self, address: Address) -> Mapping[str, Person]:
        return self._met.get(address.organization, {})

    def _authors(self, address: Address) -> tuple[str, ...]:
        if address not in self._known:
            resource = self._desired.resources.get(address)
            self._known[address] = () if resource is None else self._written_by(resource)
        return self._known[address]

    def _written_by(self, resource: Resource) -> tuple[str, ...]:
        source = resource.source
        if source is None:
            return ()
        return authors.of_document(source.file, source.line, since=self._since, cwd=Path.cwd())
