"""Values to the terminal. Every foreign string passes through `shared.sanitize.escape`."""

from reconciler.render.text.activity import activity, activity_filters
from reconciler.render.text.change_requests import change_request, change_requests
from reconciler.render.text.findings import error, findings
from reconciler.render.text.outcomes import brief, outcome_line, outcomes
from reconciler.render.text.plan import drift, plan

__all__ = [
    "activity",
    "activity_filters",
    "brief",
    "change_request",
    "change_requests",
    "drift",
    "error",
    "findings",
    "outcome_line",
    "outcomes",
    "plan",
]
