"""What of a saved plan is refused, in words: field, what it was, what it is, who moved it."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from reconciler.model import ABSENT, Address, Change, FieldChange, Finding, Severity
from reconciler.plan.guardrails.checks import STALE
from reconciler.plan.saved.compare import Moved
from reconciler.planfile.codec import plain

Who = Mapping[tuple[Address, str], str]
"""(address, path) -> who moved it, and when; the path is empty for the object as a whole."""

SHOWN: Final = 5  # fields that one message names
_LONGEST: Final = 60  # characters of a value that a message shows
_AGAIN: Final = "make the plan again and look at it"


def moved(found: Iterable[Moved], who: Who) -> Iterator[Finding]:
    """One error for each object that is not what it was."""
    for one in found:
        address = one.change.address
        said = [_field(one, field, who.get((address, field.path), "")) for field in one.fields]
        more = f" and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
        how = "; ".join(said[:SHOWN]) + more
        if one.why:
            by = who.get((address, ""), "")
            how = one.why + (f" ({by})" if by else "") + (f": {how}" if how else "")
        yield Finding(
            code=STALE,
            severity=Severity.ERROR,
            message=f"{address} is not what it was when the plan was made: {how}",
            why="it would overwrite what nobody has looked at",
            fix=_AGAIN,
            source=one.change.source,
            address=address,
        )


def dependants(
    changes: Iterable[Change], planned: Iterable[Change], refused: Collection[Address]
) -> Iterator[Finding]:
    """Refuse what needs one of those: it would be built on something that nobody has looked at.

    What has moved may need another order now; what needed what when the plan was made still does.
    """
    before = {one.address: one.depends_on for one in planned}
    pending = [change for change in changes if change.address not in refused]
    needs = {one.address: (*one.depends_on, *before.get(one.address, ())) for one in pending}
    stopped = set(refused)
    while True:
        more = [one for one in pending if not stopped.isdisjoint(needs[one.address])]
        if not more:
            return
        for change in more:
            needed = next(other for other in needs[change.address] if other in stopped)
            yield Finding(
                code=STALE,
                severity=Severity.ERROR,
                message=f"{change.address} needs {needed}, which is refused",
                why="what it depends on is not what it was when the plan was made",
                fix=_AGAIN,
                source=change.source,
                address=change.address,
            )
        stopped |= {one.address for one in more}
        pending = [one for one in pending if one.address not in stopped]


def _field(one: Moved, field: FieldChange, who: str) -> str:
    by = f" by {who}" if who else ""
    if one.why:  # it should not be there: two sides, none of which came first
        return f"{field.path} is {_value(field.live)}, not {_value(field.desired)}{by}"
    return f"{field.path} went from {_value(field.desired)} to {_value(field.live)}{by}"


def _value(value: Any) -> str:
    if value is ABSENT:
        return "nothing"
    text = json.dumps(plain(value), ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
