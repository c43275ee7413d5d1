"""What is worth telling about a drift report as a whole: what could not be read, what is over."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from reconciler.model import Finding, Gap, Hold, Severity


def gap(found: Gap) -> Finding:
    """Who did it is not known: drift itself is found without the log."""
    message = f"who caused drift is not known for all of it: {found.what}"
    return Finding("attribution-incomplete", Severity.WARNING, message, found.why, found.fix)


def older(number: int, since: datetime | None) -> Iterator[Finding]:
    """How much `--since` left out."""
    if number and since is not None:
        noun = "field or object" if number == 1 else "fields or objects"
        message = f"{number:,} {noun} drifted before {since:%Y-%m-%d %H:%M} UTC; left out"
        yield Finding("drift-older", Severity.NOTICE, message, fix="run it without --since")


def others(number: int) -> Iterator[Finding]:
    """How much `--only` left out."""
    if number:
        noun = "field or object" if number == 1 else "fields or objects"
        message = f"{number:,} {noun} drifted in another way; left out"
        yield Finding("drift-left-out", Severity.NOTICE, message, fix="run it without --only")


def over(holds: Iterable[Hold], now: datetime) -> Iterator[Finding]:
    """Holds whose time has come: somebody has to decide, or to remove the line."""
    for one in holds:
        if one.until <= now:
            yield Finding(
                "hold-over",
                Severity.WARNING,
                f"the hold of {one.address} ended on {one.written}: its drift fails again",
                why=f"it was held because: {one.reason}",
                fix="revert the drift or adopt it, then remove the hold; or give it a later date",
                source=one.source,
            )
