"""Values → text; one module a sink, one escape function each. Computes nothing but layout."""

from importlib import import_module
from typing import Final, Protocol, cast

from reconciler.model import Plan

FORMATS: Final = ("text", "json", "markdown", "html")
_REPORTS: Final = (*FORMATS, "sarif")  # also of drift


class _Sink(Protocol):
    """What each module of a format offers."""

    def plan(self, plan: Plan, *, color: bool, width: int, verbose: int) -> str: ...

    def drift(self, plan: Plan, *, color: bool, width: int, verbose: int) -> str: ...


def plan(
    plan: Plan,
    *,
    format: str,  # noqa: A002  as the option is called
    color: bool = False,
    width: int = 100,
    verbose: int = 0,
) -> str:
    """The plan in one of `FORMATS`. Imports that format's module alone."""
    return _sink(format).plan(plan, color=color, width=width, verbose=verbose)


def drift(
    plan: Plan,
    *,
    format: str,  # noqa: A002  as the option is called
    color: bool = False,
    width: int = 100,
    verbose: int = 0,
) -> str:
    """A plan that compares a commit with the live side, as a report of drift."""
    if format not in _REPORTS:
        raise ValueError(f"no such format: {format!r}")
    return cast("_Sink", import_module(f"reconciler.render.{format}")).drift(
        plan, color=color, width=width, verbose=verbose
    )


def _sink(name: str) -> _Sink:
    if name not in FORMATS:
        raise ValueError(f"no such format: {name!r}")
    return cast("_Sink", import_module(f"reconciler.render.{name}"))
