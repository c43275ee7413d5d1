"""The changes as the page shows them: by organization, project and kind, each to unfold."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from reconciler.lazy_dataclass import dataclass
from reconciler.model import Action, Address, Cause, Change, Verdict, get_root
from reconciler.render.html import filters
from reconciler.render.html.facets import GATES
from reconciler.render.html.fields import FieldTable, make_field_table
from reconciler.render.shared import approvals, attribution
from reconciler.render.shared import phrases as shared_phrases
from reconciler.render.shared.phrases import Phrase

MOST: Final = 20_000  # changes of one page: about 20 MB
_STYLES: Final = {"+": "create", "-": "delete"}


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One change, with everything that its template prints."""

    change: Change
    number: int  # its place in the order of apply: `c7` is what a link to it names
    sign: str
    style: str
    facets: Mapping[str, tuple[str, ...]]
    decisions: int | None  # number of the group that waits for the same decisions
    fields: str  # which ones change, while it is folded
    badges: tuple[tuple[str, str], ...]  # style and text
    table: FieldTable
    phrases: tuple[Phrase, ...]
    request_url: str | None


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """Changes of one kind in one place."""

    number: int
    scope: tuple[str, ...]  # organization, and project if there is one
    kind: str
    changes: tuple[ChangeView, ...]


@dataclass(frozen=True, slots=True)
class PageContext:
    """What the page knows about its changes beside themselves."""

    urls: Mapping[str, str | None]  # of change requests, by id
    waves: Mapping[Address, str]
    decisions: Mapping[Address, int]  # numbers of groups that wait for the same decisions
    drift: bool


def group_changes(changes: Sequence[Change], context: PageContext) -> tuple[ChangeGroup, ...]:
    """Return organizations, their projects and kinds, in the order in which apply reaches them."""
    organizations: dict[str, dict[tuple[str, ...], dict[str, list[ChangeView]]]] = {}
    for number, change in enumerate(changes, 1):
        scope = change.address.parts[:-1] or change.address.parts
        kinds = organizations.setdefault(change.address.organization, {}).setdefault(scope, {})
        view = _make_view(change, number, context)
        kinds.setdefault(change.address.kind, []).append(view)
    listed: list[ChangeGroup] = []
    for scopes in organizations.values():
        for scope in sorted(scopes, key=len):  # what belongs to no project comes first
            for kind, views in scopes[scope].items():
                listed.append(ChangeGroup(len(listed) + 1, scope, kind, tuple(views)))
    return tuple(listed)


def _make_view(change: Change, number: int, context: PageContext) -> ChangeView:
    drift = context.drift
    sign = shared_phrases.choose_sign(change.action, drift=drift)
    gate = None if drift else shared_phrases.describe_gate(change)
    shown = (
        tuple(attribution.describe_change(change)) if drift else (gate,) if gate is not None else ()
    )
    return ChangeView(
        change=change,
        number=number,
        sign=sign,
        style=_STYLES.get(sign, "update"),
        facets=filters.list_values(change, drift=drift, wave=context.waves.get(change.address, "")),
        decisions=context.decisions.get(change.address),
        fields=_list_changed_fields(change, drift=drift),
        badges=tuple(_list_badges(change, gate, drift=drift)),
        table=make_field_table(change, drift=drift),
        phrases=shown,
        request_url=None if drift else context.urls.get(change.gate.change_request or ""),
    )


def _list_changed_fields(change: Change, *, drift: bool) -> str:
    if change.action is Action.UPDATE:
        return ", ".join(dict.fromkeys(get_root(field.path) for field in change.fields))
    return shared_phrases.describe_drift(change.action) if drift else ""


def _list_badges(change: Change, gate: Phrase | None, *, drift: bool) -> Iterator[tuple[str, str]]:
    """Yield what is worth knowing before the change is unfolded."""
    if drift:
        if change.hold is not None:
            yield "wait", "held"
        return
    for cause in (Cause.DRIFT, Cause.CONFLICT):
        if any(field.cause is cause for field in change.fields):
            yield cause.value, cause.value
    if gate is not None:
        verdict = approvals.classify(change.gate)
        uncertain = verdict is Verdict.NONE and not change.gate.steps
        yield gate.tone.value, "may need approval" if uncertain else GATES[verdict]
    if change.warnings:
        yield "loud", shared_phrases.count(len(change.warnings), "warning")
