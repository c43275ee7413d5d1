"""Whether the approvers that the files name can be enough, as far as the files tell."""

from collections.abc import Iterable, Iterator, Mapping

from reconciler.kinds import KINDS
from reconciler.model import Finding, Resource, Severity

_Roles = Mapping[tuple[str, str], frozenset[str]]  # organization, folded name -> emails


def findings(resources: Iterable[Resource]) -> Iterator[Finding]:
    """A warning for each policy whose users and roles together are fewer than its quorum.

    A role that is in no file, or whose members are not written, may be held by anybody.
    """
    policies: list[Resource] = []
    roles: dict[tuple[str, str], frozenset[str]] = {}
    for resource in resources:
        address = resource.address
        if address.kind == "ApprovalPolicy":
            policies.append(resource)
        elif address.kind == "Role" and "members" in resource.spec:
            held = () if resource.lifecycle.absent else resource.spec["members"]
            key = (address.organization, _fold(address.name))
            roles[key] = frozenset(person.casefold() for person in held)
    for policy in policies:
        yield from _policy(policy, roles)


def _policy(policy: Resource, roles: _Roles) -> Iterator[Finding]:
    approvers = policy.spec.get("approvers") or {}
    if not approvers.get("roles") or policy.lifecycle.absent:
        return  # without roles `oddities` can tell by itself
    people = {str(user).casefold() for user in approvers.get("users") or ()}
    for role in approvers["roles"]:
        held = roles.get((policy.address.organization, _fold(role)))
        if held is None:
            return
        people |= held
    quorum = approvers["quorum"]
    if len(people) < quorum:
        named = ", ".join(sorted(people)) or "nobody"
        yield Finding(
            "R021",
            Severity.WARNING,
            f"the quorum is {quorum}, but the files name only {len(people)} who can approve",
            why=f"users and holders of the roles together: {named}",
            fix="lower `quorum`, or name more approvers",
            source=policy.locate(("approvers", "quorum")),
            address=policy.address if policy.address.project is not None else None,
        )


def _fold(name: str) -> str:
    return name.casefold() if KINDS["Role"].folds_case else name
