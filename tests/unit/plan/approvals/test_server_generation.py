"""How the age of a server is learnt from what it answers, and what follows from not knowing it."""

from dataclasses import replace

import pytest

from reconciler.model import Confidence, Verdict
from reconciler.plan.approvals.server_generation import Generation, list_possible_generations
from tests.unit.plan.approvals.test_forecast import (
    ENABLE,
    UPDATE,
    gate,
    live_flag,
    policy,
    request,
    rollouts,
    world,
)

YOUNG, OLD = live_flag(key="young", id_="1"), live_flag(key="old", id_="2")
del OLD.payload["archived"]


def levels(*values):
    return replace(policy(), payload={"bypass_org_membership_levels": [*values]})


def newer(found):
    intent = {**found.payload["intent"], "skip_opportunistic_filter_cleanup": False}
    return replace(found, payload={**found.payload, "intent": intent})


def targeting(found):
    paths = ("bucketing_identifier", "early_exit", "groups[0]")
    changes = {"release_conditions": [{"path": path, "value": None} for path in paths]}
    intent = {**found.payload["intent"], "gated_changes": changes}
    return replace(found, payload={**found.payload, "intent": intent})


def without_access(found):
    errors = {"access": "The person who requested this has no access"}
    return replace(found, payload={**found.payload, "validation_errors": errors})


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (world(YOUNG), "g3 g2"),
        (world(OLD), "g1"),
        (world(OLD, YOUNG), "g3 g2"),
        (world(YOUNG, policy("experiment.pause")), "g3"),
        (world(OLD, policy("experiment.pause")), "g1"),
        (world(), "g3 g2 g1"),
        (world(levels(8, 15)), "g3 g2 g1"),
        (world(levels("8")), "g1"),
        (world(change_requests=(request({"active": True}),)), "g3 g2 g1"),
        (world(change_requests=(newer(request({"active": True})),)), "g3 g2"),
        (world(rejections=(newer(request({"active": True})),)), "g3 g2"),
        (world(YOUNG, change_requests=(targeting(request({"active": True})),)), "g3"),
        (world(YOUNG, change_requests=(without_access(request({"active": True})),)), "g3"),
    ],
)
def test_what_gives_a_server_away(live, expected):
    """Flags first; without one, its requests and its policies."""
    assert list_possible_generations(live) == tuple(map(Generation, expected.split()))


BORN = {"active": True, "filters": rollouts(50)}


def test_an_old_server_gates_no_create_and_the_plan_says_so():
    """The policy covers it all the same."""
    found = gate(world(OLD, policy(ENABLE)), {"active": True, "filters": rollouts(0)})

    assert (found.verdict, found.confidence) == (Verdict.NONE, Confidence.CERTAIN)
    assert "does not gate creates" in found.note
    assert ENABLE in found.note


def test_of_a_server_of_unknown_age_a_create_is_forecast_as_likely():
    """No flag tells it: likely, with the reason."""
    found = gate(world(policy(ENABLE)), {"active": True, "filters": rollouts(0)})

    assert (found.verdict, found.confidence) == (Verdict.APPROVAL, Confidence.LIKELY)
    assert "shows the version" in found.note
    free = gate(world(policy(ENABLE)), {"active": False, "filters": rollouts(0)})
    assert "age" not in free.note


def test_an_old_server_looks_at_one_action_a_call_so_nothing_has_to_be_split():
    """The calls wait one after the other, as they do in a split."""
    there = live_flag()
    del there.payload["archived"]
    live = world(there, policy(ENABLE), policy(UPDATE))

    found = gate(live, {"active": True, "filters": rollouts(50)})

    assert (found.verdict, found.confidence) == (Verdict.APPROVAL, Confidence.CERTAIN)
    assert found.policy == f"ApprovalPolicy/acme/Web/{UPDATE}"


def test_old_servers_have_positions_of_their_own_and_no_release_conditions():
    """What no file sets is sent along as it is live; a holdout is not a position yet."""
    release = {"type": "any_change", "field": "release_conditions"}
    everything = {}
    super_groups = {"super_groups": [{"rollout_percentage": 5}]}
    conditions = {"groups": [{"properties": [{"key": "a", "type": "b"}]}]}
    for before, filters, rules, expected in (
        (rollouts(10, **super_groups), conditions, everything, Verdict.APPROVAL),
        (rollouts(10, **super_groups), rollouts(10, x=1), everything, Verdict.NONE),
        (None, rollouts(10, **super_groups), everything, Verdict.NONE),
        (None, rollouts(10, holdout={"exclusion_percentage": 5}), everything, Verdict.NONE),
        ({"groups": [{"properties": []}]}, conditions, release, Verdict.NONE),
    ):
        there = live_flag(before)
        del there.payload["archived"]

        assert gate(world(there, policy(UPDATE, rules)), {"filters": filters}).verdict is expected
