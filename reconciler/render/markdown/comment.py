"""A whole comment: what must be seen first, then as many changes as there is room for."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from reconciler.model import REPLACES, Change, Plan, Verdict
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
from reconciler.render.shared import approvals, attribution, findings, phrases, summary
from reconciler.render.shared.approvals import ApprovalGroup
from reconciler.render.shared.options import RenderOptions
from reconciler.render.shared.sanitize import is_page_of, make_visible

_OPEN: Final = 3  # a plan of so many changes shows them at once
_NAMED: Final = 6  # changes of a gate that are named
_PEOPLE: Final = 12  # people of a gate that are named
_SPARE: Final = 2_500  # for headings, counts, and where the whole is
_ODD: Final = re.compile(r"[^A-Za-z0-9]")  # never what ends a comment


def format_comment(plan: Plan, options: RenderOptions, *, drift: bool) -> str:
    """Totals, alerts, approvals and findings come before everything else, and always fit."""
    top = [*_format_head(plan, drift=drift), *_format_alerts(plan, drift=drift)]
    room = CAP - _SPARE - sum(map(measure, top))
    if not drift:
        top += _format_approvals(plan, room * 2 // 5)
    top += _format_findings(plan, room // 4)
    bottom = [*_format_notices(plan, drift=drift), *_format_refusal(plan)]
    room = CAP - _SPARE - sum(map(measure, (*top, *bottom)))
    shown, missing = _format_changes(plan.writes, room, plan.host, drift=drift)
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
    if base := summary.describe_base(plan, drift=drift):
        yield escape_prose(base)
    digest, commit = summary.get_origin(plan)
    if digest:
        yield f"plan {format_code(digest)}" + (
            f" of commit {format_code(commit)}" if commit else ""
        )
    if drift and (advice := attribution.advise(plan)):
        yield escape_prose(advice)


def _format_alerts(plan: Plan, *, drift: bool) -> Iterator[str]:
    """What nobody may overlook."""
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
    gates = ((one.address, one.gate) for one in plan.writes if one.gate.verdict is verdict)
    found = [address for address, gate in gates if gate.request_plan not in REPLACES]
    if found:
        names = take_fitting((format_code(str(address)) for address in found), 4_000)
        more = f" and {len(found) - len(names):,} more" if len(found) > len(names) else ""
        shown = f"{', '.join(names)}{more}"
        yield f"> [!{kind}]\n> **{phrases.count(len(found), 'change')} {what}:** {shown}"


def _format_approvals(plan: Plan, room: int) -> Iterator[str]:
    """Who has to agree to what, once a policy: the reason for this comment."""
    pages = {one.id: one.url for one in plan.change_requests}
    groups = [
        one for one in approvals.group_by_gate(plan.writes) if one.verdict is not Verdict.BYPASS
    ]

    def draw(one: ApprovalGroup) -> str:
        return _format_group(one, pages.get(one.gate.change_request or ""), plan.host)

    if groups:
        yield "\n".join(("#### Approvals", "", *list_fitting(groups, draw, room)))


def _format_group(one: ApprovalGroup, url: str | None, host: str) -> str:
    """`- ⏸ **2 changes wait for approval** under `…` of `…`: 2 of `alice`, …`, and which ones."""
    gate = one.gate
    where = f" of {format_code(one.where)}" if one.where else ""
    quorum = f"{gate.quorum} of " if gate.quorum is not None else ""
    said = f"- {one.mark} **{one.what}** under {format_code(one.policy)}{where}: "
    said += f"{quorum}{_format_people(one)}"
    if gate.expires_after:
        said += f"; expires after {format_code(gate.expires_after)}"
    if url and is_page_of(url, host):
        said += f" · [open the request]({url})"
    names = [format_code(change.address.name) for change in one.changes[:_NAMED]]
    more = f" and {len(one.changes) - len(names):,} more" if len(one.changes) > len(names) else ""
    return f"{said}\n  - {', '.join(names)}{more}"


def _format_people(one: ApprovalGroup) -> str:
    """Everybody by name, those who cannot with the reason."""
    shown: list[str] = []
    named = 0
    for role, members in approvals.list_people(one.gate):
        kept = members[: max(0, _PEOPLE - named)]
        named += len(kept)
        people = [
            f"{format_code(person.email)} ({escape_prose(person.cannot)})"
            if person.cannot
            else format_code(person.email)
            for person in kept
        ]
        if len(members) > len(kept):
            people.append(f"{len(members) - len(kept):,} more")
        joined = ", ".join(people) or "nobody"
        shown.append(f"{format_code(role)} ({joined})" if role else joined)
    return ", ".join(shown[:_PEOPLE]) or "nobody"


def _format_findings(plan: Plan, room: int) -> Iterator[str]:
    found = summary.list_findings(plan)
    if not found:
        return
    blocks = ("\n".join(findings.format_finding(one)) for one in found)
    kept = take_fitting(blocks, room) or ["\n".join(findings.format_finding(found[0]))]
    rows = (line for block in kept for line in block.split("\n"))
    yield f"#### Findings\n\n{format_fence(limit_lines(rows, room + 2_000))}"
    if more := len(found) - len(kept):
        yield f"… and {phrases.count(more, 'more finding')}"


def _format_changes(
    changes: Sequence[Change], room: int, host: str, *, drift: bool
) -> tuple[list[str], int]:
    """All of them unfoldable if they fit; else the first ones, then names; how many are neither."""
    opened = len(changes) <= _OPEN
    blocks = take_fitting(
        (format_change(one, drift=drift, opened=opened, host=host) for one in changes), room
    )
    if len(blocks) == len(changes):
        return blocks, 0
    blocks = take_fitting(blocks, room * 3 // 5)
    room -= sum(map(measure, blocks))
    rest = changes[len(blocks) :]
    rows = take_fitting((format_row(one, drift=drift) for one in rest), room)
    if rows:
        title = phrases.count(len(rows), "more change")
        names = "\n".join(rows)
        blocks.append(f"<details><summary>{title}, by name</summary>\n\n{names}\n\n</details>")
    return blocks, len(rest) - len(rows)


def _describe_missing(missing: int, options: RenderOptions, *, drift: bool) -> str:
    """How many changes are left out, and where they are."""
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
    for note, number in () if drift else list(summary.count_doubts(plan).items())[:3]:
        verb = "is" if number == 1 else "are"
        changes = phrases.count(number, "change")
        yield f"{changes} {verb} taken to pass without approval, but {escape_prose(note)}"
    for notice in summary.list_notices(plan):
        rows = "\n".join(list_fitting(notice.rows, lambda row: f"- {format_code(row)}", 3_000))
        yield f"<details><summary>{escape_tag(notice.title)}</summary>\n\n{rows}\n\n</details>"
