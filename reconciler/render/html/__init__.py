"""Values → one self-contained page. It loads nothing, and is read as well without its script."""

from reconciler.model import Plan
from reconciler.render.html import page
from reconciler.render.html.parts import text
from reconciler.render.view import View

__all__ = ["drift", "plan", "text"]


def plan(plan: Plan, view: View | None = None) -> str:  # noqa: ARG001  a page folds by itself  a page is looked at any way
    """The plan as a page: totals, who has to act, requests, findings, each resource."""
    return page.write(plan, drift=False)


def drift(plan: Plan, view: View | None = None) -> str:  # noqa: ARG001  a page folds by itself
    """What differs from the files of a commit, and who did it, as a page."""
    return page.write(plan, drift=True)
