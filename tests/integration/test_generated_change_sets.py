"""Change sets that make an approval easier to get: each is found, and benign ones are left alone.

What is weaker is counted by brute force (`gate_worlds`), apart from the product.
"""

from copy import deepcopy
from dataclasses import replace
from random import Random

import pytest
from hypothesis import assume, given

from reconciler.model import Severity
from reconciler.plan import planner
from reconciler.plan.guardrails import checks
from reconciler.plan.guardrails.checks import GuardrailLimits
from reconciler.plan.selection import PlanOptions
from tests.effort import TIMES, effort
from tests.unit.plan import gate_worlds
from tests.unit.plan.gate_worlds import CONDITIONS, ENABLE, KEYS, PEOPLE, ROLES, UPDATE, State
from tests.unit.plan.weakening.test_effects import planned

EVIL = BENIGN = effort(200, 100_000 * TIMES, hunt=500)
BROAD, NARROW = CONDITIONS[1], CONDITIONS[2]
ALLOWED = PlanOptions(limits=GuardrailLimits(allow_weakening=True))


def errors(before, after, options=None, **more):
    """The codes of the errors of the plan from one state to the other."""
    made = planner.build_plan(
        desired=gate_worlds.declared(after, **more),
        base=None,
        live=gate_worlds.live(before),
        options=options or PlanOptions(),
    )
    return {finding.code for finding in made.findings if finding.severity is Severity.ERROR}


def weaker(before, after):
    """Whether some gate is weaker afterwards, in any respect."""
    for key in KEYS:
        old, new = (state.strictness(key, holds=False) for state in (before, after))
        if old is not None and (new is None or not new.covers(old)):
            return True
    return False


@given(ends=gate_worlds.states())
def test_found_is_what_counting_finds(ends):
    """Both ways; a policy that is disabled is compared as if it were on, which is stricter."""
    before, after = ends
    policies = [*before.policies.values(), *after.policies.values()]
    assume(all(policy is None or policy["enabled"] for policy in policies))

    assert ("policy-weakened" in errors(before, after)) is weaker(before, after)


class Dice:
    """Seeded worlds, and steps of which each moves one thing."""

    def __init__(self, seed):
        self.random = Random(seed)  # noqa: S311  a die, not a secret

    def some(self, values):
        return [value for value in values if self.random.random() < 0.4]

    def state(self):
        policies = {key: self.policy() for key in KEYS if self.random.random() < 0.8}
        return State(
            {key: policies.get(key) for key in KEYS},
            {role: frozenset(self.some(PEOPLE)) for role in ROLES},
            {email: self.random.choice(["member", "admin"]) for email in PEOPLE},
        )

    def policy(self):
        return {
            "enabled": True,
            "conditions": self.random.choice(CONDITIONS),
            "approvers": {
                "quorum": self.random.randint(2, 3),
                "users": self.some(PEOPLE),
                "roles": self.some(ROLES),
            },
            "allow_self_approve": False,
            "bypass_levels": self.some(["owner"]),
            "bypass_roles": self.some(ROLES),
            "expires_after": "36h",
        }

    def step(self, state, steps):
        """The state after one step that does something, if there is one."""
        key = self.random.choice([key for key in KEYS if state.policies[key]] or [None])
        if key is None:
            return state
        after = State(*(deepcopy(part) for part in (state.policies, state.roles, state.levels)))
        self.random.choice(steps)(self, after, key)
        return after


def _put(name, value):
    def step(_, state, key):
        state.policies[key] = {**state.policies[key], name: value}

    return step


def _approvers(change):
    def step(dice, state, key):
        approvers = {k: deepcopy(v) for k, v in state.policies[key]["approvers"].items()}
        change(dice, approvers)
        state.policies[key] = {**state.policies[key], "approvers": approvers}

    return step


def _quorum(by):
    return _approvers(lambda _, found: found.update(quorum=max(1, found["quorum"] + by)))


def _listed(name, values):
    def change(dice, found):
        found[name] = sorted({*found[name], dice.random.choice(values)})

    return _approvers(change)


def _shortened(name):
    return _approvers(lambda _, found: found.update({name: found[name][1:]}))


def _joins(dice, state, _):
    role = dice.random.choice(ROLES)
    state.roles[role] = state.roles[role] | {dice.random.choice(PEOPLE)}


def _leaves(dice, state, _):
    role = dice.random.choice(ROLES)
    state.roles[role] = frozenset(sorted(state.roles[role])[1:])


def _level(level):
    def step(dice, state, _):
        state.levels[dice.random.choice(PEOPLE)] = level

    return step


def _gone(_, state, key):
    state.policies[key] = None


def _new(dice, state, _):
    free = [key for key in KEYS if state.policies[key] is None]
    if free:
        state.policies[dice.random.choice(free)] = dice.policy()


EVIL_STEPS = [
    _quorum(-1),
    _listed("users", PEOPLE),
    _listed("roles", ROLES),
    _put("allow_self_approve", value=True),
    _put("bypass_levels", ["admin", "owner"]),
    _put("bypass_levels", ["member", "owner"]),
    _put("bypass_roles", list(ROLES)),
    _put("conditions", NARROW),
    _put("conditions", {"type": "before_after", "field": "x", "operator": ">", "value": 1}),
    _put("expires_after", "14d"),
    _put("enabled", value=False),
    _gone,
    _joins,
    _level("owner"),
]
GOOD_STEPS = [
    _quorum(1),
    _shortened("users"),
    _shortened("roles"),
    _put("conditions", {}),
    _put("bypass_levels", []),
    _put("bypass_roles", []),
    _leaves,
    _level("member"),
    _new,
]


