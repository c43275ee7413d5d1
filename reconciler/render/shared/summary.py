"""A plan as a whole: totals, notices, findings, doubts. Plain text: each format escapes it."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Final
from urllib.parse import urlsplit

from reconciler.lazy_dataclass import dataclass
from reconciler.model import (
    ABSENT,
    LEFT_OUT,
    REPLACES,
    Action,
    Cause,
    Change,
    Confidence,
    Finding,
    Gate,
    Ignored,
    Outcome,
    Plan,
    Released,
    RequestPlan,
    Result,
    Severity,
    Verdict,
    format_duration,
    shorten_commit,
)
from reconciler.planfile import codec, reader, results
from reconciler.render.shared import attribution, values
from reconciler.render.shared.phrases import choose, count, shorten_id

_NO_BASE: Final = (
    "No base yet: the plan does not know whether the files or PostHog changed. The first complete "
    "apply records one."
)
_ASKED: Final = {
    Verdict.PENDING: "waits for",
    Verdict.BLOCKED: "blocked by",
    Verdict.REJECTED: "rejected in",
}
_SEVERITIES: Final = tuple(Severity)
_NAMED: Final = 5  # resources that a finding about many names
_ABOUT_FIELDS: Final = "unmanaged-field"  # findings of this code are counted, not listed


def list_totals(plan: Plan, *, drift: bool = False) -> tuple[str, ...]:
    """Return the last sentences on a plan or on drift."""
    if drift:
        return (*_count_drift(plan), *describe_errors(plan, "compared"))
    counts = (*_count_plan(plan), *_count_gates(plan), *_count_causes(plan))
    return (*counts, *describe_pace(plan), *describe_refusal(plan))


def _count_plan(plan: Plan) -> tuple[str, ...]:
    number = codec.summarize(plan)
    if not plan.writes and plan.basis is not None and plan.basis.undo is not None:
        return ("Nothing to undo.",)
    if not plan.writes:
        whose = " of this pull request" if plan.unrelated_drift else ""  # apply has something to do
        return f"No changes{whose}.", _count_matching(number["none"])
    parts = [f"{number[action]:,} to {action}" for action in ("create", "update", "delete")]
    return (f"Plan: {', '.join(parts)}, {number['none']:,} unchanged.",)


def _count_drift(plan: Plan) -> tuple[str, ...]:
    number = codec.summarize(plan)
    partial = any(finding.code in LEFT_OUT for finding in plan.findings)
    waiting = _count_not_applied(plan)
    if not plan.writes:
        title = "No drift of what was asked for." if partial else "No drift."
        match = (
            ()
            if waiting and not number["none"]
            else (_count_matching(number["none"], partial=partial),)
        )
        return title, *waiting, *match
    parts = (
        (number["update"], "changed"),
        (number["create"], "missing"),
        (number["delete"], "declared absent but live"),
    )
    shown = ", ".join(f"{amount:,} {word}" for amount, word in parts if amount)
    match = (_count_matching(number["none"], partial=partial),) if number["none"] else ()
    return (f"Drift: {shown}.", *attribution.list_totals(plan), *waiting, *match)


def _count_not_applied(plan: Plan) -> tuple[str, ...]:
    """Say how much is merged and not applied yet: it is not drift."""
    number = len(plan.not_applied)
    return (f"{count(number, 'resource')} not applied yet.",) if number else ()


def describe_pace(plan: Plan) -> Iterator[str]:
    """Say how long the writes take because of the rate limit; nothing below a minute."""
    if seconds := plan.requests.minimum_seconds:
        yield f"Takes at least {format_duration(seconds)} (rate limit)."


def _count_matching(number: int, *, partial: bool = False) -> str:
    verb = choose(number, "matches", "match")
    more = f" or {choose(number, 'is', 'are')} left out" if partial else ""
    return f"{count(number, 'resource')} {verb}{more}."


def _count_gates(plan: Plan) -> Iterator[str]:
    gates = [change.gate for change in plan.writes]
    verdicts = Counter(gate.verdict for gate in gates)
    if waiting := sum(map(will_wait, gates)):
        yield f"{waiting:,} will wait for approval."
    if number := sum(gate.bypassed and not gate.waits for gate in gates):
        yield f"{number:,} will BYPASS approval."
    blocked = verdicts[Verdict.BLOCKED]
    if number := blocked - sum(gate.request_plan in REPLACES for gate in gates):
        yield f"{number:,} blocked by other change requests."
    if number := verdicts[Verdict.REJECTED]:
        yield f"{number:,} rejected before."


def will_wait(gate: Gate) -> bool:
    """Return whether the change will wait until people approve it."""
    return gate.waits or gate.request_plan is RequestPlan.REPLACE_AND_WAIT


def _count_causes(plan: Plan) -> Iterator[str]:
    number = codec.summarize(plan)
    if number["drift"]:
        yield f"{number['drift']:,} with drift."
    if number["conflict"]:
        yield f"{number['conflict']:,} in CONFLICT."


def describe_question(verb: str, plan: Plan) -> str:
    """Return what is to be confirmed before a run writes.

    `Apply 2 changes to production (eu.posthog.com)? 1 will wait for approval. Takes at least 4m.`
    """
    stopped = results.find_stopped(plan)
    writes = [change for change in plan.writes if change.address not in stopped]
    waiting = sum(will_wait(change.gate) for change in writes)
    host = urlsplit(plan.host).netloc or plan.host
    facts = [f"{verb} {count(len(writes), 'change')} to {plan.target} ({host})?"]
    if waiting:
        facts.append(f"{waiting:,} will wait for approval.")
    return " ".join((*facts, *describe_pace(plan)))


def describe_errors(plan: Plan, done: str, *, past: bool = False) -> Iterator[str]:
    """Yield `2 errors; the affected resources are not applied.`; nothing without errors."""
    if number := len(merge_findings(plan.errors)):
        verb = choose(number, "was", "were") if past else choose(number, "is", "are")
        resources = choose(number, "resource", "resources")
        yield f"{count(number, 'error')}; the affected {resources} {verb} not {done}."


def describe_refusal(plan: Plan) -> Iterator[str]:
    """Say why `apply` will not carry out all of a plan, in a sentence or two; often nothing.

    `1 error: apply will refuse this plan. Use --continue to apply the rest.`
    """
    refusal = plan.refusal
    if refusal is None:
        yield from describe_errors(plan, "applied")
        return
    number = f"{count(len(merge_findings(plan.errors)), 'error')}: " if plan.errors else ""
    if refusal.whole:
        others = " Use --continue to apply the rest." if refusal.rest else ""
        yield f"{number}apply will refuse this plan.{others}"
        return
    how = "apply --continue" if refusal.go_on else "apply"
    others = " and apply the rest" if refusal.rest else ""
    yield f"{number}{how} will refuse {count(refusal.changes, 'change')}{others}."


def format_outcome_totals(rows: Collection[Outcome], plan: Plan) -> str:
    """Return the line `Apply: 3 done, 1 waiting, 40 unchanged (44 in all). 1 partly written.`."""
    number = results.count_account(rows, plan)
    always = {Result.DONE, Result.UNCHANGED}
    parts = [
        f"{count:,} {word.replace('_', ' ')}"
        for word, count in number.items()
        if word != "planned" and (count or word in always)
    ]
    partly = results.count_results(rows, plan)["partly_written"]
    more = f" {partly:,} partly written." if partly else ""
    return f"Apply: {', '.join(parts)} ({number['planned']:,} in all).{more}"


def describe_base(plan: Plan, *, drift: bool = False) -> str:
    """Return what the causes of the plan refer to; nothing where there is nothing to explain."""
    if plan.base_ref is not None or plan.base_commit is not None:
        commit = f" ({shorten_commit(reader.redact(plan.base_commit))})" if plan.base_commit else ""
        return f"base: {plan.base_ref or 'commit'}{commit}"
    fields = (
        field for change in plan.writes for field in change.fields if _has_two_sides(change.action)
    )
    unknown = any(field.cause is Cause.UNKNOWN for field in fields)
    is_shown = unknown and not drift
    return _NO_BASE if is_shown else ""


def get_origin(plan: Plan) -> tuple[str, str]:
    """Return the digest that identifies a plan when it is applied, and its commit.

    Nothing for what is only ever shown.
    """
    if plan.basis is None:
        return "", ""
    digest = plan.digest if isinstance(plan, codec.Saved) else codec.encode_plan(plan)["digest"]
    commit = shorten_commit(reader.redact(plan.basis.commit or ""))
    return digest, f"{commit}, with changes on top" if plan.basis.dirty and commit else commit


def _has_two_sides(action: Action) -> bool:
    """Return whether there were two sides to compare."""
    return action is Action.UPDATE


def group_changes(
    changes: Iterable[Change],
) -> Iterator[tuple[tuple[str, ...], tuple[Change, ...]]]:
    """Yield runs of changes of one kind and scope, in the order of apply."""
    for key, group in groupby(
        changes, lambda change: (change.address.kind, *change.address.parts[:-1])
    ):
        yield key, tuple(group)


def list_doubts(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield how many writes should pass without approval, and what may still hold them back."""
    notes = Counter(
        change.gate.note
        for change in plan.writes
        if change.gate.verdict is Verdict.NONE
        and change.gate.confidence is Confidence.LIKELY
        and change.gate.note
    )
    for note, number in notes.items():
        verb = choose(number, "is", "are")
        yield f"{count(number, 'change')} {verb} expected to pass without approval, but", note


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth knowing that changes nothing; of a quiet one the title may be enough."""

    title: str
    rows: tuple[str, ...]
    quiet: bool = False


def list_notices(plan: Plan) -> Iterator[Notice]:
    """Yield what drifted elsewhere, what is unmanaged, and what was removed from the files."""
    if plan.unrelated_drift:
        number = count(len(plan.unrelated_drift), "resource")
        them = choose(len(plan.unrelated_drift), "it", "them")
        title = f"{number} drifted that this pull request does not touch; apply writes {them} back"
        yield Notice(title, tuple(map(str, plan.unrelated_drift)))
    if plan.not_applied:
        number = count(len(plan.not_applied), "resource")
        rows = tuple(row for change in plan.not_applied for row in _describe_not_applied(change))
        yield Notice(f"{number} merged and not applied yet; this is not drift", rows)
    if plan.unmanaged:
        number = count(len(plan.unmanaged), "unmanaged resource")
        title = f"{number} (live, not declared); not changed"
        yield Notice(title, tuple(map(str, plan.unmanaged)))
    if plan.released:
        title = f"{count(len(plan.released), 'field')} removed from the files; not changed"
        yield Notice(title, tuple(map(_describe_released, plan.released)))
    yield from _list_ignored(plan)
    if fields := tuple(
        finding.message for finding in plan.findings if finding.code == _ABOUT_FIELDS
    ):
        title = f"{count(len(fields), 'field')} set in PostHog but not declared"
        yield Notice(title, fields, quiet=True)


def _describe_not_applied(change: Change) -> Iterator[str]:
    """Say what apply would still do: a row per field or object, and what it waits for."""
    gate, waits = change.gate, ""
    if gate.change_request is not None and gate.verdict in _ASKED:
        waits = f" ({_ASKED[gate.verdict]} change request {shorten_id(gate.change_request)})"
    if change.action is not Action.UPDATE:
        what = "to be created" if change.action is Action.CREATE else "to be deleted"
        yield f"{change.address}: {what}{waits}"
        return
    for field in change.fields:
        sides = f"{values.format_flow(field.live)} → {values.format_flow(field.desired)}"
        yield f"{change.address}: {field.path} {sides}{waits}"


def _list_ignored(plan: Plan) -> Iterator[Notice]:
    whole = tuple(str(ignored.address) for ignored in plan.ignored if not ignored.path)
    if whole:
        title = f"{count(len(whole), 'resource')} ignored (`ignore` in reconciler.yaml)"
        yield Notice(title, whole, quiet=True)
    fields = tuple(_describe_ignored(ignored) for ignored in plan.ignored if ignored.path)
    if fields:
        verb = choose(len(fields), "differs", "differ")
        title = f"{count(len(fields), 'ignored field')} {verb} (`lifecycle.ignore`)"
        yield Notice(title, fields)


def _describe_ignored(ignored: Ignored) -> str:
    sides = f"{values.format_flow(ignored.desired)} → {values.format_flow(ignored.live)}"
    return f"{ignored.address}: {ignored.path} {sides}"


def _describe_released(released: Released) -> str:
    stays = values.format_flow(None if released.live is ABSENT else released.live)
    return f"{released.address}: {released.path} stays {stays}"


def merge_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings; those that differ only in the resource they name become one."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for number, finding in enumerate(findings):
        groups.setdefault(_without_resource(finding, number), []).append(finding)
    return tuple(shown for group in groups.values() for shown in _merge_group(group))


def _without_resource(finding: Finding, number: int) -> tuple[object, ...]:
    """Return what a finding has in common with those about other resources."""
    if finding.address is None:
        return (number,)
    rest = finding.message.replace(str(finding.address), "", 1)
    return (finding.code, finding.severity, finding.why, finding.fix, rest)


def _merge_group(group: list[Finding]) -> Iterator[Finding]:
    """Yield one finding that names all resources, if the messages do name them."""
    first = group[0]
    if len({finding.message for finding in group}) < len(group) or len(group) == 1:
        yield from group
        return
    names = [str(finding.address) for finding in group]
    shown = ", ".join(names[:_NAMED])
    rest = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    yield replace(first, message=first.message.replace(names[0], shown + rest, 1))


def list_findings(plan: Plan) -> tuple[Finding, ...]:
    """Return those that are shown one by one, worst first, then by place."""
    shown = merge_findings(finding for finding in plan.findings if finding.code != _ABOUT_FIELDS)
    return tuple(
        sorted(shown, key=lambda finding: (_SEVERITIES.index(finding.severity), finding.sort_key))
    )
