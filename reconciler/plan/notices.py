"""What the plan has to say besides its changes: gaps in what was read, fields nobody manages."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import (
    USER,
    Action,
    Address,
    Change,
    Declared,
    Finding,
    Kind,
    Live,
    Severity,
    Spec,
    moving,
)
from reconciler.plan.approvals import forecast

_GATE: Final = frozenset({"ApprovalPolicy", "ChangeRequest"})


def unreadable(desired: Declared, base: Declared | None, live: Live) -> Iterator[Finding]:
    """One error for each scope that could not be read and that the files speak of, or spoke of."""
    spoken: dict[tuple[str, tuple[str, ...]], list[Address]] = defaultdict(list)
    declared = {**(base.resources if base is not None else {}), **desired.resources}
    for address in declared:
        spoken[address.kind, address.parts[:-1]].append(address)
    off = set[str]()
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
        addresses = spoken.get((gap.kind, gap.scope))
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
            if gap.scope[0] not in off:
                yield _off(gap.scope[0])
            off.add(gap.scope[0])
        elif gap.kind in _GATE:
            yield Finding(
                code="gate-unknown",
                severity=Severity.WARNING,
                message=f"{gap.kind} of {where} cannot be read: what will wait for approval "
                "cannot be told",
                why=gap.reason,
                fix=gap.fix,
            )


def _off(organization: str) -> Finding:
    """Policies that cannot be read and would gate nothing: there is no doubt what waits."""
    return Finding(
        code=forecast.OFF,
        severity=Severity.NOTICE,
        message=f"nothing waits for approval in {organization}: it lacks the feature `approvals`",
        why="PostHog then shows no policies, and skips them silently",
    )


def unmanaged_fields(changes: tuple[Change, ...]) -> Iterator[Finding]:
    """Live values that change behaviour, differ from the default, and are written in no file."""
    for change in changes:
        there = change.before
        if there is None or change.desired is None or change.action is Action.DELETE:
            continue
        kind = KINDS[change.address.kind]
        for path in _extra(change.desired.spec, there.spec, kind):
            yield Finding(
                code="unmanaged-field",
                severity=Severity.NOTICE,
                message=f"{change.address}: {path} is set in PostHog and written in no file",
                source=change.source,
                address=change.address,
            )


def dropped_keys(changes: tuple[Change, ...]) -> Iterator[Finding]:
    """Yield what PostHog removes from a live object as soon as anything of it is written."""
    for change in changes:
        there = change.before
        if there is None or change.action is not Action.UPDATE:
            continue
        if paths := KINDS[change.address.kind].dropped(there.payload, moving(change)):
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


def _usual(defaults: Mapping[str, Any], name: str, value: Any) -> bool:
    """Whether a live value is what the server takes anyway: off, empty and unset are one."""
    return name not in defaults or defaults[name] == value or not (defaults[name] or value)


def _extra(desired: Spec, live: Spec, kind: Kind) -> Iterator[str]:
    """Top-level fields, and keys of written mappings, that only the live side has."""
    for name, value in live.items():
        if name not in desired:
            if not _usual(kind.defaults, name, value):
                yield name
        elif value.__class__ is dict and name not in kind.atomic:
            written = desired[name]
            if not isinstance(written, dict) or written.keys() >= value.keys():
                continue
            for key, inner in value.items():
                if key not in written and inner not in (None, {}, [], ""):
                    yield f"{name}.{key}"
