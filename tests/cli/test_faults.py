"""Each write of a plan, spoiled in each way: nothing is lost, nothing done twice, and it converges.

The oracle is the sandbox's ledger of committed effects, not what the program says of itself.
"""

from collections import Counter

import pytest

from tests import acme, factories
from tests.effort import effort

WRITES = [
    "POST:roles.create",
    "POST:role_memberships.create",
    "POST:approval_policies.create",
    "POST:feature_flags.create",
    "PATCH:feature_flags.update",
]
SPOILED = [
    "before:reset",
    "after:reset",
    "mid_body:reset",
    "before:status(500)",
    "after:status(500)",
    "before:status(503)",
    "after:status(502)",
    "after:truncate",
    "after:mutate(html)",
    "before:throttle(1)",
    "late_commit:reset",
]
# Each with each in the soak, and in a hunt for planted bugs. Else every fault meets two writes:
# tests/harness tries them all, without a process for each.
ALL = effort(gate=False, soak=True, hunt=True)
PAIRS = [
    (write, spoiled)
    for place, spoiled in enumerate(SPOILED)
    for number, write in enumerate(WRITES)
    if ALL or (number - place) % len(WRITES) in {0, 2}
]


def small_world(world):
    flag = acme.live_flag("old", 10)
    repo = world(factories.seed(flag))
    repo.write(
        "all.yaml",
        acme.document("Role", {"members": ["bob@acme.test"]}, name="Release managers"),
        acme.document(
            "ApprovalPolicy",
            {"approvers": {"quorum": 1, "roles": ["Release managers"]}, "enabled": False},
            project="Web",
            action="feature_flag.update",
        ),
        acme.flag("fresh", 10),
        acme.flag("old", 50, name="Moved"),
    )
    return repo


def faults(repo, text):
    """One rule: METHOD:ROUTE:HIT:POINT:EFFECT."""
    method, route, hit, point, effect = text.split(":")
    rule = {"match": {"method": method, "route": route, "hit": int(hit)}, "point": point}
    document = {"faults": [{**rule, "effect": effect}]}
    status, body = repo.sandbox.call("POST", "/_sandbox/faults", document)
    assert 200 == status, body


@pytest.mark.parametrize(("write", "spoiled"), PAIRS)
def test_a_spoiled_write_is_neither_lost_nor_repeated(world, write, spoiled):
    """Apply under one fault, then without: at most one more apply, then an empty plan."""
    repo = small_world(world)
    faults(repo, f"{write}:1:{spoiled}")

    first = repo.run("apply", "--yes", "--format", "json")
    repo.sandbox.call("POST", "/_sandbox/faults", {"faults": []})
    second = repo.run("apply", "--yes", "--format", "json")

    assert first.code in {0, 1}, first.err
    assert 4 == sum(first.json["summary"].values())
    assert 0 == second.code, second.out + second.err
    assert 0 == repo.run("plan", "--detailed-exitcode").code
    state = repo.sandbox.state()["organizations"][0]
    web = next(project for project in state["projects"] if project["name"] == "Web")
    names = Counter(
        [
            *(("flag", flag["key"]) for flag in web["feature_flags"]),
            *(("policy", policy["action_key"]) for policy in web["approval_policies"]),
            *(("role", role["name"]) for role in state["roles"]),
        ]
    )
    assert {1} == set(names.values())
    assert ["bob@acme.test"] == [held["email"] for held in state["roles"][0]["members"]]


@pytest.mark.parametrize("spoiled", ["after:reset", "after:status(500)", "after:truncate"])
def test_a_gated_write_whose_answer_is_lost_files_one_request(world, spoiled):
    """The request is found by reading; the next run waits for the very same one."""
    policy = acme.policy("feature_flag.enable")
    flag = acme.live_flag("a", 10)
    repo = world(factories.seed(flag, policies=[policy]))
    repo.write("all.yaml", acme.flag("a", active=True))
    faults(repo, f"PATCH:feature_flags.update:1:{spoiled}")

    first = repo.run("apply", "--yes", "--format", "json")
    second = repo.run("apply", "--yes", "--format", "json")

    assert (3, 3) == (first.code, second.code), first.out
    ids = {done.json["results"][0]["change_request"] for done in (first, second)}
    assert 1 == len(ids)
    path = "/api/projects/1/change_requests/"
    assert 1 == repo.sandbox.call("GET", path, token="phx_ci")[1]["count"]


def test_a_request_that_does_not_exist_is_no_waiting(world):
    """409 with an id that was rolled back: failed, and the next run files one."""
    policy = acme.policy("feature_flag.enable")
    flag = acme.live_flag("a", 10)
    repo = world(factories.seed(flag, policies=[policy]))
    repo.write("all.yaml", acme.flag("a", active=True))
    faults(repo, "PATCH:feature_flags.update:1:before:forget")

    first = repo.run("apply", "--yes", "--format", "json")
    second = repo.run("apply", "--yes", "--format", "json")

    assert (1, 3) == (first.code, second.code)
    assert "does not exist" in first.out


def test_a_field_that_is_silently_ignored_is_a_failure(world):
    """200 is not enough: the answer has to show what was sent."""
    flag = acme.live_flag("old", 10)
    repo = world(factories.seed(flag))
    repo.write("all.yaml", acme.flag("old", name="New name"))
    document = {
        "faults": [
            {
                "match": {"method": "PATCH", "route": "feature_flags.update", "hit": "every"},
                "effect": {"drop_fields": {"names": ["name"]}},
            }
        ]
    }
    assert 200 == repo.sandbox.call("POST", "/_sandbox/faults", document)[0]

    done = repo.run("apply", "--yes", "--format", "json")

    assert 1 == done.code
    assert "kept another value for name" in done.out


@pytest.mark.parametrize(
    ("hits", "code", "why"),
    [("1-2", 4, "it was not there when the plan was made"), ("every", 1, "hides it from lists")],
)
def test_flags_that_are_not_listed_are_never_made_twice_and_the_message_says_why(
    world, hits, code, why
):
    """An empty list with 200: for once, and for good. What was live stays as it was."""
    repo = small_world(world)
    repo.write("all.yaml", acme.flag("old", 50))
    rule = {"match": {"method": "GET", "route": "feature_flags.list", "hit": hits}}
    repo.sandbox.call("POST", "/_sandbox/faults", {"faults": [{**rule, "effect": "empty_list"}]})
    done = repo.run("apply", "--yes")
    told = done.out + done.err

    assert done.code == code, told
    assert why in told
    assert "plan again" in told
    assert "mend key" not in told
    (flag,) = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    assert (flag["key"], flag["version"]) == ("old", 1)
