"""The page from top to bottom, and the policy by which a browser lets nothing else in."""

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Final

from reconciler import __version__
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Plan, format_time
from reconciler.planfile import codec, reader
from reconciler.render.html import (
    approvals,
    change,
    filters,
    order,
    people,
    timeline,
)
from reconciler.render.html.approvals import PolicyCard
from reconciler.render.html.components import load_environment
from reconciler.render.html.facets import make_query
from reconciler.render.html.people import Approver
from reconciler.render.shared import attribution, decisions, phrases, summary
from reconciler.render.shared.decisions import DecisionGroup

_PLAN: Final = {
    "create": "to create",
    "update": "to update",
    "delete": "to delete",
    "none": "unchanged",
    "gated": "gated",
    "drift": "with drift",
    "conflict": "in conflict",
    "unmanaged": "unmanaged",
}
_OPPOSITE: Final = {"create": "delete", "delete": "create"}  # what is missing was deleted
_DRIFT: Final = {
    "update": "changed",
    "create": "missing",
    "delete": "declared absent, but live",
    "none": "as declared",
    "unmanaged": "unmanaged",
}
_FACETS: Final = {
    **dict.fromkeys(("create", "update", "delete"), "action"),
    **dict.fromkeys(("drift", "conflict"), "cause"),
}


def render_page(plan: Plan, *, drift: bool) -> str:
    """Return the whole page."""
    style, script = read_asset("page.css"), read_script("page.js")
    digest, commit = summary.get_origin(plan)
    return (
        load_environment()
        .get_template("page.html")
        .render(
            report="drift" if drift else "plan",
            style=style,
            script=script,
            policy=make_policy(style, script),
            facts=tuple(filter(None, _list_facts(plan, commit, drift=drift))),
            totals=" ".join(summary.list_totals(plan, drift=drift)),
            tiles=tuple(_list_tiles(plan, drift=drift)),
            origin=tuple(filter(None, _describe_origin(plan, digest, drift=drift))),
            **describe_plan(plan, drift=drift),
        )
    )


def describe_plan(
    plan: Plan,
    *,
    drift: bool,
    prefix: str = "",
    most: int | None = None,
    where_all_is: str = "narrow it with --select, or see the JSON",
) -> dict[str, Any]:
    """Return what `plan.html` prints: everything about a plan but its head.

    Args:
        plan: what apply would do, or what has drifted.
        drift: whether it has drifted.
        prefix: the beginning of each id, where a page has several plans.
        most: changes that are shown; `change.MOST` if nothing is said.
        where_all_is: what to do to see the others.

    """
    groups = () if drift else decisions.group_changes(plan)
    everybody = people.list_people(groups)
    cards = approvals.draw_cards(groups, people.number_people(everybody))
    return {
        "plan": plan,
        "drift": drift,
        "prefix": prefix,
        "where_all_is": where_all_is,
        "doubts": tuple(_list_doubts(plan, drift=drift)),
        "people": everybody,
        "cards": approvals.split_cards(cards),
        "timeline": timeline.draw_timeline(plan, drift=drift),
        "findings": summary.list_findings(plan),
        "notices": tuple(summary.list_notices(plan)),
        **_make_changes(plan, groups, everybody, cards, drift=drift, most=most or change.MOST),
    }


def _make_changes(
    plan: Plan,
    groups: tuple[DecisionGroup, ...],
    everybody: tuple[Approver, ...],
    cards: tuple[PolicyCard, ...],
    *,
    drift: bool,
    most: int,
) -> dict[str, Any]:
    """Return what the templates print of the changes: in waves, by place, and with filters."""
    shown = plan.writes[:most]
    waves = {} if drift else order.sort_changes(plan.writes)
    facets = filters.count_facets(shown, waves, drift=drift)
    context = change.PageContext(
        urls={request.id: request.url for request in plan.change_requests},
        waves=waves,
        decisions=decisions.number_changes(groups),
        drift=drift,
    )
    return {
        "waves": () if drift else order.draw_waves(plan.writes, waves),
        "numbers": {each.address: number for number, each in enumerate(shown, 1)},
        "facets": facets,
        "more_facets": tuple(filters.list_approver_facets(everybody, cards)),
        "shown": len(shown),
        "groups": change.group_changes(shown, context),
    }


@cache
def read_asset(name: str) -> str:
    """Return a style sheet or a script from beside this module."""
    return files("reconciler.render.html").joinpath(name).read_text(encoding="utf-8")


def read_script(name: str) -> str:
    """Return the script of a page, behind what all pages share."""
    return read_asset("filters.js") + read_asset(name)


def make_policy(style: str, script: str) -> str:
    """Return the policy that nothing is loaded, and nothing runs but this style and script."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _list_facts(plan: Plan, commit: str, *, drift: bool) -> Iterator[str]:
    yield plan.host
    yield f"made {format_time(plan.created_at)}" if plan.created_at else ""
    yield f"files of commit {commit}" if commit else ""
    yield summary.describe_base(plan, drift=drift)


@dataclass(frozen=True, slots=True)
class Tile:
    """One total, and the filter that shows what it counts."""

    key: str
    color: str
    label: str
    number: int
    query: str  # empty: it counts nothing that is listed below


def _list_tiles(plan: Plan, *, drift: bool) -> Iterator[Tile]:
    numbers = codec.summarize(plan)
    for key, label in (_DRIFT if drift else _PLAN).items():
        color = _OPPOSITE.get(key, key) if drift else key
        facet = _FACETS.get(key, "")
        query = make_query(**{facet: key}) if facet and numbers[key] else ""
        yield Tile(key, color, label, numbers[key], query)


def _list_doubts(plan: Plan, *, drift: bool) -> Iterator[str]:
    """Yield what may hold back writes that should pass; of drift, what to do about it."""
    if drift:
        yield from filter(None, (attribution.advise(plan),))
        return
    yield from map(" ".join, summary.list_doubts(plan))


def _describe_origin(plan: Plan, digest: str, *, drift: bool) -> Iterator[str]:
    """Yield which program, files and requests made the plan."""
    yield f"reconciler {getattr(plan, 'tool_version', '') or __version__}"
    cost = phrases.count(plan.requests.reads, "request") + " sent to make it"
    if not drift:
        least = plan.requests.minimum_seconds
        pace = f" in {phrases.count(least // 60, 'minute')} or more" if least else ""
        cost += f", {phrases.count(plan.requests.expected_writes, 'write')} to apply it{pace}"
    yield cost
    yield f"plan {digest}" if digest else ""
    yield f"files {plan.desired_digest}" if plan.desired_digest else ""
    yield f"base {reader.redact(plan.base_commit)}" if plan.base_commit else ""
