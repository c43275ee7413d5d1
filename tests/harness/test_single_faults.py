"""Every fault at every request of a plan of six writes; pairs of them in the soak.

The gate tries a part of them, in which every fault and every request occurs.
"""

import itertools

import pytest

from tests.effort import cross, effort
from tests.harness import campaign, scenario
from tests.harness.campaign import (
    ODD_ANSWERS,
    PARTIAL_LISTS,
    SPOILS_READ,
    SPOILS_WRITE,
    rule,
)

WRITES = [
    ("POST", "roles.create", 1),
    ("POST", "role_memberships.create", 1),
    ("POST", "approval_policies.create", 1),
    ("POST", "feature_flags.create", 1),
    ("PATCH", "feature_flags.update", 1),
    ("PATCH", "feature_flags.update", 2),
]
READS = [
    "organizations.list",
    "feature_flags.list",
    "approval_policies.list",
    "roles.list",
    "members.list",
    "change_requests.list",
    "change_requests.retrieve",
    "users.retrieve",
]
LISTS = [route for route in READS if route.endswith(".list")]
PEOPLE = [
    {"edit": {"as": "alice@acme.test", "project": 1, "flag": "rolled", "set": {"name": "By hand"}}},
    {"edit": {"as": "alice@acme.test", "project": 1, "flag": "switched", "set": {"tags": ["ui"]}}},
    {"vote": {"decision": "approve", "as": "alice@acme.test"}},
    {"clock": {"advance": "15d"}},
    {"call": {"as": "alice@acme.test", "method": "POST", "path": "/api/projects/2/feature_flags/",
              "body": {"key": "fresh", "active": False, "name": "Somebody else's",
                       "filters": {"groups": [{"properties": [], "rollout_percentage": 5}]}}}},
]  # fmt: skip


def shown(value):
    """Return the name of a write, a fault or what people do."""
    match value:
        case (method, route, hit):
            return f"{method}-{route}-{hit}"
        case ({**effect}, point) | (str() as effect, point):
            return f"{effect}@{point}"
        case {**effect}:
            return next(iter(effect))
    return str(value)


def play(shared_sandbox, folder, faults):
    campaign.play(shared_sandbox, folder(), scenario.six_writes(), faults)


@pytest.mark.parametrize(("write", "spoiled"), cross(WRITES, SPOILS_WRITE, 6), ids=shown)
def test_a_spoiled_write(shared_sandbox, folder, write, spoiled):
    """Nothing lost, nothing twice, the report true, and it converges."""
    play(shared_sandbox, folder, [rule(*write, *spoiled)])


@pytest.mark.parametrize(("write", "spoiled"), cross(WRITES, ODD_ANSWERS, 6), ids=shown)
def test_an_odd_answer_to_a_write(shared_sandbox, folder, write, spoiled):
    """What became of it is looked at, whatever the answer says."""
    play(shared_sandbox, folder, [rule(*write, *spoiled)])


@pytest.mark.parametrize(("route", "spoiled"), cross(LISTS, PARTIAL_LISTS, 3), ids=shown)
def test_a_partial_list(shared_sandbox, folder, route, spoiled):
    """It is not a list of what there is."""
    play(shared_sandbox, folder, [rule("GET", route, "every", *spoiled)])


@pytest.mark.parametrize(("route", "spoiled"), cross(READS, SPOILS_READ, 8), ids=shown)
def test_a_spoiled_read(shared_sandbox, folder, route, spoiled):
    """Neither a create nor a delete follows from an answer that is not so."""
    play(
        shared_sandbox,
        folder,
        [rule("GET", route, "every" if route == "roles.list" else 1, *spoiled)],
    )


@pytest.mark.parametrize("point", ["before", "after"])
@pytest.mark.parametrize(("write", "people"), cross(WRITES, PEOPLE, 5), ids=shown)
def test_people_act_around_a_write(shared_sandbox, folder, write, people, point):
    """What they wrote is not overwritten unread."""
    play(shared_sandbox, folder, [rule(*write, people, point)])


@pytest.mark.parametrize(("hit", "point"), cross(range(1, 16), ["before", "after"], 2))
def test_the_key_is_revoked_at_any_request(shared_sandbox, folder, hit, point):
    """New work stops at once, without a storm; another key goes on."""
    play(shared_sandbox, folder, [rule("*", "*", hit, "revoke_key", point)])


PAIRS = list(itertools.combinations(itertools.product(WRITES, SPOILS_WRITE), 2))
CHUNKS = effort(1, 50)
STRIDE = effort(1409, 50, hunt=331)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_pairs_of_spoiled_writes(shared_sandbox, folder, chunk):
    """All of them in the soak, here some from all over."""
    for pair in PAIRS[chunk::STRIDE]:
        play(shared_sandbox, folder, [rule(*write, *spoiled) for write, spoiled in pair])
