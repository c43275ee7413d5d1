"""What a plan may not show: values that PostHog keeps encrypted, live or as the files want them.

Plans are printed, saved and attached to builds. What is hidden here is still sent by `apply`, which
takes it from the files.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from reconciler.kinds import KINDS
from reconciler.model import (
    ABSENT,
    Change,
    FieldChange,
    LiveResource,
    Path,
    Spec,
    parse_path,
    put_back,
)

SHOWN: Final = "(encrypted)"


def covers(hidden: Iterable[str], path: str) -> bool:
    """Whether a path is one of those, or below one."""
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in hidden)


def without(live: LiveResource) -> Spec:
    """The spec of a live object without what the API hides."""
    spec: Spec = live.spec
    for path in KINDS[live.address.kind].hidden(live.payload):
        spec = put_back(spec, {}, parse_path(path))
    return spec


def of(change: Change) -> tuple[str, ...]:
    """Paths that are hidden as things are, or will be."""
    hides = KINDS[change.address.kind].hidden
    wanted = hides(change.desired.spec) if change.desired is not None else ()
    there = hides(change.before.payload) if change.before is not None else ()
    return tuple(sorted({*wanted, *there}))


def veiled(change: Change) -> Change:
    """The change with its hidden values replaced by a word."""
    hidden = of(change) if change.fields else ()
    if not hidden:
        return change
    return replace(change, fields=tuple(_veiled(one, hidden) for one in change.fields))


def _veiled(one: FieldChange, hidden: Iterable[str]) -> FieldChange:
    mine = parse_path(one.path)
    for path in hidden:
        if covers((path,), one.path):
            steps: Path | None = ()
        else:
            steps = parse_path(path)[len(mine) :] if covers((one.path,), path) else None
        if steps is not None:
            base, live = _blanked(one.base, steps), _blanked(one.live, steps)
            one = replace(one, base=base, live=live, desired=_blanked(one.desired, steps))
    return one


def _blanked(value: Any, steps: Path) -> Any:
    """A copy in which what stands at a place is the word."""
    if not steps:
        return value if value is ABSENT else SHOWN
    if not isinstance(value, dict) or steps[0] not in value:
        return value
    return {**value, steps[0]: _blanked(value[steps[0]], steps[1:])}
