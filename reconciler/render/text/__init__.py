"""Values to the terminal. Every foreign string passes through `shared.sanitize.escape`."""

from reconciler.render.text.activity import activity, activity_filters
from reconciler.render.text.change_requests import change_request, change_requests, inbox, reminders
from reconciler.render.text.coverage import coverage
from reconciler.render.text.findings import error, findings
from reconciler.render.text.fleet import fleet
from reconciler.render.text.outcomes import format_brief, format_outcome_line, outcomes
from reconciler.render.text.plan import drift, plan
from reconciler.render.text.replay import replay
from reconciler.render.text.target import listing, status

__all__ = [
    "activity",
    "activity_filters",
    "change_request",
    "change_requests",
    "coverage",
    "drift",
    "error",
    "findings",
    "fleet",
    "format_brief",
    "format_outcome_line",
    "inbox",
    "listing",
    "outcomes",
    "plan",
    "reminders",
    "replay",
    "status",
]
