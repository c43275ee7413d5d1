"""Findings of a plan besides its changes: gaps in what was read, fields not managed."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import (
    USER,
    Action,
    Address,
    Change,
    Declared,
    Finding,
    Live,
    Severity,
    build_change_spec,
)
from reconciler.plan.approvals import forecast

UNMANAGED_FIELD: Final = "unmanaged-field"
_SCHEDULE: Final = "ScheduledChange"
_NOT_OFFERED: Final = 404
_GATE: Final = frozenset({"ApprovalPolicy", "ChangeRequest"})


def find_unreadable(desired: Declared, base: Declared | None, live: Live) -> Iterator[Finding]:
    """Yield an error for each scope that could not be read and that the files declare."""
    if not live.unreadable:
        return
    declared_in: dict[tuple[str, tuple[str, ...]], list[Address]] = defaultdict(list)
    declared = {**(base.resources if base is not None else {}), **desired.resources}
    for address in declared:
        declared_in[address.kind, address.parts[:-1]].append(address)
    gates_off = set[str]()
    yield from _report_hidden_schedules(live)
    for gap in live.unreadable:
        if gap.kind == USER:
            yield Finding(
                code="gate-unknown",
                severity=Severity.WARNING,
                message="the user of this key cannot be read, so it is not known whether they "
                "bypass policies or may approve",
                why=gap.reason,
                fix=gap.fix,
            )
            continue
        addresses = declared_in.get((gap.kind, gap.scope))
        where = "/".join(gap.scope)
        if addresses:
            yield Finding(
                code="unreadable",
                severity=Severity.ERROR,
                message=f"{gap.kind} of {where} cannot be read, so {len(addresses)} declared "
                f"resource{'s' if len(addresses) > 1 else ''} cannot be compared",
                why=gap.reason,
                fix=gap.fix,
                source=declared[min(addresses)].source,
            )
        elif gap.kind in _GATE and forecast.is_off(live, gap.scope[0]):
            if gap.scope[0] not in gates_off:
                yield _report_gate_off(gap.scope[0])
            gates_off.add(gap.scope[0])
        elif gap.kind in _GATE:
            yield Finding(
                code="gate-unknown",
                severity=Severity.WARNING,
                message=f"{gap.kind} of {where} cannot be read: what will wait for approval "
                "is not known",
                why=gap.reason,
                fix=gap.fix,
            )


def _report_hidden_schedules(live: Live) -> Iterator[Finding]:
    """Report once that scheduled changes cannot be read. A server without them answers 404."""
    gaps = [gap for gap in live.unreadable if gap.kind == _SCHEDULE and gap.status != _NOT_OFFERED]
    if gaps:
        more = f" and {len(gaps) - 1} more projects" if len(gaps) > 1 else ""
        yield Finding(
            code="schedules-unknown",
            severity=Severity.NOTICE,
            message=f"the scheduled changes of flags cannot be read in {'/'.join(gaps[0].scope)}"
            f"{more}, so they are not shown",
            why=gaps[0].reason,
            fix=gaps[0].fix,
        )


def _report_gate_off(organization: str) -> Finding:
    """Report that nothing waits for approval, because the organization lacks the feature."""
    return Finding(
        code=forecast.OFF,
        severity=Severity.NOTICE,
        message=f"nothing waits for approval in {organization}: it lacks the feature `approvals`",
        why="PostHog then shows no policies, and skips them silently",
    )


def find_unmanaged_fields(changes: tuple[Change, ...]) -> Iterator[Finding]:
    """Yield live values that differ from the default and are not declared in any file."""
    for change in changes:
        for path in change.undeclared:
            yield Finding(
                code=UNMANAGED_FIELD,
                severity=Severity.NOTICE,
                message=f"{change.address}: {path} is set in PostHog but not declared",
                source=change.source,
                address=change.address,
            )


def find_dropped_keys(changes: tuple[Change, ...]) -> Iterator[Finding]:
    """Yield what PostHog removes from a live object with the next write to it."""
    for change in changes:
        live = change.before
        if live is None or change.action is not Action.UPDATE:
            continue
        if paths := KINDS[change.address.kind].dropped(live.payload, build_change_spec(change)):
            verb = "is" if len(paths) == 1 else "are"
            yield Finding(
                code="dropped-keys",
                severity=Severity.WARNING,
                message=f"{change.address}: this write makes PostHog remove {' and '.join(paths)}, "
                f"which {verb} set there",
                why="PostHog removes keys of older releases on the next save, and a payload goes "
                "with its variant",
                fix="check in PostHog what they do before you apply: this write ends it",
                source=change.source,
                address=change.address,
            )
