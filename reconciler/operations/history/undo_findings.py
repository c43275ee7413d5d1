"""Report what an undo leaves as it is, and which requests of the run are still open."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from reconciler.kinds import KINDS
from reconciler.model import (
    ABSENT,
    Action,
    Address,
    Cause,
    ChangeRequest,
    Finding,
    LiveResource,
    Plan,
    Resource,
    Severity,
    get_value,
    parse_path,
    shorten_commit,
)
from reconciler.operations.history.previous_values import PreviousValues
from reconciler.operations.history.runs import AppliedRun, RunSource
from reconciler.operations.history.undone import UndoInputs
from reconciler.operations.plan import World
from reconciler.plan import notices
from reconciler.plan.approvals.messages import format_value
from reconciler.plan.diff import references, values
from reconciler.plan.guardrails import checks
from reconciler.plan.reversal.files import Reverted, RevertedFiles
from reconciler.posthog.change_requests import OPEN

UNKNOWN = "undo-unknown-value"
NEVER_LIVE = "undo-never-live"
UNCONFIRMED = "undo-unconfirmed-value"
HIDDEN = "undo-hidden-value"
SUPERSEDED = "undo-superseded"
NOT_CREATED = "undo-not-created"
STILL_WAITS = "undo-request-open"
PARTS_UNKNOWN = "undo-run-unknown"


def reword_conflicts(planned: Plan) -> Iterator[Finding]:
    """Yield the findings of a plan; conflicts in the words of an undo."""
    changes = {change.address: change for change in planned.changes}
    for finding in planned.findings:
        if finding.code == notices.UNMANAGED_FIELD:  # only what the run wrote matters
            continue
        change = changes.get(finding.address) if finding.address is not None else None
        if finding.code != checks.CONFLICT or change is None:
            yield finding
            continue
        paths = ", ".join(edit.path for edit in change.fields if edit.cause is Cause.CONFLICT)
        since = {
            Action.CREATE: "was deleted since the run that changed it",
            Action.DELETE: f"was created by the run, and has changed since: {paths}",
        }
        yield replace(
            finding,
            message=f"{finding.address} {since[change.action]}"
            if change.action in since
            else f"{finding.address}: {paths} changed again since the run",
            why="undo never overwrites a later change",
            fix="--prefer live keeps what is live, and reverts the other fields; --continue "
            "reverts the other resources",
        )


def find_notices(
    given: UndoInputs,
    files: RevertedFiles,
    planned: Plan,
    world: World,
    kept: Collection[Address],
) -> Iterator[Finding]:
    """Yield what the plan does not show by itself."""
    for undone in given.runs:
        yield from _describe_run(undone.run)
    for address in files.superseded:
        yield Finding(
            SUPERSEDED,
            Severity.NOTICE,
            f"{address} is left as it is: a later commit removed it, or declares it again",
            "the later commit decides about it",
            address=address,
        )
    for address in sorted(kept):
        yield Finding(
            NOT_CREATED,
            Severity.WARNING,
            f"{address} is not deleted: nothing says that the run created it",
            "no journal and no entry of the activity log does; the files may have begun to "
            "describe an object that was there before",
            "to delete it, declare it with `lifecycle: {state: absent}`",
            address=address,
        )
    base = references.respell_references(files.base, world.live, world.desired).resources
    for address, reverted in sorted(files.resources.items()):
        live = _find_live(world, address, reverted)
        if live is not None and reverted.after is not None and reverted.before is not None:
            after = base.get(reverted.after.address, reverted.after)
            yield from _find_unknown(replace(reverted, after=after), address, live)
    yield from _find_open_requests(files, planned, world)


def _describe_run(run: AppliedRun) -> Iterator[Finding]:
    commit = shorten_commit(run.after)
    if run.source is RunSource.GIT:
        parent = f"an earlier commit, {shorten_commit(run.before)}" if run.before else "nothing"
        yield Finding(
            PARTS_UNKNOWN,
            Severity.NOTICE,
            f"commit {commit} is compared with {parent}: this clone does not know which commits "
            "were applied together with it",
            "the moves of the applied ref and the journals are known only where apply ran",
            "name the other commits as well to undo them",
        )
    if not run.is_applied:
        yield Finding(
            PARTS_UNKNOWN,
            Severity.NOTICE,
            f"no clean apply of {commit} is recorded: only its changes that are live are reverted",
            "the run may have waited for approval, or may have been interrupted",
        )


def describe_doubts(given: UndoInputs, previous: PreviousValues) -> Iterator[Finding]:
    """Yield warnings of previous values that were never live, or may not have been."""
    commit = shorten_commit(given.runs[-1].run.before or "")
    for address, fields in sorted(previous.contradicted.items()):
        statements = ", ".join(
            f"{path} was created with the value that it has"
            if value is ABSENT
            else f"{path} was {format_value(value)}"
            for path, value in sorted(fields.items())
        )
        yield Finding(
            NEVER_LIVE,
            Severity.WARNING,
            f"{address}: {', '.join(sorted(fields))} stays as it is: what the files at {commit} "
            "declare was not live before its last change",
            f"the activity log says otherwise: {statements}",
            "declare the value that you want, and apply the files",
            address=address,
        )
    for address, paths in sorted(previous.unconfirmed.items()):
        yield Finding(
            UNCONFIRMED,
            Severity.WARNING,
            f"{address}: nothing confirms that {', '.join(paths)} was live as planned before the "
            "run",
            f"the value is what the files at {commit} declare; no applied ref names this commit, "
            "and the activity log does not have the change",
            "compare the plan with what you know, before you apply it",
            address=address,
        )


def _find_live(world: World, address: Address, reverted: Reverted) -> LiveResource | None:
    names = [address, *([reverted.after.address] if reverted.after is not None else [])]
    candidates = (world.live.resources.get(name) for name in names)
    return next((live for live in candidates if live is not None), None)


def _find_unknown(reverted: Reverted, address: Address, live: LiveResource) -> Iterator[Finding]:
    """Yield the fields with an unknown previous value that are as the run left them."""
    after, before = reverted.after, reverted.before
    assert after is not None and before is not None  # noqa: S101, PT018  the caller looked
    hidden = [
        path
        for path in KINDS[address.kind].hidden(live.payload)
        if get_value(after.spec, parse_path(path), ABSENT)
        != get_value(before.spec, parse_path(path), ABSENT)
    ]
    if hidden:
        yield Finding(
            HIDDEN,
            Severity.WARNING,
            f"{address}: {', '.join(hidden)} is not reverted",
            "PostHog does not show encrypted payloads, so nobody can know whether they have "
            "changed since",
            "restore the payload in the files, and apply it",
            address=address,
        )
    paths = [
        path
        for path in reverted.unknown
        if path not in hidden and _is_as_declared(live, after, path)
    ]
    if paths:
        yield Finding(
            UNKNOWN,
            Severity.WARNING,
            f"{address}: {', '.join(paths)} stays as it is",
            "the files did not declare it before the run, so git does not know its previous value",
            "`reconciler activity list` shows who changed it, and from what",
            address=address,
        )


def _is_as_declared(live: LiveResource, resource: Resource, path: str) -> bool:
    """Return whether a live field has the value that a declaration gives it."""
    present, declared = (
        get_value(spec, parse_path(path), ABSENT) for spec in (live.spec, resource.spec)
    )
    return values.is_same(values.select_managed(present, declared), declared)


def _find_open_requests(files: RevertedFiles, planned: Plan, world: World) -> Iterator[Finding]:
    """Yield the open change requests about what is reverted, unless the plan replaces them."""
    names = {
        name: address
        for address, reverted in files.resources.items()
        for name in (address, reverted.after.address if reverted.after is not None else address)
    }
    moving = {
        change.gate.change_request
        for change in planned.changes
        if change.action is not Action.NONE and change.gate.change_request is not None
    }
    for request in world.live.change_requests:
        if request.address in names and request.state in OPEN and request.id not in moving:
            yield _describe_request(request, names[request.address])


def _describe_request(request: ChangeRequest, address: Address) -> Finding:
    return Finding(
        STILL_WAITS,
        Severity.WARNING,
        f"{address}: change request {request.id} still waits, and is applied once it is approved",
        f"{request.requester or 'somebody'} filed it ({request.action_key}); nothing has changed "
        "yet, so there is nothing to revert",
        f"to cancel it: reconciler requests cancel {request.id}",
        address=address,
    )
