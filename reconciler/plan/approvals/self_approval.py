"""Find people who approved what they wrote themselves.

PostHog forbids approving your own request, and treats the user who filed it as its author. A
pipeline files every request with one key, so the author of the commit may approve it: this is
visible only with the names from git and from PostHog.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from reconciler.lazy_dataclass import dataclass
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
    get_value,
    parse_path,
)

APPROVED_BY_AUTHOR: Final = "approved-by-author"
AUTHOR_UNKNOWN: Final = "author-unknown"
CODES: Final = frozenset({APPROVED_BY_AUTHOR, AUTHOR_UNKNOWN})


_ITEM: Final = "[]"  # the last step of a path: any item of a list


@dataclass(frozen=True, slots=True)
class ProposedValue:
    """One value that a request proposes; ABSENT if it removes the value.

    Attributes:
        path: the path in the spec; with `[]` at its end, any item of that list.
        value: a scalar, an empty value, or the item of a list.
        certain: whether the request changes it. PostHog sends `filters` as a whole, and names only
            the positions that an approval is about (contract 7.2).

    """

    path: Path
    value: Any
    certain: bool = True

    def is_in(self, spec: Spec | None) -> bool:
        """Return whether a spec has this value."""
        if spec is None or self.path[0] not in spec:
            return False
        if self.path[-1] == _ITEM:
            items = get_value(spec, self.path[:-1], ())
            return isinstance(items, list) and self.value in items
        return bool(get_value(spec, self.path, ABSENT) == self.value)


@dataclass(frozen=True, slots=True)
class Authorship:
    """The authors of what a request proposes, as far as they are known.

    Attributes:
        authors: authors of values that it certainly changes.
        doubtful: authors of values that it may not change, and possible authors if the history
            fits more than one commit.
        commits: the commits of `authors`.
        unknown: why an author cannot be known; empty if all are known.
        mailmap: whether `.mailmap` differs from the one at the base.

    """

    authors: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    commits: frozenset[str] = frozenset()
    unknown: str = ""
    mailmap: bool = False


def list_proposed_values(
    request: ChangeRequest, proposed: Spec, before: Spec | None
) -> tuple[ProposedValue, ...]:
    """Return the values that a request proposes.

    Args:
        request: the request.
        proposed: the spec that it would write, in the language of the files.
        before: the declared spec when everything was last applied; None if it is not known.

    """
    positions = dict(_list_positions(request.payload.get("intent") or {}))
    proposed_values: list[ProposedValue] = []
    for name, value in proposed.items():
        leaves = list(
            _list_changed_values((name,), value, before, creates=request.resource_id is None)
        )
        if name != "filters" or request.resource_id is None:
            proposed_values.extend(leaves)
            continue
        named = {path for path, is_changed in positions.items() if is_changed}
        proposed_values.extend(
            ProposedValue(path, get_value(proposed, path, ABSENT)) for path in named
        )
        if before is not None:
            others = (leaf for leaf in leaves if leaf.path not in positions)
            proposed_values.extend(
                ProposedValue(leaf.path, leaf.value, certain=False) for leaf in others
            )
    return tuple(proposed_values)


def _list_positions(intent: Mapping[str, Any]) -> Iterator[tuple[Path, bool]]:
    """Yield the positions that an approval is about, and whether the request changes each."""
    sides = []
    for side in ("current_state", "gated_changes"):
        rows = (intent.get(side) or {}).get("rollout_percentage") or ()
        valid = (row for row in rows if isinstance(row, Mapping) and "path" in row)
        sides.append({str(row["path"]): row.get("value") for row in valid})
    before, after = sides
    for path in {**before, **after}:
        yield parse_path(f"filters.{path}"), before.get(path, ABSENT) != after.get(path, ABSENT)


def _list_changed_values(
    path: Path, value: Any, before: Spec | None, *, creates: bool
) -> Iterator[ProposedValue]:
    """Yield the values that differ from what was declared before; all if nothing differs."""
    leaves = list(_flatten(path, value))
    if before is None or creates:
        yield from leaves
        return
    old = before.get(str(path[0]), ABSENT)
    old_leaves = list(_flatten(path, old)) if old is not ABSENT else []
    changed = [leaf for leaf in leaves if leaf not in old_leaves]
    paths = {leaf.path for leaf in leaves}
    changed += [ProposedValue(leaf.path, ABSENT) for leaf in old_leaves if leaf.path not in paths]
    yield from changed or leaves


def _flatten(path: Path, value: Any) -> Iterator[ProposedValue]:
    """Yield every value below a path; of a list also its items, at any position."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flatten((*path, name), inner)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield ProposedValue((*path, _ITEM), item)
            if isinstance(item, Mapping | list):
                yield from _flatten((*path, index), item)
    else:
        yield ProposedValue(path, value)


def find_self_approvers(request: ChangeRequest, authors: Collection[str]) -> tuple[str, ...]:
    """Return the people who approved a request and wrote what it proposes, in order of votes."""
    folded_authors = {email.casefold() for email in authors}
    approved_by = dict.fromkeys(vote.person for vote in request.votes if vote.approved)
    return tuple(person for person in approved_by if person.casefold() in folded_authors)


def find_unknown_authors(authors: Collection[str], people: Mapping[str, Person]) -> tuple[str, ...]:
    """Return the authors without a known address; nobody if no addresses are known."""
    if not people:
        return ()
    folded_people = {email.casefold() for email in people}
    return tuple(email for email in authors if email.casefold() not in folded_people)


def describe_self_approval(
    request: ChangeRequest, written: Authorship, people: Mapping[str, Person]
) -> str:
    """Return a sentence about approvals by the author of a request; empty if there are none."""
    if approvers := find_self_approvers(request, written.authors):
        return f"approved by its own author: {', '.join(approvers)}"
    if doubt := _explain_doubt(request, written, people):
        return f"it is not known whether its author approved it: {doubt}"
    return ""


def _explain_doubt(
    request: ChangeRequest, written: Authorship, people: Mapping[str, Person]
) -> str:
    """Return why it is not known whether an author approved a request; empty if it is."""
    if possible := find_self_approvers(request, written.doubtful):
        return f"{', '.join(possible)} may have written it, or a part of it"
    if unknown_authors := find_unknown_authors(written.authors, people):
        return f"nobody in {request.organization} has the address {', '.join(unknown_authors)}"
    return written.unknown


def find_self_approvals(
    request: ChangeRequest,
    written: Authorship,
    people: Mapping[str, Person],
    *,
    address: Address,
    source: Source | None,
) -> Iterator[Finding]:
    """Yield a finding if an author approved a request, or may have."""
    if not any(vote.approved for vote in request.votes):
        return
    mailmap_note = "; .mailmap was changed and counts once it is applied" if written.mailmap else ""
    if approvers := find_self_approvers(request, written.authors):
        reason = f"it was filed by {request.requester or 'another user'}, so PostHog saw two people"
        yield Finding(
            APPROVED_BY_AUTHOR,
            Severity.WARNING,
            f"{address}: change request {request.id} was approved by its own author: "
            f"{', '.join(approvers)}",
            why=f"{reason}{mailmap_note}",
            fix="have somebody else review it; a required review in git prevents this",
            source=source,
            address=address,
        )
    elif doubt := _explain_doubt(request, written, people):
        yield Finding(
            AUTHOR_UNKNOWN,
            Severity.NOTICE,
            f"{address}: it is not known whether change request {request.id} was approved by its "
            "own author",
            why=f"{doubt}{mailmap_note}",
            fix="compare its approvers with git log; .mailmap says whose an address is",
            source=source,
            address=address,
        )
