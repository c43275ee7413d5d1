"""A whole comment: what must be seen first, then as many changes as there is room for."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from reconciler.lazy_pattern import compile_later
from reconciler.model import REPLACES, Change, Plan, Verdict
from reconciler.render.markdown.approvals import format_approvals
from reconciler.render.markdown.change import format_change, format_row
from reconciler.render.markdown.escape import (
    NAME,
    escape_prose,
    escape_tag,
    format_code,
    format_fence,
)
from reconciler.render.markdown.size_limit import (
    CAP,
    limit_lines,
    list_fitting,
    measure,
    take_fitting,
)
from reconciler.render.shared import (
    attribution,
    findings,
    phrases,
    schedules,
    summary,
)
from reconciler.render.shared.options import RenderOptions
from reconciler.render.shared.sanitize import is_page_of, make_visible
from reconciler.render.shared.schedules import FlagSchedule

_OPEN: Final = 3  # a plan of so many changes shows them at once
_SPARE: Final = 2_500  # for headings, counts, and where the whole is
_ODD: Final = compile_later(r"[^A-Za-z0-9]")  # never what ends a comment


def format_comment(plan: Plan, options: RenderOptions, *, drift: bool) -> str:
    """Return the comment: totals, alerts, approvals and findings come first, and always fit."""
    top = [*_format_head(plan, drift=drift), *_format_alerts(plan, drift=drift)]
    room = CAP - _SPARE - sum(map(measure, top))
    if not drift:
        top += format_approvals(plan, room * 2 // 5)
    top += _format_findings(plan, room // 4)
    top += _format_schedules(plan, room // 8, drift=drift)
    bottom = [
        *_format_notices(plan, drift=drift),
        *_format_origin(plan, drift=drift),
        *_format_refusal(plan),
    ]
    room = CAP - _SPARE - sum(map(measure, (*top, *bottom)))
    shown, missing = format_changes(plan.writes, room, plan.host, drift=drift)
    where = [_describe_missing(missing, options, drift=drift)] if missing else []
    return "\n\n".join((*top, *shown, *where, *bottom)) + "\n"


def _format_refusal(plan: Plan) -> Iterator[str]:
    """Return the last line: that apply will refuse this, where it will."""
    if plan.refusal is not None:
        yield f"**{' '.join(summary.describe_refusal(plan))}**"


def _format_head(plan: Plan, *, drift: bool) -> Iterator[str]:
    name = "drift" if drift else "plan"
    target = _ODD.sub("_", make_visible(plan.target))[:NAME]
    yield f"<!-- reconciler:{name}:{target} -->"
    host = f" ({format_code(plan.host)})" if plan.host else ""
    yield f"### reconciler {name}: target {format_code(plan.target)}{host}"
    yield f"**{' '.join(summary.list_totals(plan, drift=drift))}**"
    if drift and (advice := attribution.advise(plan)):
        yield escape_prose(advice)


def _format_origin(plan: Plan, *, drift: bool) -> Iterator[str]:
    """Yield what identifies the plan, for those who compare it: it is not what readers look for."""
    if base := summary.describe_base(plan, drift=drift):
        yield escape_prose(base)
    digest, commit = summary.get_origin(plan)
    if digest:
        yield f"plan {format_code(digest)}" + (
            f" of commit {format_code(commit)}" if commit else ""
        )


def _format_alerts(plan: Plan, *, drift: bool) -> Iterator[str]:
    """Yield what must not be overlooked."""
    if not drift:
        yield from _format_alert(
            plan, Verdict.BYPASS, "WARNING", "to be written WITHOUT the approval of its policy"
        )
        yield from _format_alert(
            plan, Verdict.BLOCKED, "CAUTION", "blocked by another change request"
        )
    if plan.errors:
        yield f"> [!CAUTION]\n> **{phrases.count(len(plan.errors), 'error')}**, listed below."


def _format_alert(plan: Plan, verdict: Verdict, kind: str, what: str) -> Iterator[str]:
    gates = (
        (change.address, change.gate) for change in plan.writes if change.gate.verdict is verdict
    )
    addresses = [address for address, gate in gates if gate.request_plan not in REPLACES]
    if addresses:
        names = take_fitting((format_code(str(address)) for address in addresses), 4_000)
        more = f" and {len(addresses) - len(names):,} more" if len(addresses) > len(names) else ""
        shown = f"{', '.join(names)}{more}"
        yield f"> [!{kind}]\n> **{phrases.count(len(addresses), 'change')} {what}:** {shown}"


def _format_findings(plan: Plan, room: int) -> Iterator[str]:
    listed = summary.list_findings(plan)
    if not listed:
        return
    blocks = ("\n".join(findings.format_finding(finding)) for finding in listed)
    kept = take_fitting(blocks, room) or ["\n".join(findings.format_finding(listed[0]))]
    rows = (line for block in kept for line in block.split("\n"))
    yield f"#### Findings\n\n{format_fence(limit_lines(rows, room + 2_000))}"
    if more := len(listed) - len(kept):
        yield f"… and {phrases.count(more, 'more finding')}"


def _format_schedules(plan: Plan, room: int, *, drift: bool) -> Iterator[str]:
    """Yield what PostHog will change by itself, flag by flag, and where the file differs."""

    def draw(flag: FlagSchedule) -> str:
        rows = [f"- {format_code(str(flag.change.address))}"]
        for phrase in flag.phrases:
            rows.append(f"  - {phrase.mark} {escape_prose(phrase.text)}")
            rows.extend(f"    - {escape_prose(note)}" for note in phrase.more)
        for warning in flag.warnings[:3]:
            rows.append(f"  - **warning:** {escape_prose(warning.message)}")
            rows.append(f"    - {escape_prose(warning.fix)}")
        return "\n".join(rows)

    if flags := schedules.list_flag_schedules(plan, drift=drift):
        yield "\n".join(("#### Scheduled changes", "", *list_fitting(flags, draw, room)))


def format_changes(
    changes: Sequence[Change], room: int, host: str, *, drift: bool
) -> tuple[list[str], int]:
    """Return all changes if they fit, else some whole and some by name; how many are missing."""
    opened = len(changes) <= _OPEN
    blocks = take_fitting(
        (format_change(change, drift=drift, opened=opened, host=host) for change in changes), room
    )
    if len(blocks) == len(changes):
        return blocks, 0
    blocks = take_fitting(blocks, room * 3 // 5)
    room -= sum(map(measure, blocks))
    rest = changes[len(blocks) :]
    rows = take_fitting((format_row(change, drift=drift) for change in rest), room)
    if rows:
        title = phrases.count(len(rows), "more change")
        names = "\n".join(rows)
        blocks.append(f"<details><summary>{title}, by name</summary>\n\n{names}\n\n</details>")
    return blocks, len(rest) - len(rows)


def _describe_missing(missing: int, options: RenderOptions, *, drift: bool) -> str:
    """Return how many changes are left out, and where they are."""
    saved = f"`reconciler show {options.whole}`" if _is_plain_name(options.whole) else ""
    command = f"`reconciler {'drift' if drift else 'plan'} --format html`"
    run = f", and [this run]({options.run}) may have kept it" if _is_page_url(options.run) else ""
    return (
        f"**{phrases.count(missing, 'more change')}** not shown: a comment holds no more. "
        f"{saved or command} shows everything{run}."
    )


def _is_plain_name(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9._/-]{1,120}", name) is not None


def _is_page_url(url: str) -> bool:
    return is_page_of(url, "https://" + url.removeprefix("https://").partition("/")[0])


def _format_notices(plan: Plan, *, drift: bool) -> Iterator[str]:
    for lead, note in () if drift else islice(summary.list_doubts(plan), 3):
        yield f"{lead} {escape_prose(note)}"
    for notice in summary.list_notices(plan):
        rows = "\n".join(list_fitting(notice.rows, lambda row: f"- {format_code(row)}", 3_000))
        yield f"<details><summary>{escape_tag(notice.title)}</summary>\n\n{rows}\n\n</details>"
