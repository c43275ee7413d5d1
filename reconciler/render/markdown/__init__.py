"""Values to Markdown for a pull request comment. Nothing foreign leaves its code span or fence.

Outside of fences `prose`, in tags `tag`, in backticks `code`: each begins with the terminal's
`escape`, since a comment is also printed to the log of a build; there is no other way to print
what a file or a server said.
"""

from collections.abc import Iterable

from reconciler.model import FleetReport, Outcome, Plan
from reconciler.render.markdown import comment
from reconciler.render.markdown.escape import escape_prose, escape_tag, format_code, format_fence
from reconciler.render.markdown.fleet import format_fleet
from reconciler.render.markdown.outcomes import format_outcomes
from reconciler.render.markdown.size_limit import CAP
from reconciler.render.shared.fleet import LoadDetails
from reconciler.render.shared.options import RenderOptions

__all__ = [
    "CAP",
    "drift",
    "escape_prose",
    "escape_tag",
    "fleet",
    "format_code",
    "format_fence",
    "outcomes",
    "plan",
]


def plan(plan: Plan, options: RenderOptions) -> str:
    """Return the plan as a comment: totals, alerts, who has to approve, each change to unfold."""
    return comment.format_comment(plan, options, drift=False)


def drift(plan: Plan, options: RenderOptions) -> str:
    """Return what differs from the files of a commit, as a comment or an issue."""
    return comment.format_comment(plan, options, drift=True)


def outcomes(
    outcomes: Iterable[Outcome],
    plan: Plan,
    options: RenderOptions,  # noqa: ARG001  a comment looks the same everywhere
    *,
    stopped: bool,  # noqa: ARG001  the outcomes say so themselves
) -> str:
    """Return what became of a plan, as a comment."""
    return format_outcomes(outcomes, plan)


def fleet(
    report: FleetReport,
    options: RenderOptions,  # noqa: ARG001  a comment looks the same everywhere
    load: LoadDetails,
) -> str:
    """Return what became of the targets of a fleet, as a comment or an issue."""
    return format_fleet(report, load)
