"""`requests inbox`: what waits for the user of the key, what expires first at the top."""

import pytest

from tests import acme, factories

A, B = "FeatureFlag/acme/Web/a", "FeatureFlag/acme/Web/b"
CAPTAINS = {"name": "Captains", "members": ["carol@acme.test"]}


def make_policy(action, days, *users, roles=(), quorum=1, **more):
    """Return a policy whose requests expire after so many days."""
    config = {"quorum": quorum, "users": list(users), "roles": list(roles)}
    return acme.policy(action, approver_config=config, expires_after=f"{days} 00:00:00", **more)


def file_requests(world, *policies, **organization):
    """Return a repository whose `apply` has filed a request for each of the flags a and b."""
    flags = (acme.live_flag("a"), acme.live_flag("b"))
    repo = world(factories.seed(*flags, policies=policies, **organization))
    repo.write("flags.yaml", acme.flag("a", active=True), acme.flag("b", 50))
    assert 3 == repo.run("apply", "--yes").code
    return repo


def read_inbox(repo, who):
    """Return the rows of somebody's inbox."""
    return repo.run("requests", "inbox", "--format", "json", token=f"phx_{who}").json


@pytest.fixture
def repo(world):
    """Return a repository with a request for a, and one for b that expires earlier."""
    enable = make_policy(
        "feature_flag.enable", 14, "alice@acme.test", "bob@acme.test", quorum=2, roles=["Captains"]
    )
    update = make_policy("feature_flag.update", 7, "alice@acme.test")
    return file_requests(
        world, enable, update, roles=[CAPTAINS], more=[{"name": "Mobile", "id": 2}]
    )


def test_it_shows_what_each_person_can_decide(repo):
    """Named or by role; not the requester; not who has voted already."""
    assert [B, A] == [row["address"] for row in read_inbox(repo, "alice")]
    assert [A] == [row["address"] for row in read_inbox(repo, "carol")]
    assert [] == read_inbox(repo, "ci")

    repo.run("requests", "approve", A, "--yes", token="phx_alice")

    assert [B] == [row["address"] for row in read_inbox(repo, "alice")]
    assert [(A, 1, 2)] == [
        (row["address"], row["approvals"], row["quorum"]) for row in read_inbox(repo, "bob")
    ]


def test_text_has_the_proposal_the_command_and_the_page(repo):
    """What expires first comes first; the command works as it is shown."""
    ids = {row["address"]: row["id"] for row in read_inbox(repo, "alice")}
    done = repo.run("requests", "inbox", token="phx_alice")

    assert 0 == done.code
    assert "2 change requests wait for you." in done.out
    assert done.out.index(B) < done.out.index(A)
    assert "active: false → true" in done.out
    assert "0 of 2 approvals; expires 20" in done.out
    for id_ in ids.values():
        assert f"  reconciler requests approve {id_}\n" in f"{done.out}\n"
        assert f"{repo.sandbox.url}/project/1/approvals/{id_}" in done.out


def test_an_empty_inbox_is_no_error(repo):
    """Exit code 0, and a sentence."""
    done = repo.run("requests", "inbox")

    assert (0, "Nothing waits for you.\n") == (done.code, done.out)
    assert 0 == repo.run("requests", "inbox", "--format", "json").code


@pytest.mark.parametrize("allowed", [True, False])
def test_a_requester_decides_only_where_the_policy_allows_it(world, allowed):
    """`allow_self_approve` of the policy."""
    policy = make_policy("feature_flag.enable", 14, "ci@acme.test", allow_self_approve=allowed)
    repo = file_requests(world, policy)

    assert ([A] if allowed else []) == [row["address"] for row in read_inbox(repo, "ci")]


def test_the_command_names_the_target_where_there_are_several(repo):
    """A copied command decides in the right place."""
    repo.write("reconciler.yaml", "version: 1\ntargets: {one: {}, two: {}}\n")
    rows = repo.run(
        "requests", "inbox", "--target", "two", "--format", "json", token="phx_alice"
    ).json

    assert rows
    assert all(row["command"].endswith(" --target two") for row in rows)


def test_it_can_be_narrowed_to_a_project(repo):
    """As `requests list`."""
    done = repo.run("requests", "inbox", "--project", "Mobile", token="phx_alice")

    assert (0, "Nothing waits for you.\n") == (done.code, done.out)


def test_a_request_that_cannot_be_applied_is_not_offered_for_approval(repo):
    """The flag has changed since: its approval would only fail."""
    assert (
        200
        == repo.sandbox.call(
            "PATCH",
            f"/api/projects/1/feature_flags/{find_flag_id(repo)}/",
            {"name": "New"},
            token="phx_alice",
        )[0]
    )
    assert 200 == repo.sandbox.call("POST", "/_sandbox/tasks", {"run": "check_staleness"})[0]
    row = next(row for row in read_inbox(repo, "carol") if row["address"] == A)
    shown = repo.run("requests", "inbox", token="phx_carol").out

    assert row["unappliable"] is not None
    assert f"requests approve {row['id']}" not in shown
    assert f"requests reject {row['id']} --reason" in shown
    assert "it cannot be applied" in shown


def find_flag_id(repo):
    """Return the ID of the flag a."""
    rows = repo.sandbox.call("GET", "/api/projects/1/feature_flags/", token="phx_alice")[1]
    return next(row["id"] for row in rows["results"] if row["key"] == "a")


@pytest.mark.parametrize(
    ("state", "says"),
    [("applied", "Changed:"), ("rejected", "Would have changed:"), ("pending", "Would change:")],
)
def test_a_report_says_what_has_happened(repo, state, says):
    """A decided request changes nothing any more: it has, or it would have."""
    reason = ("--reason", "no", "--yes")
    if state != "pending":
        verb = "approve" if state == "applied" else "reject"
        assert 0 == repo.run("requests", verb, B, *reason, token="phx_alice").code
    shown = repo.run("requests", "show", B).out

    assert f": {state}" in shown
    assert f"\n{says}\n" in shown
    assert (state == "pending") == ("once approved" in shown)
    assert (state == "pending") == ("Would change:" in shown)
