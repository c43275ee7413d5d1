"""Who has to approve: the gates with their quorum, then each person once."""

from collections.abc import Iterator
from typing import Final

from reconciler.model import Plan, Verdict
from reconciler.render.markdown.escape import escape_prose, format_code
from reconciler.render.markdown.size_limit import list_fitting
from reconciler.render.shared import approvals, approvers, decisions, phrases
from reconciler.render.shared.approvals import ApprovalGroup
from reconciler.render.shared.approvers import ApproverTasks
from reconciler.render.shared.sanitize import is_page_of

_NAMED: Final = 6  # changes of a gate that are named
_ROLES: Final = 6  # roles of a gate that are named
_INBOX: Final = "reconciler requests inbox"


def format_approvals(plan: Plan, room: int) -> Iterator[str]:
    """Yield who has to agree to what: the reason for this comment."""
    pages = {each.id: each.url or "" for each in plan.change_requests}
    groups = [
        each for each in approvals.group_by_gate(plan.writes) if each.verdict is not Verdict.BYPASS
    ]
    if not groups:
        return

    def draw_group(group: ApprovalGroup) -> str:
        return _format_group(group, pages.get(group.gate.change_request or "", ""), plan.host)

    def draw_person(person: ApproverTasks) -> str:
        gates = (change.gate for group in person.groups.values() for change in group.changes)
        ids = dict.fromkeys(filter(None, (gate.change_request for gate in gates)))
        urls = (pages.get(id_, "") for id_ in ids)
        return _format_person(person, [url for url in urls if is_page_of(url, plan.host)])

    yield "\n".join(("#### Approvals", "", *list_fitting(groups, draw_group, room // 2)))
    if people := approvers.list_approvers(decisions.group_changes(plan)):
        lead = f"Who can approve; `{_INBOX}` shows what waits for you:"
        yield "\n".join((lead, "", *list_fitting(people, draw_person, room // 2)))


def _format_group(group: ApprovalGroup, url: str, host: str) -> str:
    """Return `- ⏸ **2 changes wait for approval** under `…` of `…`: 2 approvals from …`."""
    gate = group.gate
    where = f" of {format_code(group.where)}" if group.where else ""
    text = f"- {group.mark} **{group.what}** under {format_code(group.policy)}{where}: "
    text += _format_quorum(group)
    if gate.expires_after:
        text += f"; expires after {format_code(gate.expires_after)}"
    if is_page_of(url, host):
        text += f" · [open the request]({url})"
    names = [format_code(change.address.name) for change in group.changes[:_NAMED]]
    more = (
        f" and {len(group.changes) - len(names):,} more" if len(group.changes) > len(names) else ""
    )
    return f"{text}\n  - {', '.join(names)}{more}"


def _format_quorum(group: ApprovalGroup) -> str:
    """Return `2 approvals from 3 people (role `Release managers`)`; their names come below."""
    gate = group.gate
    needed = "approval" if gate.quorum is None else phrases.count(gate.quorum, "approval")
    able, named = approvals.count_people(gate)
    people = phrases.count(named, "person", "people") if named else "nobody that is known"
    roles = [format_code(role) for role in list(gate.approvers.roles)[:_ROLES]]
    if more := len(gate.approvers.roles) - len(roles):
        roles.append(f"{more:,} more")
    noun = phrases.choose(len(gate.approvers.roles), "role", "roles")
    facts = [f"{noun} {', '.join(roles)}"] if roles else []
    facts += [f"{able:,} can approve"] if able < named else []
    within = f" ({'; '.join(facts)})" if facts else ""
    return f"{needed} from {people}{within}"


def _format_person(person: ApproverTasks, urls: list[str]) -> str:
    """Return `- `alice@acme.test`: 4 changes · [open the request](…)`."""
    name = format_code(person.email)
    if not person.changes:
        (why, _), *_ = person.reasons.most_common(1)
        return f"- {name}: nothing ({escape_prose(why)})"
    text = f"- {name}: {phrases.count(person.changes, 'change')}"
    if not urls:
        return text
    what = "the request" if len(urls) == 1 else f"the first of {len(urls):,} requests"
    return f"{text} · [open {what}]({urls[0]})"
