"""What is merged and not applied yet is not drift: it is listed apart, and fails nothing."""

import json

import pytest

from tests import acme, factories
from tests.cli.test_drift import FLAGS, edit, organization

ROLES = {
    "Grows": ["alice@acme.test"],
    "Shrinks": ["alice@acme.test", "bob@acme.test", "carol@acme.test"],
    "Mixed": ["alice@acme.test"],
    "Old": [],
}


def role(name, *people, **metadata):
    members = [f"{one}@acme.test" for one in people]
    return acme.document("Role", {"members": members}, name=name, **metadata)


def first():
    """What was applied: everything as it is live."""
    flags = [acme.flag(key, 10, active=False, name=key) for key in ("a", "b", "c", "d", "gone")]
    roles = [
        role("Grows", "alice"),
        role("Shrinks", "alice", "bob", "carol"),
        role("Mixed", "alice"),
        role("Old"),
    ]
    return [*flags, *roles]


def second():
    """What was merged after that."""
    going = acme.flag("gone", 10, active=False, name="gone")
    going["metadata"]["lifecycle"] = {"state": "absent"}
    return [
        acme.flag("a", 10, active=True, name="a"),  # waits for approval
        acme.flag("b", 60, active=False, name="b"),  # beside it somebody changes the name
        acme.flag("c", 60, active=False, name="c"),  # somebody changes the same field
        acme.flag("d", 10, active=False, name="d", tags=["x"]),  # is managed from now on
        acme.flag("new", 10, active=False, name="new"),
        going,
        role("Grows", "alice", "bob", "carol"),  # of which one was added
        role("Shrinks", "alice"),  # of which one has gone
        role("Mixed", "alice", "bob"),  # to which somebody added another
        role("New", lifecycle={"renamed_from": "Old"}),
        role("Fresh"),
    ]


@pytest.fixture
def merged(world):
    """Two commits, of which the first was applied; the second only in part."""
    web = {
        "name": "Web",
        "id": 1,
        "approval_policies": [acme.policy("feature_flag.enable")],
        "feature_flags": [
            acme.live_flag(key, id=number)
            for number, key in enumerate(("a", "b", "c", "d", "gone"), 101)
        ],
    }
    roles = [{"name": name, "members": people} for name, people in ROLES.items()]
    repo = world(acme.seed(projects=[web], roles=roles))
    repo.write("all.yaml", *first())
    repo.commit()
    assert 0 == repo.run("apply", "--yes").code
    repo.write("all.yaml", *second())
    repo.commit()
    base = organization(repo)
    listed = repo.sandbox.call("GET", f"{base}roles/", token="phx_ci")[1]["results"]
    ids = {one["name"]: one["id"] for one in listed}
    members = repo.sandbox.call("GET", f"{base}members/", token="phx_ci")[1]["results"]
    uuids = {one["user"]["email"].partition("@")[0]: one["user"]["uuid"] for one in members}
    held = {
        one["user"]["email"].partition("@")[0]: one["id"]
        for one in next(one for one in listed if one["name"] == "Shrinks")["members"]
    }
    grows, mixed, shrinks = (
        f"{base}roles/{ids[name]}/role_memberships/" for name in ("Grows", "Mixed", "Shrinks")
    )
    edit(repo, grows, {"user_uuid": uuids["bob"]}, "ci", "POST")
    edit(repo, mixed, {"user_uuid": uuids["carol"]}, "alice", "POST")
    edit(repo, f"{shrinks}{held['bob']}/", None, "ci", "DELETE")
    repo.sandbox.call("POST", "/_sandbox/clock", {"advance": "1h"})
    return repo


WAITING = {"a", "b", "d", "new", "gone", "Grows", "Shrinks", "New", "Fresh"}


def names(rows):
    return {row["address"].rpartition("/")[2] for row in rows}


