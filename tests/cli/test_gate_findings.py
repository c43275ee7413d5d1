"""What the forecast of a whole plan comes to is said once, in the JSON and on the terminal."""

import pytest

from tests import acme, factories

FLAGS = [acme.live_flag(key) for key in ("a", "b")]
WISHES = [acme.flag(key, active=True) for key in ("a", "b")]


def seed(policies, **more):
    roles = [{"name": "Empty", "members": []}]
    return factories.seed(*FLAGS, policies=policies, roles=roles, **more)


def planned(repo, *documents):
    repo.write("all.yaml", *documents)
    plan = repo.run("plan", "--format", "json")
    assert plan.code == 0, plan.err
    return {finding["code"]: finding for finding in plan.json["findings"]}


def test_a_bypass_is_said_loudly_and_once(world):
    """Two flags, one finding, with the reason."""
    policy = acme.policy("feature_flag.enable", bypass_org_membership_levels=[8])
    repo = world(seed([policy]))

    found = planned(repo, *WISHES)["gate-bypassed"]

    assert "warning" == found["severity"]
    assert "BYPASSED: 2 changes are written without the approval" in found["message"]
    assert "ApprovalPolicy/acme/Web/feature_flag.enable" in found["message"]
    assert "an admin of acme" in found["why"]
    assert "BYPASS" in repo.run("plan").out


@pytest.mark.parametrize(
    ("approvers", "stuck"),
    [
        ({"quorum": 1, "users": ["ci@acme.test"], "roles": []}, True),
        ({"quorum": 2, "users": ["alice@acme.test", "ci@acme.test"], "roles": []}, True),
        ({"quorum": 1, "users": [], "roles": ["Empty"]}, True),
        ({"quorum": 2, "users": ["alice@acme.test", "bob@acme.test"], "roles": []}, False),
    ],
)
def test_an_approval_that_nobody_can_give_is_said_before_it_is_asked_for(world, approvers, stuck):
    """Only the requester, too few, an empty role; also while the requests are pending."""
    policy = acme.policy("feature_flag.enable", approver_config=approvers)
    repo = world(seed([policy]))

    found = planned(repo, *WISHES)

    assert stuck is ("approval-unreachable" in found)
    if stuck:
        assert "2 changes" in found["approval-unreachable"]["message"]
    assert 3 == repo.run("apply", "--yes").code
    assert stuck is ("approval-unreachable" in planned(repo, *WISHES))


def test_votes_that_are_cast_count(world):
    """Who has approved need not be able to do so again."""
    approvers = {"quorum": 2, "users": ["alice@acme.test", "bob@acme.test"], "roles": []}
    repo = world(seed([acme.policy("feature_flag.enable", approver_config=approvers)]))
    repo.write("all.yaml", WISHES[0])
    request = repo.run("apply", "--yes", "--format", "json").json["results"][0]["change_request"]
    assert 0 == repo.run("requests", "approve", request, "--yes", token="phx_alice").code

    assert "approval-unreachable" not in planned(repo, WISHES[0])


def test_policies_that_gate_nothing_are_reported_when_they_matter(world):
    """Without the feature PostHog skips them, silently."""
    repo = world(seed([acme.policy("feature_flag.enable")], features=["audit_logs"]))
    update = acme.document(
        "ApprovalPolicy",
        {"approvers": {"quorum": 1, "users": ["alice@acme.test"]}},
        project="Web",
        action="feature_flag.update",
    )

    for documents, number in ((WISHES, "2 changes"), ([update], "1 change ")):
        found = planned(repo, *documents)["gate-off"]

        assert "warning" == found["severity"]
        assert "acme lacks the feature `approvals`" in found["why"]
        assert number in found["why"]
    quiet = acme.flag("a", name="other")
    assert "gate-off" not in planned(repo, quiet)


def test_where_the_plan_lacks_approvals_there_is_no_doubt_about_what_waits(world):
    """PostHog answers 402 for its policies: said once and quietly, since nothing can wait."""
    repo = world({**seed([], features=["audit_logs"]), "cloud": True})

    found = planned(repo, *WISHES)

    assert "gate-unknown" not in found
    assert ("notice", True) == (
        found["gate-off"]["severity"],
        "nothing waits for approval in acme" in found["gate-off"]["message"],
    )


def test_who_is_known_by_id_alone_is_not_taken_for_nobody(world):
    """A key that may see no people: the request that it files still names two of them."""
    there = seed([acme.policy("feature_flag.enable")])
    scopes = ["feature_flag:write", "project:read", "organization:read"]
    next(u for u in there["users"] if u["email"] == "ci@acme.test")["tokens"][0]["scopes"] = scopes
    repo = world(there)
    repo.write("all.yaml", WISHES[0])

    done = repo.run("apply", "--yes")

    assert 3 == done.code, done.err
    assert "1 approval from id:11 or id:12" in done.out
