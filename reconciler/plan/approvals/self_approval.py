"""Whether somebody approved what they wrote themselves.

PostHog forbids to approve one's own request, and takes whoever filed it for its author. A
pipeline files under one key for everybody, so the author of the commit may approve it: only who
knows both names can see that.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.model import (
    ABSENT,
    Address,
    ChangeRequest,
    Finding,
    Path,
    Person,
    Severity,
    Source,
    Spec,
    parse_path,
    value_at,
)

APPROVED_BY_AUTHOR: Final = "approved-by-author"
AUTHOR_UNKNOWN: Final = "author-unknown"
CODES: Final = frozenset({APPROVED_BY_AUTHOR, AUTHOR_UNKNOWN})


_ITEM: Final = "[]"  # the last step of a path: any place of a list


@dataclass(frozen=True, slots=True)
class Fact:
    """One value that a request proposes; ABSENT: that nothing is there.

    Attributes:
        path: where in the spec; with `[]` at its end, anywhere in that list.
        value: a scalar, or what is empty; of a list its item.
        certain: whether the request changes it. PostHog sends `filters` as a whole, and names the
            places that an approval is about only (contract 7.2).

    """

    path: Path
    value: Any
    certain: bool = True

    def holds(self, spec: Spec | None) -> bool:
        """Return whether a document says the same."""
        if spec is None or self.path[0] not in spec:
            return False
        if self.path[-1] == _ITEM:
            found = value_at(spec, self.path[:-1], ())
            return isinstance(found, list) and self.value in found
        return bool(value_at(spec, self.path, ABSENT) == self.value)


@dataclass(frozen=True, slots=True)
class Written:
    """Who wrote what a request proposes, as far as that is known.

    Attributes:
        authors: of what it certainly changes.
        doubtful: people who wrote something of it that it may not change at all, or who may have
            written it: the history fits more than one commit.
        commits: those of `authors`.
        unknown: why an author cannot be known; empty if that is not so.
        mailmap: whether `.mailmap` is another one than at the base.

    """

    authors: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    commits: frozenset[str] = frozenset()
    unknown: str = ""
    mailmap: bool = False


def facts(request: ChangeRequest, proposed: Spec, before: Spec | None) -> tuple[Fact, ...]:
    """Return what a request proposes.

    Args:
        request: the request.
        proposed: what it would write, in the language of the files.
        before: what was declared when everything was applied last; None if that is not known.

    """
    places = dict(_places(request.payload.get("intent") or {}))
    found: list[Fact] = []
    for name, value in proposed.items():
        every = list(_leaves((name,), value, before, creates=request.resource_id is None))
        if name != "filters" or request.resource_id is None:
            found.extend(every)
            continue
        named = {path for path, moved in places.items() if moved}
        found.extend(Fact(path, value_at(proposed, path, ABSENT)) for path in named)
        if before is not None:
            rest = (one for one in every if one.path not in places)
            found.extend(Fact(one.path, one.value, certain=False) for one in rest)
    return tuple(found)


def _places(intent: Mapping[str, Any]) -> Iterator[tuple[Path, bool]]:
    """Return the places that an approval is about, and whether the request changes each."""
    sides = []
    for side in ("current_state", "gated_changes"):
        rows = (intent.get(side) or {}).get("rollout_percentage") or ()
        good = (row for row in rows if isinstance(row, Mapping) and "path" in row)
        sides.append({str(row["path"]): row.get("value") for row in good})
    was, now = sides
    for path in {**was, **now}:
        yield parse_path(f"filters.{path}"), was.get(path, ABSENT) != now.get(path, ABSENT)


def _leaves(path: Path, value: Any, before: Spec | None, *, creates: bool) -> Iterator[Fact]:
    """Return the values that differ from what was declared before; all if nothing differs."""
    every = list(_flat(path, value))
    if before is None or creates:
        yield from every
        return
    old = before.get(str(path[0]), ABSENT)
    known = list(_flat(path, old)) if old is not ABSENT else []
    news = [one for one in every if one not in known]
    now = {one.path for one in every}
    news += [Fact(one.path, ABSENT) for one in known if one.path not in now]
    yield from news or every


def _flat(path: Path, value: Any) -> Iterator[Fact]:
    """Return every value below a place; of a list its items, wherever they are in it, as well."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flat((*path, name), inner)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield Fact((*path, _ITEM), item)
            if isinstance(item, Mapping | list):
                yield from _flat((*path, index), item)
    else:
        yield Fact(path, value)


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


def remark(request: ChangeRequest, written: Written, people: Mapping[str, Person]) -> str:
    """Return a sentence on who approved a request, if there is something to say."""
    if found := own(request, written.authors):
        return f"approved by its own author: {', '.join(found)}"
    if why := _doubt(request, written, people):
        return f"it is not known whether its author approved it: {why}"
    return ""


def _doubt(request: ChangeRequest, written: Written, people: Mapping[str, Person]) -> str:
    """Return why it is not known whether an author approved a request; empty if it is."""
    if maybe := own(request, written.doubtful):
        return f"{', '.join(maybe)} may have written it, or a part of it"
    if strange := unknown(written.authors, people):
        return f"nobody in {request.organization} has the address {', '.join(strange)}"
    return written.unknown


def findings(
    request: ChangeRequest,
    written: Written,
    people: Mapping[str, Person],
    *,
    address: Address,
    source: Source | None,
) -> Iterator[Finding]:
    """Return what is to be said of the votes on one request."""
    if not any(vote.approved for vote in request.votes):
        return
    changed = "; .mailmap was changed and counts once it is applied" if written.mailmap else ""
    if found := own(request, written.authors):
        filed = f"it was filed by {request.requester or 'another user'}, so PostHog saw two people"
        yield Finding(
            APPROVED_BY_AUTHOR,
            Severity.WARNING,
            f"{address}: change request {request.id} was approved by its own author: "
            f"{', '.join(found)}",
            why=f"{filed}{changed}",
            fix="have somebody else look at it; a required review in git keeps it from recurring",
            source=source,
            address=address,
        )
    elif why := _doubt(request, written, people):
        yield Finding(
            AUTHOR_UNKNOWN,
            Severity.NOTICE,
            f"{address}: it is not known whether change request {request.id} was approved by its "
            "own author",
            why=f"{why}{changed}",
            fix="compare its approvers with git log; .mailmap says whose an address is",
            source=source,
            address=address,
        )
