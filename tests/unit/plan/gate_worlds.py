"""Small worlds of gates before and after a plan, and what they are worth at any moment between.

Strictness is counted here by brute force, apart from the product: who may approve, who is let
through, which steps of a percentage are held back.
"""

from dataclasses import dataclass, field
from itertools import product

from hypothesis import strategies as st

from reconciler.kinds import KINDS
from reconciler.model import (
    Address,
    Declared,
    Lifecycle,
    Live,
    LiveResource,
    Person,
    Resource,
    format_level,
)
from reconciler.plan.approvals.conditions import evaluate_conditions

UPDATE, ENABLE = "feature_flag.update", "feature_flag.enable"
PEOPLE = ("alice@acme.test", "bob@acme.test", "carol@acme.test")
ROLES = ("Ops", "Crew")
PROJECTS = ("Web", "Mobile")
KEYS = tuple(product(PROJECTS, (UPDATE, ENABLE)))
ROLLOUT = "rollout_percentage"
VALUES = (0, 10, 30, 31, 50, 70, 100)
PAIRS = tuple(pair for pair in product(VALUES, VALUES) if pair[0] != pair[1])
CONDITIONS = (
    {},
    {"type": "change_amount", "field": ROLLOUT, "operator": ">", "value": 20},
    {"type": "change_amount", "field": ROLLOUT, "operator": ">", "value": 40},
    {"type": "before_after", "field": ROLLOUT, "operator": ">", "value": 30},
)


@dataclass(frozen=True)
class State:
    """Policies by project and action, who holds which role, and whose level is what."""

    policies: dict = field(default_factory=dict)  # None: no policy
    roles: dict = field(default_factory=dict)
    levels: dict = field(default_factory=dict)

    def strictness(self, key, *, holds=True):
        """What a gate is worth; None if there is none. `holds`: each hold on a role for itself."""
        policy = self.policies.get(key)
        if policy is None or not policy["enabled"]:
            return None
        users, named = policy["approvers"]["users"], policy["approvers"]["roles"]
        held = {pair for pair in PAIRS if _gated(key, policy["conditions"], pair)}
        return Strictness(
            policy["approvers"]["quorum"],
            frozenset({*users, *named}) | self._holders(named, holds),
            policy["allow_self_approve"],
            self._holders(policy["bypass_roles"], holds)
            | {*policy["bypass_roles"], *policy["bypass_levels"]}
            | {email for email, level in self.levels.items() if level in policy["bypass_levels"]},
            frozenset(held),
            {"36h": 36, "14d": 336}[policy["expires_after"]],
        )

    def _holders(self, roles, holds):
        """People; and each hold on a role: who leaves one of two may have less tomorrow."""
        found = {(role, email) for role in roles for email in self.roles.get(role) or ()}
        return frozenset(found if holds else ()) | {email for _, email in found}


def _gated(key, conditions, pair):
    """Enabling has no numbers to look at: with conditions nothing is held (contract 4)."""
    if key[1] == ENABLE:
        return not conditions
    return evaluate_conditions(conditions, {ROLLOUT: ({"p": pair[0]}, {"p": pair[1]})}).gates


@dataclass(frozen=True)
class Strictness:
    """Every aspect of one gate."""

    quorum: int
    approvers: frozenset  # people, and the roles that may have more of them tomorrow
    own: bool
    passers: frozenset
    held: frozenset
    hours: int

    def covers(self, *others):
        """Whether no aspect is weaker than the weakest of the others."""
        return (
            self.quorum >= min(one.quorum for one in others)
            and self.approvers <= frozenset().union(*(one.approvers for one in others))
            and self.own <= any(one.own for one in others)
            and self.passers <= frozenset().union(*(one.passers for one in others))
            and self.held >= frozenset.intersection(*(one.held for one in others))
            and self.hours <= max(one.hours for one in others)
        )


def policies(draw):
    """A policy, or none."""
    people = st.lists(st.sampled_from(PEOPLE), unique=True, max_size=2)
    roles = st.lists(st.sampled_from(ROLES), unique=True, max_size=2)
    if draw(st.sampled_from([False, False, False, True])):
        return None
    return {
        "enabled": draw(st.sampled_from([True, True, True, True, False])),
        "conditions": draw(st.sampled_from(CONDITIONS)),
        "approvers": {
            "quorum": draw(st.integers(1, 3)),
            "users": sorted(draw(people)),
            "roles": sorted(draw(roles)),
        },
        "allow_self_approve": draw(st.booleans()),
        "bypass_levels": draw(st.sampled_from([[], ["owner"], ["admin", "owner"]])),
        "bypass_roles": sorted(draw(roles)),
        "expires_after": draw(st.sampled_from(["36h", "14d"])),
    }


