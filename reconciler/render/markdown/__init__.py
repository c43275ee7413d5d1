"""Values → Markdown for a comment on a pull request. Nothing foreign leaves its code span or fence.

Outside of fences `prose`, in tags `tag`, in backticks `code`: each begins with the terminal's
`escape`, since a comment is also printed to the log of a build; there is no other way to print
what a file or a server said.
"""

from collections.abc import Iterable

from reconciler.model import Outcome, Plan
from reconciler.render.markdown import comment, ended
from reconciler.render.markdown.budget import CAP
from reconciler.render.markdown.escape import code, fence, prose, tag
from reconciler.render.view import View

__all__ = ["CAP", "code", "drift", "fence", "outcomes", "plan", "prose", "tag"]


def plan(plan: Plan, view: View | None = None) -> str:
    """The plan as a comment: totals, what is loud, who has to approve, each change to unfold."""
    return comment.write(plan, view or View(), drift=False)


def drift(plan: Plan, view: View | None = None) -> str:
    """What differs from the files of a commit, as a comment or an issue."""
    return comment.write(plan, view or View(), drift=True)


def outcomes(rows: Iterable[Outcome], plan: Plan) -> str:
    """What became of a plan, as a comment."""
    return ended.write(rows, plan)
