"""A key that is shown only some of the people: nothing is concluded about the others."""

import re

import pytest

from tests import acme

ROLES = [{"name": "Keepers", "members": ["alice@acme.test", "carol@acme.test"]}]
PEOPLE = ["alice@acme.test", "bob@acme.test", "carol@acme.test", "ci@acme.test"]
BEHIND = "this key sees 1 of the 4 people in acme"


def seed(*, setting=False, level="member"):
    """Two roles and a policy; the key is of a member, and members do not see each other."""
    policy = acme.policy(
        "feature_flag.update",
        approver_config={"quorum": 2, "users": ["alice@acme.test"], "roles": ["Keepers"]},
    )
    made = acme.seed(
        roles=ROLES,
        settings={"members_can_see_org_members": setting},
        projects=[
            {
                "name": "Web",
                "id": 1,
                "approval_policies": [policy],
                "feature_flags": [acme.live_flag("a", 10)],
            }
        ],
    )
    for member in made["organizations"][0]["members"]:
        if member["email"] == "ci@acme.test":
            member["level"] = level
    return made


def declared():
    """What an admin has pulled: everybody, a role and a policy, all as they are live."""
    levels = {"alice": "owner", "bob": "member", "carol": "admin", "ci": "member"}
    for who, level in levels.items():
        yield acme.document("Member", {"level": level}, email=f"{who}@acme.test")
    yield acme.document("Role", {"members": ROLES[0]["members"]}, name="Keepers")
    approvers = {"quorum": 2, "users": ["alice@acme.test"], "roles": ["Keepers"]}
    yield acme.document(
        "ApprovalPolicy", {"approvers": approvers}, project="Web", action="feature_flag.update"
    )
    yield acme.flag("a", 10, name="a", active=False)


@pytest.fixture
def repo(world):
    """Everything as it is live; nothing of it differs."""
    repo = world(seed())
    repo.write("all.yaml", *declared())
    repo.commit()
    repo.sandbox.clear()
    return repo


def errors(done):
    """Address, or nothing, and line of each error."""
    found = done.json["findings"]
    assert all(BEHIND in one["why"] for one in found if one["severity"] == "error"), found
    return sorted(
        (one["code"], one["source"]["line"]) for one in found if one["severity"] == "error"
    )


def test_what_needs_people_is_an_error_at_its_place_and_nothing_else_is_concluded(repo):
    """Neither a plan nor a report of drift says that somebody is missing, or was added."""
    plan = repo.run("plan", "--prune", "--format", "json")
    drift = repo.run("drift", "--base", "HEAD", "--format", "json")
    applied = repo.run("apply", "--yes", "--prune")

    assert (1, 1, 1) == (plan.code, drift.code, applied.code), drift.out + drift.err
    expected = [("people-hidden", 35), ("people-hidden", 49), ("unreadable", 1)]
    assert expected == errors(plan) == errors(drift)
    for done in (plan, drift):
        assert [] == [one for one in done.json["changes"] if one["action"] != "none"]
        assert [] == done.json["unmanaged"]
    assert [] == repo.sandbox.writes()


def test_no_request_is_sent_to_find_out(repo):
    """The organization's own answer has the number."""
    short = repo.run("plan", "--format", "json").json["requests"]["reads"]
    repo.sandbox.reset(seed(setting=True))
    whole = repo.run("plan", "--format", "json")

    assert short == whole.json["requests"]["reads"]
    assert [] == errors(whole)


def test_who_can_approve_is_likely_and_nobody_is_said_to_be_missing(repo):
    """The policy's people are live: whether they are there still, this key cannot know."""
    repo.write("all.yaml", acme.flag("a", 90))
    repo.commit()

    done = repo.run("plan", "--format", "json")
    text = repo.run("plan").out

    gate = done.json["changes"][0]["gate"]
    assert (0, "approval", "likely") == (done.code, gate["verdict"], gate["confidence"])
    assert f"it is not known who can approve it: {BEHIND}" in text
    assert "not in acme" not in text
    assert "nobody" not in text


def test_every_command_says_why(repo):
    """`doctor`, `validate --live` and `pull`, which leaves the files as they are."""
    before = (repo.folder / "all.yaml").read_text()

    doctor = repo.run("doctor")
    live = repo.run("validate", "--live")
    pull = repo.run("pull")

    assert (1, 1, 1) == (doctor.code, live.code, pull.code)
    assert f"people    {BEHIND}" in doctor.out
    assert "members_can_see_org_members" in doctor.out
    assert 3 == live.err.count(BEHIND), live.err
    assert BEHIND in pull.out + pull.err
    assert before == (repo.folder / "all.yaml").read_text()


def test_flags_need_nobody_and_are_written(repo):
    """Only what needs people is refused; what is pulled anew validates, without members."""
    repo.write("all.yaml", acme.flag("a", name="changed"))
    assert 0 == repo.run("apply", "--yes").code
    repo.run("pull", "--out", "pulled")
    pulled = "".join(one.read_text() for one in (repo.folder / "pulled").rglob("*.yaml"))
    assert "Keepers" in pulled
    assert not re.search(r"\bmembers:", pulled)
    assert "kind: Member" not in pulled
    assert 0 == repo.run("plan", "pulled", "--detailed-exitcode").code


@pytest.mark.parametrize("changes", [{"setting": True}, {"level": "admin"}])
def test_a_key_that_sees_all_plans_as_before(world, changes):
    """The setting alone, and the level alone, hide nobody."""
    repo = world(seed(**changes))
    repo.write("all.yaml", *[one for one in declared() if "ci@" not in str(one["metadata"])])

    assert 0 == repo.run("plan", "--detailed-exitcode").code