def test_nothing_has_drifted_but_what_somebody_moved(merged):
    """Before the apply and while it waits; then beside it what people do is drift as ever."""
    repo = merged
    before = repo.run("drift", "--format", "json", "--exclude", "Role/acme/Mixed")
    assert (0, []) == (before.code, before.json["changes"])
    assert WAITING | {"c"} == names(before.json["not_applied"])
    filed = repo.run("apply", "--yes", "--select", "FeatureFlag/acme/Web/a")
    assert 3 == filed.code

    edit(repo, f"{FLAGS}102/", {"name": "Mine"}, "alice")
    moved = {"filters": {"groups": [{"properties": [], "rollout_percentage": 77}]}}
    edit(repo, f"{FLAGS}103/", moved, "alice")
    after = repo.run("drift", "--format", "json")
    text = repo.run("drift")
    sarif = repo.run("drift", "--format", "sarif")
    built = repo.run("ci", "run", "--fail-on", "drift", "drift", "--exclude", "Role/acme/Mixed")

    paths = {
        row["address"].rpartition("/")[2]: [one["path"] for one in row["fields"]]
        for row in after.json["changes"]
    }
    rollout = "filters.groups[0].rollout_percentage"
    assert {"b": ["name"], "c": [rollout], "Mixed": ["members"]} == paths
    assert (2, 3) == (after.code, after.json["summary"]["drift"])
    assert WAITING == names(after.json["not_applied"])
    assert "9 resources merged and not applied yet; this is not drift:" in text.out
    assert "9 resources not applied yet." in text.out
    assert 3 == len(json.loads(sarif.out)["runs"][0]["results"])
    assert 2 == built.code


def test_a_build_stays_green_while_somebody_has_to_approve(merged):
    """No issue, no output, no word to anybody; --revert and --adopt leave it to apply."""
    repo = merged
    chosen = ("--select", "FeatureFlag/*")
    output = repo.folder / "output"

    built = repo.run("ci", "run", "--fail-on", "drift", "drift", *chosen, GITHUB_OUTPUT=str(output))
    repo.sandbox.clear()
    reverted = repo.run("drift", "--revert", "--yes", *chosen)
    adopted = repo.run("drift", "--adopt", *chosen)

    assert 0 == built.code
    lines = output.read_text().split("\n")
    assert "false" == lines[next(n for n, one in enumerate(lines) if "has-drift" in one) + 1]
    assert (0, []) == (reverted.code, repo.sandbox.writes())
    assert "6 not applied yet: only git has changed them" in reverted.err
    assert (0, "Nothing to adopt.") == (adopted.code, adopted.out.strip())


def test_what_apply_itself_set_is_no_edit_whatever_the_clocks_say(world):
    """Merged in the second after the apply, or before it by a server whose clock is ahead."""
    made = factories.seed(acme.live_flag("a"))
    repo = world({**made, "now": "2031-01-01T00:00:00Z"})

    def merge(flag_a, *, gone):
        flag_b = acme.flag("b", 10)
        flag_b["metadata"]["lifecycle"] = {"state": "absent"} if gone else {}
        repo.write("all.yaml", flag_a, flag_b)
        repo.commit()

    merge(acme.flag("a", 20, tags=["x"]), gone=False)
    assert 0 == repo.run("apply", "--yes").code
    merge(acme.flag("a", 30, tags=["x", "y"]), gone=True)

    done = repo.run("drift", "--format", "json")

    assert (0, []) == (done.code, done.json["changes"])
    assert {"a", "b"} == names(done.json["not_applied"])
    (flag,) = (one for one in repo.sandbox.call("GET", FLAGS, token="phx_ci")[1]["results"]
               if one["key"] == "a")  # fmt: skip
    for rollout in (30, 20):  # there and back, by a person
        filters = {"groups": [{"properties": [], "rollout_percentage": rollout}]}
        edit(repo, f"{FLAGS}{flag['id']}/", {"filters": filters}, "alice")
    assert {"a"} == names(repo.run("drift", "--format", "json").json["changes"])


def test_the_first_apply_of_all_may_wait(world):
    """No ref says what was applied: the open request does, and a person's edit is still drift."""
    web = {
        "name": "Web",
        "id": 1,
        "approval_policies": [acme.policy("feature_flag.enable")],
        "feature_flags": [acme.live_flag("a", id=101)],
    }
    repo = world(acme.seed(projects=[web]))
    repo.write("all.yaml", acme.flag("a", 10, active=True, name="a"))
    repo.commit()
    before = repo.run("drift")
    assert 3 == repo.run("apply", "--yes").code

    waits = repo.run("drift", "--format", "json")
    repo.sandbox.call("POST", "/_sandbox/clock", {"advance": "1h"})
    edit(repo, f"{FLAGS}101/", {"name": "Mine"}, "alice")
    moved = repo.run("drift", "--format", "json")

    assert 2 == before.code  # nothing tells this from what somebody did
    assert (0, {"a"}) == (waits.code, names(waits.json["not_applied"]))
    assert 2 == moved.code  # what was asked for is not all that differs any more
    assert "name" in {one["path"] for one in moved.json["changes"][0]["fields"]}
