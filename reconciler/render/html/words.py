"""The verdicts of gates in words of readers."""

from typing import Final

from reconciler.model import Verdict

GATES: Final = {
    Verdict.NONE: "no approval expected",
    Verdict.APPROVAL: "needs approval",
    Verdict.PENDING: "request is open",
    Verdict.BYPASS: "bypasses approval",
    Verdict.BLOCKED: "blocked by a request",
    Verdict.REJECTED: "rejected before",
}
