"""Whether a set of changes makes an approval easier to get. `weakening_order` has the order.

A weaker policy is an error (`policy-weakened`), also if it is stronger in another respect. So is
what weakens a policy without touching it: somebody comes into a role that may approve or bypass,
newcomers are given such a role, somebody's level becomes one that bypasses, a role goes that a
policy still names.

What may turn out weaker is said, and refused by nobody: a policy of the project's own takes the
place of an organization-wide one, which cannot be read (`policy-shadows`); a member becomes an
admin, who may change policies (`policy-weakening-possible`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from reconciler.model import Action, Change, Finding, Live, Severity, parse_path
from reconciler.plan.approvals import policies as approvals_policies
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.weakening.compare import Reason, compare
from reconciler.plan.weakening.membership import PEOPLE, Effects
from reconciler.plan.weakening.partial_apply import Begun, Rest

_ALLOW: Final = "if that is meant, apply it by itself with --allow-weakening; else take it back"


def find(
    changes: tuple[Change, ...], live: Live, begun: Begun | None = None
) -> tuple[Finding, ...]:
    """Find all that weakens a policy, or may, in the order of the changes.

    What is the rest of a commit whose apply began is a notice.
    """
    before = approvals_policies.list_live_policies(live)
    effects = Effects(changes, live, _staying(changes, before))
    rest = Rest(begun, live, changes) if begun is not None else None
    return tuple(
        finding
        for change in changes
        if change.action is not Action.NONE
        for finding in (
            _of_policy(change, before, effects, rest)
            if change.address.kind == approvals_policies.KIND
            else _of_people(change, effects, rest)
        )
    )


def words(changes: tuple[Change, ...], live: Live) -> frozenset[str]:
    """Return words that every relevant document contains; none if nothing weakens.

    Documents of the policies, of the roles that they name, and of the people whose level moves.
    """
    moving = {change.address.kind for change in changes if change.action is not Action.NONE}
    if moving.isdisjoint({approvals_policies.KIND, *PEOPLE}):
        return frozenset()
    if all(finding.severity is not Severity.ERROR for finding in find(changes, live)):
        return frozenset()
    found = {"default_role"}
    before = approvals_policies.list_live_policies(live)
    for old, new in _staying(changes, before):
        for policy in (old, new):
            found.add(policy.action)
            found.update(policy.spec.get("bypass_roles") or ())
            found.update((policy.spec.get("approvers") or {}).get("roles") or ())
    found.update(
        c.address.name for c in changes if c.address.kind in {"Member", "Role"} and c.fields
    )
    return frozenset(found)


_Policies = Mapping[approvals_policies.Scope, Mapping[str, Policy]]


def _staying(changes: tuple[Change, ...], before: _Policies) -> Iterator[tuple[Policy, Policy]]:
    """(before, after) of every live policy that the plan leaves in place."""
    moving: dict[tuple[approvals_policies.Scope, str | None], Change] = {
        (change.address.parts[:-1], change.live_id): change
        for change in changes
        if change.address.kind == approvals_policies.KIND and change.live_id is not None
    }
    for scope, policies in before.items():
        for policy in policies.values():
            change = moving.get((scope, policy.id))
            after = policy if change is None else approvals_policies.predict_policy(change, policy)
            if after is not None:
                yield policy, after


def _of_policy(
    change: Change, policies: _Policies, effects: Effects, rest: Rest | None
) -> Iterator[Finding]:
    before = approvals_policies.find_policy(policies.get(change.address.parts[:-1], {}), change)
    after = approvals_policies.predict_policy(change, before)
    comparison = compare(before, after, effects.before, effects.after)
    begun = {
        reason
        for reason in comparison.weaker
        if rest is not None and rest.covers_reason(before, after, reason)
    }
    if weaker := tuple(reason for reason in comparison.weaker if reason not in begun):
        yield _weakened(change, weaker, comparison.stronger)
    yield from _begun(change, (reason.text for reason in comparison.weaker if reason in begun))
    starts = before is None or not before.enabled or before.action != change.address.name
    if after is not None and after.enabled and starts:
        yield Finding(
            code="policy-shadows",
            severity=Severity.NOTICE,
            message=f"{change.address} takes the place of an organization-wide policy, if any",
            why="a project's own policy replaces it, and a write that both would hold back is "
            "refused (policy_conflict); whether this one is weaker cannot be told, because no "
            "endpoint shows the other",
            source=change.source,
            address=change.address,
        )


def _weakened(change: Change, weaker: tuple[Reason, ...], stronger: tuple[Reason, ...]) -> Finding:
    why = f"though stronger in this: {_listed(r.text for r in stronger)}" if stronger else ""
    resource, field = change.desired, weaker[0].field
    place = resource.locate(parse_path(field)) if resource is not None and field else None
    return Finding(
        code="policy-weakened",
        severity=Severity.ERROR,
        message=f"{change.address} is weakened: {_listed(r.text for r in weaker)}",
        why=why,
        fix=_ALLOW,
        source=place or change.source,
        address=change.address,
    )


def _begun(change: Change, sentences: Iterable[str]) -> Iterator[Finding]:
    if said := _listed(sentences):
        yield Finding(
            code="weakening-begun",
            severity=Severity.NOTICE,
            message=f"{change.address}, the rest of a started apply: {said}",
            why="what is live lies between the base and the files, and the commits since the base "
            "weaken nothing by it",
            source=change.source,
            address=change.address,
        )


def _of_people(change: Change, effects: Effects, rest: Rest | None) -> Iterator[Finding]:
    effect = effects.of(change)
    begun = [gain for gain in effect.weaker if rest is not None and rest.covers_gain(gain)]
    yield from _begun(change, (gain.text for gain in begun))
    if weaker := [gain.text for gain in effect.weaker if gain not in begun]:
        yield Finding(
            code="policy-weakened",
            severity=Severity.ERROR,
            message=f"{change.address} weakens a policy: {_listed(weaker)}",
            why="votes are counted against the roles and levels of the moment",
            fix=_ALLOW,
            source=change.source,
            address=change.address,
        )
    if effect.possible:
        yield Finding(
            code="policy-weakening-possible",
            severity=Severity.WARNING,
            message=f"{change.address} may weaken a policy: {_listed(effect.possible)}",
            source=change.source,
            address=change.address,
        )


def _listed(sentences: Iterable[str]) -> str:
    return "; ".join(sentences)
