"""Values → text; one module a sink, one escape function each. Computes nothing but layout."""

from dataclasses import replace
from importlib import import_module
from typing import Any, Final, Protocol, cast

from reconciler.model import Plan
from reconciler.render.view import View

FORMATS: Final = ("text", "json", "markdown", "html")
_REPORTS: Final = (*FORMATS, "sarif")  # also of drift


class _Sink(Protocol):
    """What each module of a format offers."""

    def plan(self, plan: Plan, view: View) -> str: ...

    def drift(self, plan: Plan, view: View) -> str: ...


def plan(plan: Plan, *, format: str, view: View | None = None, **look: Any) -> str:
    """The plan in one of `FORMATS`; `look` is short for a `View`. Imports that module alone."""
    return _sink(format).plan(plan if format == "json" else _near(plan), view or View(**look))


def _near(plan: Plan) -> Plan:
    """The plan for who reads a pull request; drift elsewhere is a notice, and no change."""
    if not plan.elsewhere:
        return plan
    away = frozenset(plan.elsewhere)
    shown = tuple(change for change in plan.changes if change.address not in away)
    return replace(plan, changes=shown)


def drift(plan: Plan, *, format: str, view: View | None = None, **look: Any) -> str:
    """A plan that compares a commit with the live side, as a report of drift."""
    if format not in _REPORTS:
        raise ValueError(f"no such format: {format!r}")
    module = cast("_Sink", import_module(f"reconciler.render.{format}"))
    return module.drift(plan, view or View(**look))


def _sink(name: str) -> _Sink:
    if name not in FORMATS:
        raise ValueError(f"no such format: {name!r}")
    return cast("_Sink", import_module(f"reconciler.render.{name}"))
