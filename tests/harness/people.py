"""From a number to a world in which roles, levels and a default role move beside policies.

What the files want weakens nothing as a whole; done in another order, or by half, it would.
"""

from random import Random

from tests import acme
from tests.harness.scenario import Scenario, legacy, world

NAMES = ("alice@acme.test", "bob@acme.test", "carol@acme.test")
UPDATE, ENABLE, DISABLE = "feature_flag.update", "feature_flag.enable", "feature_flag.disable"


def from_number(number):
    """A seed, the files at the base (`[]`: no git), and the files that are applied."""
    chance = Random(number * 31 + 7)
    there = {"Captains": chance.choice([None, [], [NAMES[0]]]), "Mates": [NAMES[1]], "Crew": []}
    wanted = dict(there)
    documents, policies, before = [], [acme.policy(ENABLE)], []
    wanted["Captains"] = sorted(chance.sample(NAMES, chance.randint(2, 3)))
    documents += _new_policy(chance)
    if chance.random() < 0.5:  # somebody changes the way in which they may approve
        policy, documents_of, wanted_of = _another_way(chance)
        policies.append(policy)
        documents += documents_of
        wanted |= wanted_of
    documents += [
        _role(name, members) for name, members in wanted.items() if members != there[name]
    ]
    documents.append(acme.flag("waits", active=True))
    if chance.random() < 0.5:
        documents.append(acme.flag("passes", 40))
    if chance.random() < 0.6:
        before = [acme.flag("waits", 10)]
        before += [_role(name, members) for name, members in there.items() if members is not None]
        documents += [one for one in before if _place(one) not in map(_place, documents)]
    flags = [acme.live_flag("waits", 10), acme.live_flag("passes", 10), legacy()]
    roles = [{"name": n, "members": members} for n, members in there.items() if members is not None]
    made = world(policies, flags)
    made["organizations"][0]["roles"] += roles
    chance.shuffle(documents)
    return Scenario(made, documents, chain=1, number=number), before


def _place(document):
    return document["kind"], sorted(document["metadata"].items())


def _role(name, members):
    return acme.document("Role", {"members": list(members or ())}, name=name)


def _new_policy(chance):
    """A policy that names a role for the first time, or a level, or the role of whoever joins."""
    spec = {"approvers": {"quorum": 1, "users": [NAMES[0]]}, "enabled": True}
    how = chance.choice(["approvers", "bypass", "both"])
    if how != "bypass":
        users = chance.choice([[], [NAMES[0]]])
        spec["approvers"] = {"quorum": 1, "users": users, "roles": ["Captains"]}
    if how != "approvers":
        spec["bypass_roles"] = ["Captains"]
    if chance.random() < 0.4:
        spec["bypass_levels"] = ["admin"]
        yield acme.document("Member", {"level": "admin"}, email=NAMES[1])
    if chance.random() < 0.4:
        yield acme.document("Organization", {"enforce_2fa": True, "default_role": "Captains"})
    project = chance.choice(["Web", "Mobile"])
    yield acme.document("ApprovalPolicy", spec, project=project, action=DISABLE)


def _another_way(chance):
    """A live policy, and files by which bob approves by another way than before."""
    ways = {  # users and roles of the policy, who holds Mates and Crew
        "user": ([NAMES[1]], ["Crew", "Mates"], [], []),
        "mate": ([], ["Crew", "Mates"], [NAMES[1]], []),
        "crew": ([], ["Crew", "Mates"], [], [NAMES[1]]),
    }
    users, roles, mates, crew = ways[chance.choice(["user", "crew"])]
    former = {"quorum": 1, "users": [NAMES[0]], "roles": roles}
    spec = {"approvers": {"quorum": 1, "users": sorted({NAMES[0], *users}), "roles": roles}}
    document = acme.document(
        "ApprovalPolicy", {**spec, "enabled": True}, project="Web", action=UPDATE
    )
    return (
        acme.policy(UPDATE, approver_config=former, conditions=_STEEP),
        [document],
        {"Mates": mates, "Crew": crew},
    )


_STEEP = {
    "type": "change_amount",
    "field": "rollout_percentage",
    "operator": ">",
    "value": 90,
}
