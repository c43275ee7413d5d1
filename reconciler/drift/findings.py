"""Build the findings about a drift report as a whole: gaps, filters, holds that ended."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from reconciler.model import Finding, Gap, Hold, Severity


def report_gap(gap: Gap) -> Finding:
    """Report that attribution is incomplete: drift itself is found without the log."""
    message = f"some drift cannot be attributed: {gap.what}"
    return Finding("attribution-incomplete", Severity.WARNING, message, gap.why, gap.fix)


def report_older(number: int, since: datetime | None) -> Iterator[Finding]:
    """Report how much `--since` left out."""
    if number and since is not None:
        noun = "field or object" if number == 1 else "fields or objects"
        message = f"{number:,} {noun} drifted before {since:%Y-%m-%d %H:%M} UTC; not shown"
        yield Finding("drift-older", Severity.NOTICE, message, fix="run it without --since")


def report_others(number: int) -> Iterator[Finding]:
    """Report how much `--only` left out."""
    if number:
        noun = "field or object" if number == 1 else "fields or objects"
        message = f"{number:,} {noun} drifted in another way; not shown"
        yield Finding("drift-left-out", Severity.NOTICE, message, fix="run it without --only")


def report_ended_holds(holds: Iterable[Hold], now: datetime) -> Iterator[Finding]:
    """Report holds that have ended: somebody has to decide, or to remove the line."""
    for hold in holds:
        if hold.until <= now:
            yield Finding(
                "hold-over",
                Severity.WARNING,
                f"the hold of {hold.address} ended on {hold.written}: its drift fails again",
                why=f"it was held because: {hold.reason}",
                fix="revert the drift or adopt it, then remove the hold; or give it a later date",
                source=hold.source,
            )
