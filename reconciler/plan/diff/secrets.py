"""Hide values that PostHog keeps encrypted, in the live state and in the files.

Plans are printed, saved and attached to builds. `apply` still sends the hidden values: it takes
them from the files.
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
    Resource,
    Spec,
    parse_path,
    put_back,
)
from reconciler.normal_form.encrypted_payloads import reveal

SHOWN: Final = "(encrypted)"


def is_covered(hidden: Iterable[str], path: str) -> bool:
    """Return whether a path is one of the hidden ones, or below one."""
    return any(path == top or path.startswith((f"{top}.", f"{top}[")) for top in hidden)


def remove_hidden(live: LiveResource) -> Spec:
    """Return the spec of a live object without what the API hides."""
    spec: Spec = live.spec
    for path in KINDS[live.address.kind].hidden(live.payload):
        spec = put_back(spec, {}, parse_path(path))
    return spec


def find_hidden_paths(change: Change) -> tuple[str, ...]:
    """Return the paths that are hidden in the live object or in the files."""
    hides = KINDS[change.address.kind].hidden
    desired = hides(change.desired.spec) if change.desired is not None else ()
    live = hides(change.before.payload) if change.before is not None else ()
    return tuple(sorted({*desired, *live}))


def mask_changes(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return the changes with their hidden values replaced by a word: few have any."""
    return tuple([mask_hidden(c) if c.fields or c.scheduled else c for c in changes])


def mask_hidden(change: Change) -> Change:
    """Return the change with its hidden values replaced by a word."""
    hidden = find_hidden_paths(change) if change.fields or change.scheduled else ()
    if not hidden:
        return _reveal_schedules(change)
    return replace(
        change,
        fields=tuple(_mask_field(field, hidden) for field in change.fields),
        scheduled=tuple(
            replace(scheduled, value=_mask_at(scheduled.value, ("payloads",)), writes={})
            for scheduled in change.scheduled
        ),
    )


def _reveal_schedules(change: Change) -> Change:
    """Return the change with the payloads in its schedules: the live flag does not encrypt any."""
    if not change.scheduled or change.before is None:
        return change
    shown = (replace(each, value=reveal(each.value)) for each in change.scheduled)
    return replace(change, scheduled=tuple(shown))


def list_hidden(resource: Resource) -> tuple[str, ...]:
    """Return the paths that a document hides."""
    return KINDS[resource.address.kind].hidden(resource.spec)


def mask_base(base: Resource, path: str, value: Any) -> Any:
    """Return a value of the base without what was hidden then: it may not be hidden any more."""
    return _mask_value(value, path, list_hidden(base))


def _mask_field(field: FieldChange, hidden: Iterable[str]) -> FieldChange:
    base, live, desired = (
        _mask_value(value, field.path, hidden) for value in (field.base, field.live, field.desired)
    )
    return replace(field, base=base, live=live, desired=desired)


def _mask_value(value: Any, field: str, hidden: Iterable[str]) -> Any:
    """Return the value of a field with its hidden parts replaced by the word."""
    for path in hidden:
        if is_covered((path,), field):
            value = _mask_at(value, ())
        elif is_covered((field,), path):
            value = _mask_at(value, parse_path(path)[len(parse_path(field)) :])
    return value


def _mask_at(value: Any, steps: Path) -> Any:
    """Return a copy in which the value at a path is replaced by the word."""
    if not steps:
        return value if value is ABSENT else SHOWN
    if not isinstance(value, dict) or steps[0] not in value:
        return value
    return {**value, steps[0]: _mask_at(value[steps[0]], steps[1:])}
