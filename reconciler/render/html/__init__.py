"""Values to one self-contained page. It loads nothing, and reads as well without its script."""

from reconciler.model import FleetReport, Plan
from reconciler.render.html import fleet as fleet_page
from reconciler.render.html import page
from reconciler.render.shared.fleet import LoadDetails
from reconciler.render.shared.options import RenderOptions

__all__ = ["drift", "fleet", "plan"]


def plan(plan: Plan, options: RenderOptions) -> str:  # noqa: ARG001  a page folds by itself
    """Return the plan as a page: totals, who has to act, requests, findings, each resource."""
    return page.render_page(plan, drift=False)


def drift(plan: Plan, options: RenderOptions) -> str:  # noqa: ARG001  a page folds by itself
    """Return what differs from the files of a commit, and who changed it, as a page."""
    return page.render_page(plan, drift=True)


def fleet(
    report: FleetReport,
    options: RenderOptions,  # noqa: ARG001  a page folds by itself
    load: LoadDetails,
) -> str:
    """Return what became of the targets of a fleet, each with its plan, as one page."""
    return fleet_page.render_fleet(report, load)
