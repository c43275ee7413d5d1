"""After any part of a run, in any order that it may take, no gate is weaker than at both ends."""

from itertools import combinations

from hypothesis import assume, given

from reconciler.model import Action, Address
from reconciler.plan import planner
from reconciler.plan.guardrails.checks import GuardrailLimits
from reconciler.plan.selection import PlanOptions
from tests.unit.plan import gate_worlds
from tests.unit.plan.gate_worlds import KEYS, PROJECTS, State, between

ALLOWED = PlanOptions(limits=GuardrailLimits(allow_weakening=True))


def planned(before, after, **more):
    """What moves, what each of it waits for, and the findings."""
    made = planner.build_plan(
        desired=gate_worlds.declared(after, **more),
        base=None,
        live=gate_worlds.live(before),
        options=ALLOWED,
    )
    moving = {c.address: set(c.depends_on) for c in made.changes if c.action is not Action.NONE}
    return moving, {finding.code for finding in made.findings}


def parts(moving):
    """Every set of changes that may have been carried out when a run stops."""
    addresses = sorted(moving)
    for number in range(len(addresses) + 1):
        for some in combinations(addresses, number):
            if all(moving[address] <= set(some) for address in some):
                yield frozenset(some)


def waits_for(moving, address):
    """Everything that comes before it for sure."""
    found, todo = set(), [address]
    while todo:
        fresh = moving[todo.pop()] - found
        found |= fresh
        todo += fresh
    return found


@given(ends=gate_worlds.states())
def test_no_gate_is_ever_weaker_than_the_weaker_of_before_and_after(ends):
    """All prefixes of all orders, exhaustively: policies, roles, levels."""
    before, after = ends
    moving, codes = planned(before, after)
    assume("cycle" not in codes)

    for done in parts(moving):
        now = between(before, after, done)
        for key in KEYS:
            old, new = before.strictness(key), after.strictness(key)
            if old is None or new is None:
                continue
            here = now.strictness(key)
            assert here is not None, (key, done)
            assert here.covers(old, new), (key, done)


def direction(one, other):
    """1 if the second state is stricter in every gate of a project, -1 if weaker, 0 if neither."""
    ways = {step(one[key], other[key]) for key in one} - {0}
    return ways.pop() if len(ways) == 1 else 0


def step(old, new):
    """The same for one gate; None if it is stricter in one way and weaker in another."""
    if old == new:
        return 0
    if old is None or new is None:
        return 1 if old is None else -1
    return 1 if new.covers(old) else -1 if old.covers(new) else None


@given(ends=gate_worlds.states())
def test_what_strengthens_comes_before_the_flags_and_what_weakens_after(ends):
    """Judged by each change alone, put on first and put on last."""
    before, after = ends
    moving, codes = planned(before, after)
    assume("cycle" not in codes)

    for project in PROJECTS:
        flag = Address("FeatureFlag", ("acme", project, "flag"))
        keys = [key for key in KEYS if key[0] == project]
        for address in moving:
            if address.kind == "FeatureFlag":
                continue
            ways = set()
            for without in (frozenset(), frozenset(moving) - {address}):
                states = (between(before, after, done) for done in (without, without | {address}))
                one, other = (
                    {key: state.strictness(key, holds=False) for key in keys} for state in states
                )
                ways.add(direction(one, other))
            if ways == {1}:
                assert address in waits_for(moving, flag), (address, project)
            if ways == {-1}:
                assert flag in waits_for(moving, address), (address, project)


def test_a_role_that_a_policy_lets_go_of_grows_only_afterwards():
    """The case in which two harmless changes let somebody in between."""
    role = {"quorum": 1, "users": ["alice@acme.test"], "roles": ["Ops"]}
    spec = {
        "enabled": True,
        "conditions": {},
        "approvers": role,
        "allow_self_approve": False,
        "bypass_levels": [],
        "bypass_roles": [],
        "expires_after": "14d",
    }
    key, alice, bob = KEYS[0], frozenset({"alice@acme.test"}), frozenset({"bob@acme.test"})
    named, free = spec, {**spec, "approvers": {**role, "roles": []}}
    policy, ops = Address("ApprovalPolicy", ("acme", *key)), Address("Role", ("acme", "Ops"))

    lets_go, _ = planned(
        State({key: named}, {"Ops": alice}), State({key: free}, {"Ops": bob | alice})
    )
    takes_on, _ = planned(State({key: free}, {"Ops": bob}), State({key: named}, {"Ops": alice}))

    assert policy in lets_go[ops]
    assert ops in takes_on[policy]
