"""Say what PostHog writes together with a change: flags with their holdout (contract 16)."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from reconciler.kinds import KINDS
from reconciler.model import (
    Change,
    ChangeRequest,
    Finding,
    Live,
    Rewrites,
    RewrittenObject,
    Severity,
    Unreadable,
)
from reconciler.plan.approvals import messages, staleness, write_gates
from reconciler.plan.diff.references import NOUNS

_Place = tuple[str, tuple[str, ...]]  # kind and scope


def list_rewriting(changes: Collection[Change]) -> frozenset[_Place]:
    """Return the collections with a change that makes PostHog write objects of another kind."""
    return frozenset(
        (change.address.kind, change.address.parts[:-1])
        for change in changes
        if _find_rewrites(change) is not None
    )


def list_rewritten(change: Change, live: Live) -> tuple[RewrittenObject, ...]:
    """Return the objects that PostHog writes together with this change, as far as it was read."""
    if _find_rewrites(change) is None:
        return ()
    place = (change.address.kind, change.address.parts[:-1], change.live_id or "")
    return live.rewritten.get(place, ())


def _find_rewrites(change: Change) -> Rewrites | None:
    rewrites = KINDS[change.address.kind].rewrites
    return rewrites if rewrites is not None and write_gates.match_write(change) else None


def add_warnings(changes: tuple[Change, ...], live: Live) -> tuple[Change, ...]:
    """Return each change with warnings about what it rewrites and which requests that ends."""
    if not live.rewritten:
        return changes
    requests = _index_requests(live)
    return tuple(
        replace(change, warnings=(*change.warnings, *_list_warnings(change, live, requests)))
        for change in changes
    )


def _index_requests(live: Live) -> Mapping[tuple[_Place, str], list[ChangeRequest]]:
    """Return the open change requests by the ids and names of their objects."""
    index: dict[tuple[_Place, str], list[ChangeRequest]] = defaultdict(list)
    for request in live.change_requests:
        place = (request.kind, (request.organization, request.project))
        for name in dict.fromkeys((request.resource_id, request.name)):
            if name:
                index[place, name].append(request)
    return index


def _list_warnings(
    change: Change, live: Live, requests: Mapping[tuple[_Place, str], list[ChangeRequest]]
) -> Iterator[Finding]:
    rewrites, rewritten = _find_rewrites(change), list_rewritten(change, live)
    if rewrites is None or not rewritten:
        return
    names = sorted({each.address.name for each in rewritten})
    noun = NOUNS[rewrites.kind] + ("" if len(names) == 1 else "s")
    yield Finding(
        code="rewrites",
        severity=Severity.WARNING,
        message=f"{change.address}: this also writes {rewrites.field} of the {noun} "
        f"{', '.join(names)}",
        why="PostHog does it in the same step, and asks no policy about these flags",
        source=change.source,
        address=change.address,
    )
    ended = {
        request.id: request
        for each in rewritten
        for request in requests.get(
            ((each.address.kind, each.address.parts[:-1]), each.id or each.address.name), ()
        )
        if not staleness.is_stale(request, None)
    }
    if ended:
        many = "an open change request" if len(ended) == 1 else f"{len(ended)} open change requests"
        yield Finding(
            code="ends-requests",
            severity=Severity.WARNING,
            message=f"{change.address}: this ends {many} for the {noun} above",
            why="; ".join(
                f"{request.name}: {messages.describe_request(request, stale=False)}"
                for _, request in sorted(ended.items())
            ),
            fix="have them decided first, or file them again afterwards",
            source=change.source,
            address=change.address,
        )


def find_unreadable(changes: tuple[Change, ...], live: Live) -> Iterator[Finding]:
    """Yield an error for each change if it cannot be read what it rewrites."""
    closed = {(gap.kind, gap.scope): gap for gap in live.unreadable}
    for change in changes:
        rewrites = _find_rewrites(change)
        gap = closed.get((rewrites.through, change.address.parts[:-1])) if rewrites else None
        if rewrites is not None and gap is not None:
            yield _report_unreadable(change, rewrites, gap)


def _report_unreadable(change: Change, rewrites: Rewrites, gap: Unreadable) -> Finding:
    scope = "/".join(gap.scope)
    return Finding(
        code="unreadable-rewrites",
        severity=Severity.ERROR,
        message=f"{change.address}: it is not known which {NOUNS[rewrites.kind]}s this change "
        "writes",
        why=f"the {NOUNS[rewrites.through]}s of {scope} cannot be read: {gap.reason}",
        fix=gap.fix,
        source=change.source,
        address=change.address,
        width=len(change.address.name),
    )
