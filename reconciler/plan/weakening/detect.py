"""Detect changes that make an approval easier to get. `compare` has the order of policies.

A weaker policy is an error (`policy-weakened`), also if it is stronger in another respect. So is a
change that weakens a policy without changing it: somebody joins a role that may approve or bypass,
new members get such a role, somebody gets a level that bypasses, a role is deleted that a policy
still names.

A possible weakening is reported and not refused: a policy of the project replaces an
organization-wide one, which cannot be read (`policy-shadows`); a member becomes an admin, who may
change policies (`policy-weakening-possible`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from reconciler.model import (
    GATING_ACTIONS,
    Address,
    Change,
    Finding,
    Live,
    Severity,
    Source,
    parse_path,
    select_written,
)
from reconciler.plan.approvals import policies as approvals_policies
from reconciler.plan.approvals import server_generation, write_gates
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.approvals.server_generation import Generations
from reconciler.plan.weakening import project_admins, widening
from reconciler.plan.weakening.compare import Reason, compare_policies
from reconciler.plan.weakening.membership import PEOPLE, MembershipEffects
from reconciler.plan.weakening.partial_apply import CompletionCheck, StartedCommits

_REPLACED: Final = (
    "until now the policy for experiments or flags gates these writes, without its condition"
)
_ACCESS: Final = project_admins.KIND
_FIELDS: Final = {**PEOPLE, _ACCESS: "project"}  # what decides who gets in
_SHOWN: Final = 10  # sentences of a finding
_ALLOW: Final = "if intended, apply it separately with --allow-weakening; otherwise undo the change"


def find_weakenings(
    changes: tuple[Change, ...], live: Live, started: StartedCommits | None = None
) -> tuple[Finding, ...]:
    """Find the changes that weaken a policy, or may, in the order of the changes.

    A change that completes a partly applied commit is a notice.
    """
    writes = select_written(changes)
    if not writes:
        return ()
    live_policies = approvals_policies.list_live_policies(live)
    effects = MembershipEffects(changes, live, _list_kept_policies(changes, live_policies))
    completion = CompletionCheck(started, live, changes) if started is not None else None
    admins = project_admins.find_new_admins(
        changes, live, completion.covers_admin if completion is not None else None
    )
    generations = server_generation.list_possible_generations(live)
    return tuple(
        finding
        for change in writes
        for finding in (
            _check_policy(change, live_policies, effects, completion, generations)
            if change.address.kind == approvals_policies.KIND
            else _check_access(change, admins, _check_people(change, effects, completion))
        )
    )


def list_search_words(changes: tuple[Change, ...], live: Live) -> frozenset[str]:
    """Return words that relevant documents contain; none if nothing weakens.

    These are documents of policies, of the roles that they name, and of people with a new level.
    """
    changed_kinds = {change.address.kind for change in select_written(changes)}
    if changed_kinds.isdisjoint({approvals_policies.KIND, _ACCESS, *PEOPLE}):
        return frozenset()
    if all(finding.severity is not Severity.ERROR for finding in find_weakenings(changes, live)):
        return frozenset()
    result = {"default_role", _ACCESS, *_list_ruled_roles(changes, live)}
    live_policies = approvals_policies.list_live_policies(live)
    for old, new in _list_kept_policies(changes, live_policies):
        for policy in (old, new):
            result.add(policy.action)
            result.update(policy.spec.get("bypass_roles") or ())
            result.update((policy.spec.get("approvers") or {}).get("roles") or ())
    result.update(
        c.address.name for c in changes if c.address.kind in {"Member", "Role"} and c.fields
    )
    return frozenset(result)


def _list_ruled_roles(changes: tuple[Change, ...], live: Live) -> Iterator[str]:
    """Yield the roles that rules of a project itself name, live or in the files."""
    specs = [each.spec for address, each in live.resources.items() if address.kind == _ACCESS]
    specs += [c.desired.spec for c in changes if c.address.kind == _ACCESS and c.desired]
    for spec in specs:
        yield from (spec.get("project") or {}).get("roles") or ()


_Policies = Mapping[approvals_policies.Scope, Mapping[str, Policy]]


def _list_kept_policies(
    changes: tuple[Change, ...], live_policies: _Policies
) -> Iterator[tuple[Policy, Policy]]:
    """Yield (before, after) of every live policy that the plan keeps."""
    policy_changes: dict[tuple[approvals_policies.Scope, str | None], Change] = {
        (change.address.parts[:-1], change.live_id): change
        for change in changes
        if change.address.kind == approvals_policies.KIND and change.live_id is not None
    }
    for scope, policies in live_policies.items():
        for policy in policies.values():
            change = policy_changes.get((scope, policy.id))
            after = policy if change is None else approvals_policies.predict_policy(change, policy)
            if after is not None:
                yield policy, after


def _check_policy(
    change: Change,
    policies: _Policies,
    effects: MembershipEffects,
    completion: CompletionCheck | None,
    generations: Generations,
) -> Iterator[Finding]:
    earlier = policies.get(change.address.parts[:-1], {})
    before = approvals_policies.find_policy(earlier, change)
    after = approvals_policies.predict_policy(change, before)
    replaced = write_gates.find_replaced_policy(after, earlier)
    comparison = compare_policies(
        replaced or before, after, effects.before, effects.after, generations=generations
    )
    completing = {
        reason
        for reason in comparison.weaker
        if completion is not None and completion.covers_reason(before, after, reason)
    }
    if weaker := tuple(reason for reason in comparison.weaker if reason not in completing):
        yield _report_weakened(change, weaker, comparison.stronger, replaced=replaced is not None)
    yield from _report_completion(
        change, (reason.text for reason in comparison.weaker if reason in completing)
    )
    is_new = before is None or not before.enabled or before.action != change.address.name
    gates = change.address.name in GATING_ACTIONS
    if after is not None and after.enabled and is_new and gates:
        yield Finding(
            code="policy-shadows",
            severity=Severity.NOTICE,
            message=f"{change.address} may replace an organization-wide policy",
            why="PostHog prefers the policy of a project, and refuses a write that both would "
            "gate (policy_conflict); no endpoint shows organization-wide policies, so the plan "
            "cannot say whether this one is weaker",
            source=change.source,
            address=change.address,
        )


def _report_weakened(
    change: Change, weaker: tuple[Reason, ...], stronger: tuple[Reason, ...], *, replaced: bool
) -> Finding:
    reasons = [f"but it is stronger in this: {_join_sentences(r.text for r in stronger)}"]
    why = "; ".join(
        [*([_REPLACED] if replaced else ()), *(reasons if stronger else ())],
    )
    weakened = "is weaker than the policy that it replaces" if replaced else "is weakened"
    return Finding(
        code="policy-weakened",
        severity=Severity.ERROR,
        message=f"{change.address} {weakened}: {_join_sentences(r.text for r in weaker)}",
        why=why,
        fix=_ALLOW,
        source=_locate_field(change, weaker[0].field),
        address=change.address,
    )


def _report_completion(change: Change, sentences: Iterable[str]) -> Iterator[Finding]:
    if text := _join_sentences(sentences):
        yield Finding(
            code="weakening-begun",
            severity=Severity.NOTICE,
            message=f"{change.address} completes an earlier apply: {text}",
            why="the live state is between the base and the files, and the commits since the base "
            "do not weaken this",
            source=change.source,
            address=change.address,
        )


def _check_access(
    change: Change,
    admins: Mapping[Address, tuple[project_admins.AdminGain, ...]],
    others: Iterable[Finding],
) -> Iterator[Finding]:
    """Yield one finding about settings and access rules that widen access, then the others."""
    gains = admins.get(change.address, ())
    yield from _report_completion(change, (gain.text for gain in gains if gain.completes))
    settings = widening.find_widened_settings(change)
    gained = [gain.text for gain in gains if not gain.completes]
    wider = [*(setting.text for setting in settings), *gained]
    if wider:
        field = settings[0].field if settings else _FIELDS.get(change.address.kind)
        rest = f"; and {len(wider) - _SHOWN} more" if len(wider) > _SHOWN else ""
        yield Finding(
            code="policy-weakened",
            severity=Severity.ERROR,
            message=f"{change.address} widens access: {_join_sentences(wider[:_SHOWN])}{rest}",
            fix=_ALLOW,
            source=_locate_field(change, field),
            address=change.address,
        )
    yield from others


def _check_people(
    change: Change, effects: MembershipEffects, completion: CompletionCheck | None
) -> Iterator[Finding]:
    effect = effects.find_effect(change)
    completing = [
        gain for gain in effect.weaker if completion is not None and completion.covers_gain(gain)
    ]
    yield from _report_completion(change, (gain.text for gain in completing))
    source = _locate_field(change, PEOPLE.get(change.address.kind))
    if weaker := [gain.text for gain in effect.weaker if gain not in completing]:
        yield Finding(
            code="policy-weakened",
            severity=Severity.ERROR,
            message=f"{change.address} weakens a policy: {_join_sentences(weaker)}",
            why="PostHog counts the votes of everybody who is an approver at the time of the vote",
            fix=_ALLOW,
            source=source,
            address=change.address,
        )
    if effect.possible:
        yield Finding(
            code="policy-weakening-possible",
            severity=Severity.WARNING,
            message=f"{change.address} may weaken a policy: {_join_sentences(effect.possible)}",
            source=source,
            address=change.address,
        )


def _locate_field(change: Change, field: str | None) -> Source | None:
    """Return where a field is written, or its document if it is not written."""
    resource = change.desired
    place = resource.locate(parse_path(field)) if resource is not None and field else None
    return place or change.source


def _join_sentences(sentences: Iterable[str]) -> str:
    return "; ".join(sentences)
