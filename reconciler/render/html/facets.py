"""What the script filters by: names of verdicts, and links that choose values of facets."""

from typing import Final
from urllib.parse import urlencode

from reconciler.model import Verdict
from reconciler.render.shared import sanitize

GATES: Final = {
    Verdict.NONE: "no approval expected",
    Verdict.APPROVAL: "needs approval",
    Verdict.PENDING: "request is open",
    Verdict.BYPASS: "bypasses approval",
    Verdict.BLOCKED: "blocked by a request",
    Verdict.REJECTED: "rejected before",
}


def make_query(**chosen: str) -> str:
    """Return the filter `gate=approval&kind=Role`, which the script reads from the address."""
    return urlencode({name: sanitize.escape(value) for name, value in chosen.items()})
