"""Whether a policy covered a past write, where generations and owners of flags differ."""

import pytest

from reconciler.plan.approvals import past_coverage
from tests.unit.drift.worlds import FLAG, at, declared, policy, there, world

PLAN = {"key": "plan", "type": "person", "operator": "exact", "value": ["pro"]}
UPDATE, EXPERIMENT = "feature_flag.update", "experiment.update"
BEFORE = {"filters": {"groups": [{"properties": [], "rollout_percentage": 10}]}}
TARGETING = {"filters": {"groups": [{"properties": [PLAN], "rollout_percentage": 10}]}}
ROLLOUT = {"filters": {"groups": [{"properties": [], "rollout_percentage": 90}]}}
VERSIONS, OWNERS, SWITCH = "only some versions", "if a survey", "if PostHog has switched"
EXPERIMENTAL, EARLY = {"experiment_set": [1]}, {"features": [{"id": "x"}]}


def cover(after, *actions, archived=False, **flag):
    """The cover of one write; without `archived` the server is of the first generation."""
    payload = flag if archived is None else {"archived": archived, **flag}
    live = world(there(**BEFORE, **payload), *map(policy, actions))
    return past_coverage.PastCoverage(live, declared()).find_cover(FLAG, BEFORE, after, at(5))


@pytest.mark.parametrize(
    ("after", "actions", "flag", "covered", "doubts"),
    [
        (TARGETING, [UPDATE], {}, None, [OWNERS, VERSIONS]),
        (TARGETING, [UPDATE], EXPERIMENTAL, False, []),
        (TARGETING, [UPDATE], {"archived": None}, False, []),
        (TARGETING, [UPDATE, EXPERIMENT], {}, None, [OWNERS]),
        (TARGETING, [UPDATE, EXPERIMENT], EXPERIMENTAL, False, []),
        (ROLLOUT, [UPDATE], {}, True, []),
        (ROLLOUT, [UPDATE], EXPERIMENTAL, None, [SWITCH]),
        (ROLLOUT, [EXPERIMENT], {}, False, []),
        (ROLLOUT, [UPDATE, EXPERIMENT], EXPERIMENTAL, True, []),
        (ROLLOUT, [UPDATE, EXPERIMENT], EARLY, False, []),
        (ROLLOUT, [], {}, False, []),
    ],
)
def test_a_write_counts_as_covered_only_if_every_possible_server_gates_it(
    after, actions, flag, covered, doubts
):
    found = cover(after, *actions, **flag)

    assert found.covered is covered
    assert [doubt for doubt in (OWNERS, SWITCH, VERSIONS) if doubt in found.note] == doubts


def test_the_policy_of_the_owner_is_named():
    """Where an experiment policy is visible, it governs the flags of experiments."""
    found = cover(ROLLOUT, UPDATE, EXPERIMENT, **EXPERIMENTAL)

    assert found.policy == f"ApprovalPolicy/acme/Web/{EXPERIMENT}"