def changed(dice, before, steps, most):
    """The state after a few steps."""
    after = before
    for _ in range(dice.random.randint(1, most)):
        after = dice.step(after, steps)
    return after


def _changes_the_way(dice, state, key):
    """Somebody who may approve by name may approve by a role, or the other way round."""
    approvers = state.policies[key]["approvers"]
    named = [role for role in ROLES if role in approvers["roles"]]
    if not named:
        return
    role, email = dice.random.choice(named), dice.random.choice(PEOPLE)
    listed, held = email in approvers["users"], email in state.roles[role]
    if listed == held:
        return
    users = {*approvers["users"]} ^ {email}
    state.policies[key] = {
        **state.policies[key],
        "approvers": {**approvers, "users": sorted(users)},
    }
    state.roles[role] = state.roles[role] ^ {email}


def _changes_the_role(dice, state, _):
    """Somebody leaves one role and comes into the other."""
    one, other = dice.random.sample(ROLES, 2)
    for email in sorted(state.roles[one] - state.roles[other])[:1]:
        state.roles[one] = state.roles[one] - {email}
        state.roles[other] = state.roles[other] | {email}


LEFT = effort(20, 10_000 * TIMES, hunt=40)
MOVES = [*GOOD_STEPS, _new, _joins, _level("admin"), _changes_the_way, _changes_the_role]


def test_what_is_left_of_a_run_is_never_refused_where_the_whole_was_not():
    """Wherever a run stops, in an order that it may take: no base, the same files again."""
    refused, seen, seed = [], 0, 100_000
    while seen < LEFT:
        dice, seed = Dice(seed), seed + 1
        before = dice.state()
        after = changed(dice, before, MOVES, 4)
        moving, codes = planned(before, after)
        if before == after or codes & {"policy-weakened", "cycle"}:
            continue
        seen += 1
        done = set()
        while left := sorted(address for address in moving if address not in done):
            ready = [address for address in left if moving[address] <= done]
            done.add(dice.random.choice(ready))
            now = gate_worlds.between(before, after, done)
            if errors(now, after) & checks.CODES:
                refused.append((before, after, sorted(map(str, done))))

    assert refused == []


def test_no_evil_change_set_passes_without_the_flag():
    """One step that weakens, among others that strengthen, and a flag that would use it."""
    passed, seen, seed = [], 0, 0
    while seen < EVIL:
        dice, seed = Dice(seed), seed + 1
        before = dice.state()
        after = changed(dice, before, EVIL_STEPS, 1)
        after = changed(dice, after, GOOD_STEPS, 3)
        if not weaker(before, after):
            continue  # the others made good for it
        seen += 1
        if not errors(before, after) & checks.CODES:
            passed.append((before, after))

    assert passed == []


def test_benign_change_sets_are_left_alone():
    """Stricter gates, people with less, flags: at most one false alarm in 200."""
    alarms, seen, seed = [], 0, 0
    while seen < BENIGN:
        dice, seed = Dice(seed), seed + 1
        before = dice.state()
        after = changed(dice, before, GOOD_STEPS, 5)
        if weaker(before, after):
            continue
        seen += 1
        if "policy-weakened" in errors(before, after):
            alarms.append((before, after))

    assert len(alarms) <= BENIGN * 0.005, alarms[0]


@pytest.mark.parametrize("project", gate_worlds.PROJECTS)
def test_a_weakening_that_is_allowed_is_never_used_in_the_same_run(project):
    """Whatever opens the gate of a flag that changes in this run: refused, with the flag or not."""
    key = (project, UPDATE)
    people = frozenset({"ci@acme.test"})
    for step in (
        _put("enabled", value=False),
        _put("conditions", NARROW),
        _put("bypass_levels", ["admin"]),
        _put("bypass_roles", ["Crew"]),
        _gone,
    ):
        dice = Dice(1)
        spec = {**dice.policy(), "conditions": BROAD, "bypass_levels": [], "bypass_roles": ["Ops"]}
        before = State(dict.fromkeys(KEYS) | {key: spec}, {"Ops": frozenset(), "Crew": people})
        after = replace(before, policies=dict(before.policies))
        step(dice, after, key)

        assert "weakened-and-used" in errors(before, after, ALLOWED, rollout=40)
        assert errors(before, after, ALLOWED, flags=()) == set()
    before = State(dict.fromkeys(KEYS) | {key: spec}, {"Ops": frozenset()})
    joined = replace(before, roles={"Ops": people})
    assert "weakened-and-used" in errors(before, joined, ALLOWED, rollout=40)


def test_a_policy_that_changes_both_ways_is_not_met_by_flags_of_the_same_run():
    """It goes before them, so they would be asked for less."""
    key = KEYS[0]
    spec = {**Dice(1).policy(), "conditions": {}, "bypass_levels": [], "bypass_roles": []}
    mixed = {**spec, "approvers": {**spec["approvers"], "quorum": 1}, "expires_after": "1h"}
    before, after = (State(dict.fromkeys(KEYS) | {key: one}) for one in (spec, mixed))

    assert ENABLE != key[1]
    assert "weakened-and-used" in errors(before, after, ALLOWED)
    assert errors(before, after, ALLOWED, flags=("Mobile",)) == set()
