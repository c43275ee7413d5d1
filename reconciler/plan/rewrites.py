"""Say what PostHog writes together with a change: flags with their holdout (contract 16).

Such a write ends the change requests of these flags. So it goes before gated changes of the flags;
if it has to wait for approval itself, the plan warns of the requests that it will end.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from reconciler.kinds import KINDS, READ
from reconciler.model import (
    Address,
    Change,
    ChangeRequest,
    Confidence,
    Finding,
    Live,
    RequestPlan,
    Rewrites,
    RewrittenObject,
    Severity,
    Unreadable,
    Verdict,
    iterate_values,
    select_written,
)
from reconciler.plan.approvals import messages, staleness, write_gates

_Place = tuple[str, tuple[str, ...]]  # kind and scope
_ByName = Mapping[Address | tuple[str, str | None], Change]
_WRITTEN: Final = frozenset({Verdict.NONE, Verdict.BYPASS})


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
    index = _index_changes(select_written(changes))
    declared = _index_changes(changes)
    return tuple(
        replace(
            change,
            warnings=(
                *change.warnings,
                *_list_warnings(change, live, requests),
                *_list_later_warnings(change, live, index),
                *_list_contradictions(change, live, declared),
            ),
        )
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
    noun = READ[rewrites.kind].noun + ("" if len(names) == 1 else "s")
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


def add_needs(
    moving: Mapping[Address, Change], needs: Mapping[Address, set[Address]], live: Live
) -> None:
    """Let changes that may file a request wait for what would end it by being written later.

    What waits for approval itself holds nothing back: nobody knows for how long.
    """
    first = [c for c in moving.values() if c.gate.verdict in _WRITTEN and list_rewritten(c, live)]
    if not first:
        return
    index = _index_changes(moving.values())
    for change in first:
        for other in _find_changes(list_rewritten(change, live), index):
            if _may_file(other):
                needs[other.address].add(change.address)


def _index_changes(changes: Iterable[Change]) -> _ByName:
    """Return the changes by their addresses, and by kind and live id."""
    index: dict[Address | tuple[str, str | None], Change] = {}
    for change in changes:
        index[change.address] = index[change.address.kind, change.live_id] = change
    return index


def _find_changes(rewritten: Iterable[RewrittenObject], index: _ByName) -> Iterator[Change]:
    """Yield the changes of these objects, each once."""
    changes = [index.get((o.address.kind, o.id or None), index.get(o.address)) for o in rewritten]
    yield from {change.address: change for change in changes if change is not None}.values()


def _files(change: Change) -> bool:
    """Return whether the run will file a change request for a change."""
    gate = change.gate
    if gate.request_plan is RequestPlan.REPLACE_AND_WAIT:
        return True
    return gate.waits and gate.verdict is not Verdict.PENDING


def _may_file(change: Change) -> bool:
    """Return whether the run may file a change request for a change."""
    unsure = change.gate.confidence is not Confidence.CERTAIN
    return _files(change) or (unsure and change.gate.verdict in {Verdict.NONE, Verdict.SPLIT})


def is_cleared(kind: str) -> bool:
    """Return whether PostHog removes references to objects of a kind when it deletes them."""
    return kind in KINDS and KINDS[kind].rewrites is not None


def _list_later_warnings(change: Change, live: Live, index: _ByName) -> Iterator[Finding]:
    """Warn of requests that this run files, if what ends them waits for approval itself."""
    if change.gate.verdict in _WRITTEN or not (rewritten := list_rewritten(change, live)):
        return
    names = sorted(o.address.name for o in _find_changes(rewritten, index) if _files(o))
    if names:
        many = "request" if len(names) == 1 else "requests"
        yield Finding(
            code="ends-requests",
            severity=Severity.WARNING,
            message=f"{change.address}: once approved, this ends the change {many} that this run "
            f"files for {', '.join(names)}",
            why="PostHog then writes these flags, and a request is for the version that it saw",
            fix="have these flags decided first; otherwise run apply again afterwards",
            source=change.source,
            address=change.address,
        )


def _list_contradictions(change: Change, live: Live, declared: _ByName) -> Iterator[Finding]:
    """Warn of files that give the rewritten objects another value than PostHog copies to them."""
    rewrites = _find_rewrites(change)
    if rewrites is None or change.desired is None:
        return
    source, copy = rewrites.copied
    value = change.desired.spec.get(source)
    names = sorted(
        other.address.name
        for other in _find_changes(list_rewritten(change, live), declared)
        if other.desired is not None
        and any(given != value for _, given in iterate_values(other.desired.spec, copy))
    )
    if names:
        yield Finding(
            code="rewrites-differ",
            severity=Severity.WARNING,
            message=f"{change.address}: the files give another {copy} to {', '.join(names)}",
            why="PostHog copies the value with this change, so the next plan sets it back",
            fix="write the same value in both places, or leave it out of the flags",
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
        message=f"{change.address}: it is not known which {READ[rewrites.kind].noun}s this change "
        "writes",
        why=f"the {READ[rewrites.through].noun}s of {scope} cannot be read: {gap.reason}",
        fix=gap.fix,
        source=change.source,
        address=change.address,
        width=len(change.address.name),
    )
