"""Whether somebody approved what they wrote themselves.

PostHog forbids to approve one's own request, and takes whoever filed it for its author. A
pipeline files under one key for everybody, so the author of the commit may approve it: only who
knows both names can see that.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from reconciler.model import Address, ChangeRequest, Finding, Person, Severity
from reconciler.source import Source

APPROVED_BY_AUTHOR: Final = "approved-by-author"
AUTHOR_UNKNOWN: Final = "author-unknown"
CODES: Final = frozenset({APPROVED_BY_AUTHOR, AUTHOR_UNKNOWN})


def own(request: ChangeRequest, authors: Collection[str]) -> tuple[str, ...]:
    """Who approved a request and wrote what it proposes, as they voted."""
    wrote = {email.casefold() for email in authors}
    voted = dict.fromkeys(vote.person for vote in request.votes if vote.approved)
    return tuple(person for person in voted if person.casefold() in wrote)


def unknown(authors: Collection[str], people: Mapping[str, Person]) -> tuple[str, ...]:
    """Authors that are nobody's address here: they may be anybody. None where nobody is known."""
    if not people:
        return ()
    known = {email.casefold() for email in people}
    return tuple(email for email in authors if email.casefold() not in known)


def remark(request: ChangeRequest, authors: Collection[str], people: Mapping[str, Person]) -> str:
    """A sentence on who approved a request, if there is one to be said."""
    if found := own(request, authors):
        return f"approved by its own author: {', '.join(found)}"
    if strange := unknown(authors, people):
        return (
            f"whether its author approved it cannot be told: nobody here has the address "
            f"{', '.join(strange)}"
        )
    return ""


def findings(
    request: ChangeRequest,
    authors: Collection[str],
    people: Mapping[str, Person],
    *,
    address: Address,
    source: Source | None,
) -> Iterator[Finding]:
    """What is to be said of the votes on one request."""
    if not any(vote.approved for vote in request.votes):
        return
    if found := own(request, authors):
        yield Finding(
            APPROVED_BY_AUTHOR,
            Severity.WARNING,
            f"{address}: change request {request.id} was approved by its own author: "
            f"{', '.join(found)}",
            why=f"it was filed by {request.requester or 'another user'}, so PostHog saw two people",
            fix="have somebody else look at it; a required review in git keeps it from recurring",
            source=source,
            address=address,
        )
    elif strange := unknown(authors, people):
        yield Finding(
            AUTHOR_UNKNOWN,
            Severity.NOTICE,
            f"{address}: whether change request {request.id} was approved by its own author "
            "cannot be told",
            why=f"nobody in {address.organization} has the address {', '.join(strange)}",
            fix="say whose it is in .mailmap",
            source=source,
            address=address,
        )
