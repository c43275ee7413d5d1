"""The page from top to bottom, and the policy by which a browser lets nothing else in."""

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final

from reconciler import __version__
from reconciler.model import Plan, format_time
from reconciler.planfile import codec, reader
from reconciler.render.html import approvals, change, filters, timeline
from reconciler.render.html.components import load_environment
from reconciler.render.shared import attribution, phrases, schedules, summary

_PLAN: Final = {
    "create": "to create",
    "update": "to update",
    "delete": "to delete",
    "none": "unchanged",
    "gated": "wait or held",
    "drift": "with drift",
    "conflict": "in conflict",
    "unmanaged": "unmanaged",
}
_OPPOSITE: Final = {"create": "delete", "delete": "create"}  # what is missing was deleted
_DRIFT: Final = {
    "update": "changed",
    "create": "missing",
    "delete": "live again",
    "none": "as declared",
    "unmanaged": "unmanaged",
}


def render_page(plan: Plan, *, drift: bool) -> str:
    """Return the whole page."""
    style, script = _read_asset("page.css"), _read_asset("page.js")
    digest, commit = summary.get_origin(plan)
    shown = plan.writes[: change.MOST]
    return (
        load_environment()
        .get_template("page.html")
        .render(
            report="drift" if drift else "plan",
            drift=drift,
            plan=plan,
            style=style,
            script=script,
            policy=_make_policy(style, script),
            facts=tuple(filter(None, _list_facts(plan, commit, drift=drift))),
            totals=" ".join(summary.list_totals(plan, drift=drift)),
            tiles=tuple(_list_tiles(plan, drift=drift)),
            doubts=tuple(_list_doubts(plan, drift=drift)),
            numbers={each.address: number for number, each in enumerate(shown, 1)},
            gates=() if drift else approvals.draw_cards(plan),
            timeline=timeline.draw_timeline(plan),
            schedules=schedules.list_flag_schedules(plan, drift=drift),
            findings=summary.list_findings(plan),
            facets=filters.count_facets(shown, drift=drift),
            shown=len(shown),
            groups=change.group_changes(shown, plan, drift=drift),
            notices=tuple(summary.list_notices(plan)),
            origin=tuple(filter(None, _describe_origin(plan, digest, drift=drift))),
        )
    )


@cache
def _read_asset(name: str) -> str:
    """Return the style sheet or the script from beside this module."""
    return files("reconciler.render.html").joinpath(name).read_text(encoding="utf-8")


def _make_policy(style: str, script: str) -> str:
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
    yield summary.describe_base(plan, drift=drift)
    yield f"made {format_time(plan.created_at)}" if plan.created_at else ""
    yield f"files of commit {commit}" if commit else ""


def _list_tiles(plan: Plan, *, drift: bool) -> Iterator[tuple[str, str, str, int]]:
    """Yield the key, the colour, the label and the number of each tile."""
    numbers = codec.summarize(plan)
    for key, label in (_DRIFT if drift else _PLAN).items():
        color = _OPPOSITE.get(key, key) if drift else key
        yield key, color if numbers[key] else "zero", label, numbers[key]


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
