"""Values → the terminal. Every foreign string goes through `screen.escape`, and no other way."""

from reconciler.render.text.outcomes import brief, outcome_line, summary
from reconciler.render.text.plans import drift, plan
from reconciler.render.text.requests import change_request, change_requests
from reconciler.render.text.sentences import error, findings

__all__ = [
    "brief",
    "change_request",
    "change_requests",
    "drift",
    "error",
    "findings",
    "outcome_line",
    "plan",
    "summary",
]
