"""Access rules, settings and holdouts: faults, kills, people beside them; then it converges."""

import pytest

from tests.effort import cross, effort
from tests.harness import campaign, governed
from tests.harness.campaign import ODD_ANSWERS, SPOILS_READ, SPOILS_WRITE, rule
from tests.harness.test_kill import killed_at
from tests.harness.test_single_faults import shown

WRITES = [
    ("PUT", "access_controls.set_project", 1),
    ("PUT", "access_controls.set_project", 2),
    ("PUT", "access_controls.set_resource", 1),
    ("PUT", "access_controls.set_resource", 3),
    ("PATCH", "projects.update", 1),
    ("PATCH", "organizations.update", 1),
    ("PATCH", "experiment_holdouts.update", 1),
    ("POST", "experiment_holdouts.create", 1),
]
READS = [
    "access_controls.project",
    "access_controls.resources",
    "projects.retrieve",
    "projects.list",
    "organizations.list",
    "experiment_holdouts.list",
]
PEOPLE = [
    {"call": {"as": "alice@acme.test", "method": "PUT", "path": path, "body": body}}
    for path, body in (
        ("/api/projects/1/access_controls/", {"access_level": "member"}),
        (
            "/api/projects/1/resource_access_controls/",
            {"resource": "survey", "access_level": "viewer"},
        ),
        (
            "/api/projects/1/resource_access_controls/",
            {"resource": "toolbar", "access_level": None},
        ),
    )
] + [
    {"edit": {"as": "alice@acme.test", "project": 1, "set": {"anonymize_ips": False}}},
    {"edit": {"as": "alice@acme.test", "project": 1, "set": {"heatmaps_opt_in": True}}},
]
REQUESTS = 26  # of the first apply
EACH = effort(1, 500, hunt=20)
CHUNKS = 4
ROUTES = [route for _, route, _ in WRITES]


def play(sandbox, folder, faults, made=None, seed=0):
    campaign.play(sandbox, folder(), made or governed.six_writes(), faults, seed=seed)


@pytest.mark.parametrize(("write", "spoiled"), cross(WRITES, SPOILS_WRITE, 8), ids=shown)
def test_a_spoiled_write(shared_sandbox, folder, write, spoiled):
    """Nothing lost, the report true, and it converges."""
    play(shared_sandbox, folder, [rule(*write, *spoiled)])


@pytest.mark.parametrize(("write", "spoiled"), cross(WRITES, ODD_ANSWERS, 8), ids=shown)
def test_an_odd_answer_to_a_write(shared_sandbox, folder, write, spoiled):
    """What became of it is looked at, whatever the answer says."""
    play(shared_sandbox, folder, [rule(*write, *spoiled)])


@pytest.mark.parametrize(("route", "spoiled"), cross(READS, SPOILS_READ, 6), ids=shown)
def test_a_spoiled_read(shared_sandbox, folder, route, spoiled):
    """No rule is removed because an answer lacks it."""
    play(shared_sandbox, folder, [rule("GET", route, 1, *spoiled)])


@pytest.mark.parametrize("point", ["before", "after"])
@pytest.mark.parametrize(("write", "people"), cross(WRITES, PEOPLE, 5), ids=shown)
def test_people_act_around_a_write(shared_sandbox, folder, write, people, point):
    """What no file writes stays as they left it."""
    play(shared_sandbox, folder, [rule(*write, people, point)])


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_worlds_under_random_faults(shared_sandbox, folder, chunk):
    """One to four faults each."""
    for number in range(1 + chunk * EACH, 1 + (chunk + 1) * EACH):
        try:
            play(
                shared_sandbox,
                folder,
                list(governed.random_faults(number, ROUTES, READS, PEOPLE)),
                governed.from_number(number),
                number,
            )
        except AssertionError as error:
            pytest.fail(f"number={number}\n{error}")


@pytest.mark.parametrize(("hit", "point"), cross(range(1, REQUESTS + 1), ["before", "after"], 2))
def test_killed_at_a_request_of_the_six_writes(shared_sandbox, folder, hit, point):
    """No manual step, no duplicate, nothing lost."""
    killed_at(shared_sandbox, folder(), governed.six_writes(), hit, point)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_killed_somewhere_in_random_worlds(shared_sandbox, folder, chunk):
    """Its number says at which request each run is killed."""
    for number in range(3_000 + chunk * EACH, 3_000 + (chunk + 1) * EACH):
        hit, point = 8 + number % 20, ("before", "after")[number % 2]
        try:
            killed_at(shared_sandbox, folder(), governed.from_number(number), hit, point)
        except AssertionError as error:
            pytest.fail(f"number={number} hit={hit} point={point}\n{error}")
