"""Who voted, against who wrote: git, the change requests and the people of an organization."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Final

from reconciler.config.lineage import DatedCommit, DocumentHistory, Lineage
from reconciler.errors import ApiError, AuthenticationError, GitError
from reconciler.git import repository
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.live import names as live_names
from reconciler.model import (
    Address,
    ChangeRequest,
    Declared,
    Finding,
    Live,
    Payload,
    Person,
    Plan,
    Resource,
    parse_time,
)
from reconciler.plan.approvals import self_approval
from reconciler.plan.approvals.self_approval import Authorship, ProposedValue
from reconciler.plan.diff import matching, three_way
from reconciler.posthog import change_requests, response_shapes
from reconciler.posthog.client import Reader

_PAGES: Final = 10  # of applied requests that are looked through, newest first
_FIRST: Final = 1  # the same where no base says how far back to go
_UNKNOWN: Final = "the local history does not reach back to the commit that wrote it"


class SelfApprovalCheck:
    """Answers whether an approver wrote what a request proposes. Git is asked only then."""

    def __init__(
        self,
        desired: Declared,
        base: Declared | None,
        live: Live,
        lineage: Lineage | None,
        now: datetime | None,
    ) -> None:
        self._desired, self._base, self._live, self._lineage = desired, base, live, lineage
        self._since = base.origin if base is not None else None
        self._now = now
        self._skew = timedelta()  # of the server's clock, as far as it matters
        self._met: dict[str, dict[str, Person]] = {
            slug: dict(people) for slug, people in live.people.items() if people
        }
        self._documents: dict[Address, DocumentHistory] = {}
        self._written: dict[str, Authorship] = {}
        self._me = live.me.id if live.me is not None else None

    def describe_approval(self, address: Address, request: ChangeRequest) -> str:
        """Return a sentence on who approved a request, if there is anything to report."""
        return self_approval.describe_self_approval(
            request, self._wrote(address, request), self._people(address)
        )

    def find_approved(self, requests: Iterable[ChangeRequest]) -> Iterator[Finding]:
        """Yield findings about requests for declared objects that somebody has approved."""
        for request in requests:
            address = request.address
            if self._resource(address) is None or not _approved(request):
                continue
            yield from self._findings(address, request)

    def _findings(self, address: Address, request: ChangeRequest) -> Iterator[Finding]:
        resource = self._desired.resources.get(address)
        return self_approval.find_self_approvals(
            request,
            self._wrote(address, request),
            self._people(address),
            address=address,
            source=resource.source if resource is not None else None,
        )

    def find_applied(self, reader: Reader, plan: Plan) -> Iterator[Finding]:
        """Yield the same for requests applied since the base: one listing per project, if needed.

        That is where the live side has moved since then, or where nothing was applied before.
        """
        if self._lineage is None or self._lineage.root is None:
            return
        skew = timedelta(seconds=reader.clock_skew_s or 0)
        self._skew = skew if abs(skew) > repository.CLOCKS_DIFFER else timedelta()
        changed: dict[tuple[str, ...], set[Address]] = defaultdict(set)
        for change in plan.changes:
            if KINDS[change.address.kind].gated and self._has_moved(change.address):
                changed[change.address.parts[:-1]].add(change.address)
        known = live_names.Names({}, self._live) if changed else None
        for scope, addresses in changed.items():
            ids = self._live.ids.get(Address("Project", scope), ())
            if len(ids) != 1:
                continue
            for payload in self._since_base(reader, ids[0]):
                request = live_names.build_change_request(payload, *scope, names=known)
                if request.address not in addresses or not _approved(request):
                    continue
                self._meet(reader, scope[0])
                if self._is_new(request.address, request):
                    yield from self._findings(request.address, request)

    def _has_moved(self, address: Address) -> bool:
        """Return whether git and the live side have both changed a document since the base."""
        now, live = self._desired.resources.get(address), self._live.resources.get(address)
        base = self._base.resources.get(address) if self._base is not None else None
        if live is None or (now is not None and base is not None and base.spec == now.spec):
            return False
        return base is None or bool(three_way.compare_resource(base, None, live).fields)

    def _is_new(self, address: Address, request: ChangeRequest) -> bool:
        """Return whether no clean apply has reported what it proposes yet."""
        written = self._wrote(address, request)
        if self._since is not None:
            return not written.commits or bool(written.commits & self._news)
        resource = self._resource(address)
        facts = self._facts(address, request)
        return resource is not None and all(fact.is_in(resource.spec) for fact in facts)

    @cached_property
    def _news(self) -> frozenset[str]:
        assert self._lineage is not None  # noqa: S101  the caller looked
        return self._lineage.list_commits_since(self._since or "")

    def _meet(self, reader: Reader, organization: str) -> None:
        """Read who is in an organization, and who files: the filer may be an author, too."""
        if self._me is None:
            self._me = _filer(reader)
        ids = self._live.ids.get(Address("Organization", (organization,)), ())
        if organization in self._met or len(ids) != 1:
            return
        self._met[organization] = {}
        try:
            path = KINDS["Member"].path(KINDS["Member"].collection, {"organization": ids[0]})
            for payload in reader.list(path).items:
                user = response_shapes.require_shape(path, payload, response_shapes.MEMBER)["user"]
                person = Person(user["id"], user["uuid"], user["email"])
                self._met[organization][person.email.lower()] = person
        except AuthenticationError:
            raise
        except ApiError:  # then only what is sure is said
            return

    def _since_base(self, reader: Reader, project: str) -> Iterator[Payload]:
        moment = None
        if self._since is not None and self._lineage is not None and self._lineage.root is not None:
            moment = repository.read_commit_time(self._since, cwd=self._lineage.root)
        if (
            moment is not None
            and self._now is not None
            and moment > self._now + repository.CLOCKS_DIFFER
        ):
            moment = None  # such a date would leave every request out
        try:
            pages = change_requests.iterate_pages(reader, project, state=("applied",))
            for page in islice(pages, _PAGES if self._base is not None else _FIRST):
                for payload in page:
                    filed = self._local(payload.get("created_at"))
                    if moment is not None and filed is not None and filed < moment:
                        return
                    yield payload
        except AuthenticationError:
            raise
        except ApiError:  # another finding says that requests cannot be read
            return

    def _local(self, at: object) -> datetime | None:
        """Return a time of the server on the local clock, which git uses for its dates."""
        moment = parse_time(at)
        return moment - self._skew if moment is not None else None

    def _people(self, address: Address) -> Mapping[str, Person]:
        return self._met.get(address.organization, {})

    def _resource(self, address: Address) -> Resource | None:
        """Return the document of an object; of one that has left the files, as at the base."""
        resource = self._desired.resources.get(address)
        if resource is None and self._base is not None:
            resource = self._base.resources.get(address)
        return resource

    # -- who wrote it

    def _wrote(self, address: Address, request: ChangeRequest) -> Authorship:
        if request.id not in self._written:
            try:
                self._written[request.id] = self._look(address, request)
            except GitError as error:
                self._written[request.id] = Authorship(unknown=error.what)
        return self._written[request.id]

    def _facts(self, address: Address, request: ChangeRequest) -> tuple[ProposedValue, ...]:
        base = self._base.resources.get(address) if self._base is not None else None
        spell = live_names.build_speller(self._live)
        intent = request.payload.get("intent") or {}
        proposed: dict[str, object] = {}
        for name, value in KINDS[address.kind].proposal(intent).items():
            proposed |= spell(address, str(name), value)
        return self_approval.list_proposed_values(
            request, proposed, base.spec if base is not None else None
        )

    def _look(self, address: Address, request: ChangeRequest) -> Authorship:
        """Look up who wrote what a request proposes, when it was filed."""
        lineage, resource = self._lineage, self._resource(address)
        if lineage is None or lineage.root is None or resource is None:
            return Authorship()
        facts = self._facts(address, request)
        document = self._document(address, resource)
        starts, is_sure = self._starts(document, facts, request)
        blamed = [_blame(document, start, facts) for start in starts]
        if not blamed:
            return Authorship()
        names = [
            {who for commit in blame.certain for who in lineage.find_authors(commit, self._since)}
            for blame in blamed
        ]
        maybe = {
            who
            for blame in blamed
            for commit in blame.doubtful
            for who in lineage.find_authors(commit, self._since)
        }
        agreed = set.intersection(*names) if is_sure else set[str]()
        everyone = set.union(*names, maybe)
        return Authorship(
            authors=tuple(sorted(agreed)),
            doubtful=tuple(sorted(everyone - agreed)),
            commits=frozenset(commit for blame in blamed for commit in blame.certain),
            unknown=_UNKNOWN if any(blame.is_cut for blame in blamed) else "",
            mailmap=self._since is not None and lineage.has_changed(".mailmap", self._since),
        )

    def _document(self, address: Address, resource: Resource) -> DocumentHistory:
        if address not in self._documents:
            assert self._lineage is not None  # noqa: S101  the caller looked
            former = resource.lifecycle.renamed_from
            names = [name for name in (address.name, former) if name is not None]
            projects = matching.list_project_names(self._live)
            self._documents[address] = self._lineage.open_document(address, names, projects)
        return self._documents[address]

    def _starts(
        self, document: DocumentHistory, facts: Iterable[ProposedValue], request: ChangeRequest
    ) -> tuple[list[str], bool]:
        """Find the commits a request may have been filed for, and whether it was for one.

        Almost always there is one: what was committed last when it was filed, and says the same.
        A pipeline may file an older commit; and a date in the future passes a commit off as made
        later. Both only matter for what this key filed: it proposes what is in git. If a commit
        may really be later, a person may have filed the request with this key.
        """
        certain = [fact for fact in facts if fact.certain]
        is_mine = self._me is not None and request.requester_id == self._me
        filed = self._local(request.created_at)
        newest: str | None = None
        later: DatedCommit | None = None
        for moment, spec in document.list_states():
            fits = bool(certain) and all(fact.is_in(spec) for fact in certain)
            if filed is not None and moment.at > filed.timestamp():
                later = moment if fits else later
            elif newest is None:
                newest = moment.commit
                if fits:
                    return [newest], True
                if not is_mine:
                    break
            elif fits and self._is_news(document, moment.commit, certain):
                return [moment.commit, *([later.commit] if later is not None else [])], True
        if later is not None and is_mine:
            return [later.commit], self._is_misdated(later)
        return [newest] if newest is not None else [], True

    def _is_misdated(self, moment: DatedCommit) -> bool:
        """Return whether a commit says that it was made later than it can have been."""
        ahead = (
            self._now is not None
            and moment.dated > (self._now + repository.CLOCKS_DIFFER).timestamp()
        )
        return ahead or moment.dated > moment.at

    def _is_news(
        self, document: DocumentHistory, commit: str, facts: Iterable[ProposedValue]
    ) -> bool:
        """Return whether something of a commit was made since the base."""
        if self._since is None:
            return True
        return any(document.blame_value(commit, fact.is_in) in self._news for fact in facts)


@dataclass(frozen=True, slots=True)
class _Blame:
    """The commits that made values what they are."""

    certain: frozenset[str]
    doubtful: frozenset[str]  # of values that the request may not change
    is_cut: bool  # whether the history ends before one of them


def _blame(document: DocumentHistory, start: str, facts: Iterable[ProposedValue]) -> _Blame:
    """Find which commits wrote what a request proposes, as of the commit it was filed for."""
    certain, doubtful, is_cut = set[str](), set[str](), False
    spec = document.find_spec(start)
    for fact in facts:
        if not fact.is_in(spec):
            continue
        commit = document.blame_value(start, fact.is_in)
        if commit is not None:
            (certain if fact.certain else doubtful).add(commit)
        is_cut = is_cut or (commit is None and fact.certain)
    return _Blame(frozenset(certain), frozenset(doubtful), is_cut)


def _filer(reader: Reader) -> int | None:
    """Return who this key files as; unknown without the scope `user:read`."""
    try:
        return int(reader.get("/api/users/@me/")["id"])
    except AuthenticationError:
        raise
    except ApiError:
        return None


def _approved(request: ChangeRequest) -> bool:
    return any(vote.approved for vote in request.votes)