@st.composite
def states(draw):
    """Two states that differ in a handful of resources."""
    moved = draw(st.sets(st.integers(0, 8), min_size=1, max_size=5))
    number = iter(range(9))

    def pair(make):
        before = make()
        return before, make() if next(number) in moved else before

    policy = {key: pair(lambda: policies(draw)) for key in KEYS}
    people = st.frozensets(st.sampled_from(PEOPLE), max_size=3)
    role = {name: pair(lambda: draw(people)) for name in ROLES}
    if draw(st.sampled_from([True, False, False])):  # a role that only comes
        role["Crew"] = (None, role["Crew"][1])
        policy = {key: (_without("Crew", two[0]), two[1]) for key, two in policy.items()}
    levels = st.sampled_from(["member", "admin", "owner"])
    level = {email: pair(lambda: draw(levels)) for email in PEOPLE}
    ends = [
        State(*({key: two[end] for key, two in part.items()} for part in (policy, role, level)))
        for end in (0, 1)
    ]
    return ends[0], ends[1]


def _without(role, policy):
    """The policy as it was when nobody could name the role."""
    if policy is None:
        return None
    approvers = policy["approvers"]
    return {
        **policy,
        "approvers": {**approvers, "roles": [one for one in approvers["roles"] if one != role]},
        "bypass_roles": [one for one in policy["bypass_roles"] if one != role],
    }


def live(state):
    """The state as it is read."""
    items = [
        LiveResource(Address("Organization", ("acme",)), "o", {}, {"membership_level": 8}),
        *(
            LiveResource(
                Address("FeatureFlag", ("acme", project, "flag")),
                str(number),
                {"filters": {"groups": [{"properties": [], ROLLOUT: 10}]}},
                {"id": number, "key": "flag", "version": 1, "active": True, "archived": False}
                | {"filters": {"groups": [{"properties": [], ROLLOUT: 10}]}},
            )
            for number, project in enumerate(PROJECTS, 1)
        ),
        *(
            LiveResource(
                Address("Role", ("acme", name)), f"r-{name}", {"members": sorted(held)}, {}
            )
            for name, held in state.roles.items()
            if held is not None
        ),
        *(
            LiveResource(Address("Member", ("acme", email)), f"u-{email}", {"level": level}, {})
            for email, level in state.levels.items()
        ),
        *(
            LiveResource(
                Address("ApprovalPolicy", ("acme", *key)),
                "p-{}-{}".format(*key),
                KINDS["ApprovalPolicy"].canonical(spec),
                {},
            )
            for key, spec in state.policies.items()
            if spec is not None
        ),
    ]
    people = {
        email: Person(number, f"u-{number}", email, None) for number, email in enumerate(PEOPLE)
    }
    me = Person(99, "u-99", "ci@acme.test", 8)
    projects = {Address("Project", ("acme", name)): ("1",) for name in PROJECTS}
    return Live(
        resources={item.address: item for item in items},
        ids={item.address: (item.id,) for item in items} | projects,
        duplicates={},
        people={"acme": people | {me.email: me}},
        me=me,
    )


def declared(state, *, rollout=30, flags=PROJECTS, more=()):
    """The state as the files want it, and flags that change beside it."""
    made = [
        Resource(
            Address("FeatureFlag", ("acme", project, "flag")),
            KINDS["FeatureFlag"].canonical(
                {"filters": {"groups": [{"properties": [], ROLLOUT: rollout}]}}
            ),
        )
        for project in flags
    ]
    for name, held in state.roles.items():
        made.append(Resource(Address("Role", ("acme", name)), {"members": sorted(held)}))
    for email, level in state.levels.items():
        made.append(Resource(Address("Member", ("acme", email)), {"level": level_word_of(level)}))
    for key, spec in state.policies.items():
        address = Address("ApprovalPolicy", ("acme", *key))
        if spec is None:
            made.append(Resource(address, {}, lifecycle=Lifecycle(absent=True)))
        else:
            made.append(Resource(address, KINDS["ApprovalPolicy"].canonical(spec)))
    made += more
    return Declared({resource.address: resource for resource in made}, "working tree")


def level_word_of(level):
    return level if isinstance(level, str) else format_level(level)


def between(before, after, done):
    """The state once the changes of these addresses are carried out, and no others."""

    def mixed(kind, old, new):
        moved = {key for key in new if Address(kind, ("acme", *parts(key))) in done}
        return {key: (new if key in moved else old)[key] for key in new}

    def parts(key):
        return key if isinstance(key, tuple) else (key,)

    return State(
        mixed("ApprovalPolicy", before.policies, after.policies),
        mixed("Role", before.roles, after.roles),
        mixed("Member", before.levels, after.levels),
    )
