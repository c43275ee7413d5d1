"""From a number to a world, the files that are wanted in it, and what is true at the end.

Files use few fields on purpose: what must hold can then be said without any code of the program.
"""

import copy
from dataclasses import dataclass, field
from random import Random

from tests import acme

NOW = "2026-01-05T09:00:00Z"
APPROVERS = ["alice@acme.test", "bob@acme.test"]
ACTIONS = ("feature_flag.enable", "feature_flag.disable", "feature_flag.update")


@dataclass
class Scenario:
    """A world and what the files say. `chain` is the longest row of approvals of one flag."""

    seed: dict
    documents: list
    chain: int
    number: int = 0
    edits: list = field(default_factory=list)  # by people, while the program runs
    forgiven: int = 0  # rows of the ledger before the last commit: what was rejected may be asked


def world(policies, flags, mobile=(), **changes):
    """Acme with two projects; the pipeline's user has two keys, so that one can be revoked."""
    made = acme.seed(
        projects=[
            {"name": "Web", "id": 1, "approval_policies": policies, "feature_flags": flags},
            {"name": "Mobile", "id": 2, "approval_policies": list(mobile)},
        ],
        roles=[{"name": "Keepers", "members": ["alice@acme.test"]}],
        **changes,
    )
    for user in made["users"]:
        if user["email"] == "ci@acme.test":
            user["tokens"].append({"token": "phx_ci_spare", "scopes": ["*"]})
    return {"now": NOW, **made}


def six_writes():
    """Create a role, add a member, create a policy, create a flag, gated rollout, gated enable."""
    policies = [acme.policy("feature_flag.update"), acme.policy("feature_flag.enable")]
    flags = [acme.live_flag("rolled", 10), acme.live_flag("switched", 10), legacy()]
    documents = [
        acme.document("Role", {"members": ["bob@acme.test"]}, name="Release managers"),
        acme.document(
            "ApprovalPolicy",
            {"approvers": {"quorum": 2, "users": APPROVERS}, "enabled": True},
            project="Mobile",
            action="feature_flag.disable",
        ),
        acme.flag("fresh", 5, project="Mobile", active=False, name="Fresh"),
        acme.flag("rolled", 60),
        acme.flag("switched", active=True),
    ]
    return Scenario(world(policies, flags), documents, chain=1)


def legacy():
    """A flag that no file declares: nobody may touch it."""
    return acme.live_flag("legacy", 33, active=True, name="In no file")


def from_number(number):
    """A random scenario: some policies, some flags in any state, some wishes."""
    chance = Random(number)
    policies = [_policy(chance, action) for action in ACTIONS if chance.random() < 0.5]
    flags = [
        acme.live_flag(f"flag-{n}", chance.choice([0, 10, 50, 100]), active=chance.random() < 0.4)
        for n in range(chance.randint(1, 4))
    ]
    documents = [document for flag in flags for document in _wish(chance, flag)]
    documents += [
        acme.flag(f"new-{n}", chance.choice([0, 40]), active=chance.random() < 0.5, name="New")
        for n in range(chance.randint(0, 2))
    ]
    documents += _around(chance)
    chain = min(3, len(policies)) if policies else 0
    if not documents:
        documents = [acme.flag("new-0", 5, active=False, name="New")]
    there = [acme.policy(a, enabled=False) for a in ACTIONS if chance.random() < 0.4]
    return Scenario(world(policies, [*flags, legacy()], there), documents, chain, number)


def _policy(chance, action):
    conditions = {}
    if action == "feature_flag.update" and chance.random() < 0.5:
        conditions = {
            "type": "change_amount",
            "field": "rollout_percentage",
            "operator": ">",
            "value": chance.choice([5, 20]),
        }
    return acme.policy(action, conditions=conditions)


def _wish(chance, flag):
    """What the files want of a live flag: nothing, a delete, or some fields."""
    dice = chance.random()
    if dice < 0.15:
        return
    if dice < 0.3:
        gone = acme.flag(flag["key"])
        gone["metadata"]["lifecycle"] = {"state": "absent"}
        yield gone
        return
    spec = {}
    if chance.random() < 0.5:
        spec["name"] = chance.choice(["Named", "Renamed"])
    if chance.random() < 0.6:
        spec["active"] = chance.random() < 0.6
    rollout = chance.choice([None, 0, 10, 30, 100])
    if spec or rollout is not None:
        yield acme.flag(flag["key"], rollout, **spec)


def _around(chance):
    """Roles, people, a policy of the other project, the organization itself."""
    if chance.random() < 0.5:
        members = chance.sample(["alice@acme.test", "bob@acme.test", "carol@acme.test"], 2)
        yield acme.document("Role", {"members": sorted(members)}, name="Release managers")
    if chance.random() < 0.3:
        yield acme.document(
            "Role", {"members": ["alice@acme.test", "bob@acme.test"]}, name="Keepers"
        )
    if chance.random() < 0.4:
        spec = {
            "approvers": {"quorum": 2, "users": APPROVERS},
            "allow_self_approve": False,
            "enabled": chance.random() < 0.7,
        }
        action = chance.choice(ACTIONS)
        yield acme.document("ApprovalPolicy", spec, project="Mobile", action=action)
    if chance.random() < 0.3:
        level = chance.choice(["member", "admin"])
        yield acme.document("Member", {"level": level}, email="bob@acme.test")
    if chance.random() < 0.3:
        yield acme.document("Organization", {"enforce_2fa": True})


def touched(scenario, key):
    """The seed's flag of a key, or None."""
    flags = scenario.seed["organizations"][0]["projects"][0]["feature_flags"]
    return copy.deepcopy(next((flag for flag in flags if flag["key"] == key), None))
