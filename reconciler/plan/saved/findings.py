"""Report what is refused of a saved plan: the field, its old and new value, and who changed it."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from reconciler.model import ABSENT, Address, Change, FieldChange, Finding, Severity
from reconciler.plan.guardrails.checks import STALE
from reconciler.plan.saved.compare import ChangedObject
from reconciler.planfile.codec import make_plain

Who = Mapping[tuple[Address, str], str]
"""(address, path) -> who changed it, and when; the path is empty for the object as a whole."""

SHOWN: Final = 5  # fields that one message names
_LONGEST: Final = 60  # characters of a value that a message shows
_AGAIN: Final = "make the plan again and look at it"


def report_changed_objects(changed_objects: Iterable[ChangedObject], who: Who) -> Iterator[Finding]:
    """Yield an error for each object that has changed since the plan was made."""
    for changed in changed_objects:
        address = changed.change.address
        texts = [
            _describe_field(changed, field, who.get((address, field.path), ""))
            for field in changed.fields
        ]
        more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
        detail = "; ".join(texts[:SHOWN]) + more
        if changed.why:
            author = who.get((address, ""), "")
            detail = (
                changed.why + (f" ({author})" if author else "") + (f": {detail}" if detail else "")
            )
        yield Finding(
            code=STALE,
            severity=Severity.ERROR,
            message=f"{address} changed after the plan was made: {detail}",
            why="apply would overwrite a change that nobody has reviewed",
            fix=_AGAIN,
            source=changed.change.source,
            address=address,
        )


def report_dependants(
    changes: Iterable[Change], planned: Iterable[Change], refused: Collection[Address]
) -> Iterator[Finding]:
    """Refuse changes that need a refused one: they would depend on an unreviewed state.

    Both the present dependencies and those of the plan count.
    """
    planned_needs = {change.address: change.depends_on for change in planned}
    pending = [change for change in changes if change.address not in refused]
    needs = {
        change.address: (*change.depends_on, *planned_needs.get(change.address, ()))
        for change in pending
    }
    stopped_addresses = set(refused)
    while True:
        blocked = [
            change for change in pending if not stopped_addresses.isdisjoint(needs[change.address])
        ]
        if not blocked:
            return
        for change in blocked:
            refused_need = next(need for need in needs[change.address] if need in stopped_addresses)
            yield Finding(
                code=STALE,
                severity=Severity.ERROR,
                message=f"{change.address} needs {refused_need}, which is refused",
                why="what it depends on changed after the plan was made",
                fix=_AGAIN,
                source=change.source,
                address=change.address,
            )
        stopped_addresses |= {change.address for change in blocked}
        pending = [change for change in pending if change.address not in stopped_addresses]


def _describe_field(changed: ChangedObject, field: FieldChange, who: str) -> str:
    suffix = f" by {who}" if who else ""
    live, former = _format_value(field.live), _format_value(field.desired)
    if changed.why:  # the object should not exist: neither side is the older one
        return f"{field.path} is {live}, not {former}{suffix}"
    return f"{field.path} changed from {former} to {live}{suffix}"


def _format_value(value: Any) -> str:
    if value is ABSENT:
        return "nothing"
    text = json.dumps(make_plain(value), ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
