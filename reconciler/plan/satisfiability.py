"""Check whether declared approval policies can be satisfied: names, and who may approve.

It uses the functions of planning, so that `validate --live` and `plan` never disagree.
"""

from collections.abc import Mapping

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Declared, Finding, Live
from reconciler.plan.approvals.approvers import People
from reconciler.plan.approvals.policies import Policy
from reconciler.plan.diff import references, three_way
from reconciler.plan.guardrails import new_names, rejected_changes


@dataclass(frozen=True, slots=True)
class Satisfiability:
    """What the live side says about what is declared."""

    unresolved: tuple[Finding, ...]  # names that nobody has, or several
    obstacles: Mapping[Address, tuple[str, ...]]  # of policies that too few can approve
    refused: tuple[Finding, ...] = ()  # changes that PostHog would refuse


def assess(desired: Declared, live: Live) -> Satisfiability:
    """Check everything declared against people and roles as this plan would leave them."""
    spelled = references.respell_references(desired, live)
    _, unresolved = references.resolve_names(spelled, desired, live)
    changes, problems = three_way.compare_all(spelled, None, live)
    named = new_names.find_misleading_names(changes, desired, live)
    people = People(changes, live)
    obstacles = {}
    for address, resource in desired.resources.items():
        if address.kind != "ApprovalPolicy" or resource.lifecycle.absent:
            continue
        if "approvers" not in resource.spec:
            continue
        policy = Policy(address, {**KINDS[address.kind].defaults, **resource.spec})
        obstacle = people.find_obstacles(policy, policy.quorum, people.list_approvers(policy))
        if policy.enabled and obstacle.are_too_few:
            obstacles[address] = obstacle.notes
    refused = tuple(
        finding
        for finding in rejected_changes.find_rejected_changes(changes, live)
        if finding.code == rejected_changes.CODE
    )
    return Satisfiability((*unresolved, *problems, *named), obstacles, refused)
