"""A write whose answer is lost: read, adopted, or sent again where a second one can do no harm."""

import pytest

from tests import acme, factories
from tests.integration.running import apply, created, sent, spoil

LOST = ["after:reset", "after:status(500)", "after:truncate", "mid_body:reset"]
NEVER_DONE = ["before:reset", "before:status(502)", "before:status(500)"]


@pytest.mark.parametrize("effect", LOST)
def test_what_was_created_is_adopted(world, effect):
    """One create, one POST, done in the same run."""
    repo = world(acme.seed())
    repo.write("all.yaml", acme.flag("a", 10))
    spoil(repo, f"POST:feature_flags.create:1:{effect}")

    ran = apply(repo)

    assert ({"a": "done"}, 0) == (ran.results(), ran.code)
    assert 1 == ran.rows["a"].attempts
    assert 1 == created(repo, "FeatureFlag")
    assert 1 == len(sent(repo, "POST", "feature_flags"))


@pytest.mark.parametrize("effect", NEVER_DONE)
@pytest.mark.parametrize(
    ("kind", "route"),
    [
        ("flag", "POST:feature_flags.create"),
        ("update", "PATCH:feature_flags.update"),
        ("role", "POST:roles.create"),
        ("membership", "POST:role_memberships.create"),
        ("policy", "POST:approval_policies.create"),
    ],
)
def test_what_was_not_done_is_sent_once_more(world, kind, route, effect):
    """After a quiet time and a read: PostHog's own keys and versions keep a second one harmless."""
    flags = [acme.live_flag("a", 10)] if kind == "update" else []
    repo = world(factories.seed(*flags))
    documents = {
        "flag": acme.flag("a", 10),
        "update": acme.flag("a", 20),
        "role": acme.document("Role", {"members": []}, name="a"),
        "membership": acme.document("Role", {"members": ["bob@acme.test"]}, name="a"),
        "policy": acme.document(
            "ApprovalPolicy", {"approvers": {"quorum": 1}}, project="Web", action="a"
        ),
    }
    repo.write("all.yaml", documents[kind])
    spoil(repo, f"{route}:1:{effect}")

    ran = apply(repo)

    assert ({"a": "done"}, 0) == (ran.results(), ran.code)
    rows = [row for row in repo.sandbox.requests() if row["method"] != "GET"]
    assert len(rows) == ran.rows["a"].attempts
    writes = [row for row in rows if row["fault"] or row["path"] == rows[-1]["path"]]
    between = [
        row
        for row in repo.sandbox.requests()
        if row["method"] == "GET" and writes[0]["n"] < row["n"] < writes[-1]["n"]
    ]
    assert between, "a write is never repeated without a read in between"


def test_a_write_is_sent_three_times_at_most(world):
    """Then it is said to be unknown: counted apart, exit 1, and the next run goes on."""
    repo = world(acme.seed())
    repo.write("all.yaml", acme.flag("a", 10))
    spoil(repo, "POST:feature_flags.create:*:before:status(502)")

    ran = apply(repo)

    assert ("failed", "unknown") == (ran.rows["a"].result, ran.rows["a"].detail)
    assert 1 == ran.code
    assert 3 == ran.rows["a"].attempts == len(sent(repo, "POST", "feature_flags"))
    assert 1 == ran.document["account"]["unknown"]
    assert 0 == ran.document["account"]["failed"]
    assert 1 == ran.document["summary"]["failed"]

    spoil(repo)
    assert {"a": "done"} == apply(repo).results()


def test_a_kind_without_a_key_or_a_version_is_not_sent_twice(world):
    """An organization's settings: PostHog would not notice a second write. Unknown, and said so."""
    repo = world(acme.seed())
    repo.write(
        "all.yaml", acme.document("Organization", {"name": "Acme", "members_can_invite": False})
    )
    spoil(repo, "PATCH:organizations.*:1:before:status(502)")

    ran = apply(repo)

    assert ("failed", "unknown", 1) == (
        ran.rows["acme"].result,
        ran.rows["acme"].detail,
        ran.rows["acme"].attempts,
    )
    assert {"acme": "done"} == apply(repo).results()


@pytest.mark.parametrize("later", [1, 2, 3, 4])
@pytest.mark.parametrize("write", ["POST:feature_flags.create", "PATCH:feature_flags.update"])
def test_a_late_commit_makes_no_duplicate(world, write, later):
    """The call lands after it was looked for: it meets a taken key, or a moved version."""
    flags = [acme.live_flag("old", 10)]
    repo = world(factories.seed(*flags))
    repo.write("all.yaml", acme.flag("new", 10), acme.flag("old", 20))
    method, route = write.split(":")
    match = {"method": method, "route": route, "hit": 1}
    spoil(repo, {"match": match, "point": "late_commit", "effect": "reset", "later": later})

    ran = apply(repo, workers=1)

    spoil(repo)
    assert {"new": "done", "old": "done"} == ran.results(), ran.outcomes
    assert 1 == created(repo, "FeatureFlag")
    again = apply(repo)
    assert not again.made.writes


def test_an_edit_between_a_lost_write_and_its_repetition_is_not_overwritten(world):
    """What is there is neither the old value nor ours: refused, with the field."""
    flags = [acme.live_flag("old", 10)]
    repo = world(factories.seed(*flags))
    repo.write("all.yaml", acme.flag("old", 50))
    filters = {"groups": [{"properties": [], "rollout_percentage": 30}]}
    edit = {"edit": {"as": "carol@acme.test", "flag": "old", "set": {"filters": filters}}}
    spoil(
        repo,
        "PATCH:feature_flags.update:1:before:status(502)",
        {"match": {"method": "GET", "route": "feature_flags.retrieve"}, "effect": edit},
    )

    ran = apply(repo)

    assert ("refused", 4) == (ran.rows["old"].result, ran.code), ran.outcomes
    assert "filters" in ran.rows["old"].problem.what
    flag = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"][0]
    assert 30 == flag["filters"]["groups"][0]["rollout_percentage"]


def test_a_read_that_lags_behind_is_asked_for_again(world):
    """A version that goes back in time is a replica's, not the world's."""
    flags = [acme.live_flag("old", 10)]
    repo = world(factories.seed(*flags))
    repo.write("all.yaml", acme.flag("old", 20, name="New", active=True))
    spoil(
        repo,
        "PATCH:feature_flags.update:2:after:reset",
        {
            "match": {"method": "GET", "route": "feature_flags.retrieve", "hit": "1-2"},
            "effect": {"stale": {"writes": 2}},
        },
    )

    ran = apply(repo)

    assert {"old": "done"} == ran.results(), ran.outcomes
    assert 3 == ran.rows["old"].attempts


def test_what_cannot_be_read_back_is_unknown(world):
    """The reads fail as well: the outcome says what was tried, and the next run converges."""
    repo = world(acme.seed())
    repo.write("all.yaml", acme.flag("a", 10))
    spoil(
        repo,
        "POST:feature_flags.create:1:after:reset",
        "GET:feature_flags.list:3-:before:status(503)",
    )

    ran = apply(repo)

    assert ("failed", "unknown") == (ran.rows["a"].result, ran.rows["a"].detail)
    assert "reading back" in ran.rows["a"].problem.why
    spoil(repo)
    assert not apply(repo).made.writes


@pytest.mark.parametrize("effect", [*LOST, *NEVER_DONE])
def test_a_gated_write_whose_answer_is_lost_files_one_request(world, effect):
    """The change requests are read, too: one is found, or one is filed, never two."""
    policy = acme.policy("feature_flag.enable")
    flags = [acme.live_flag("a", 10)]
    projects = [{"name": "Web", "id": 1, "approval_policies": [policy], "feature_flags": flags}]
    repo = world(acme.seed(projects=projects))
    repo.write("all.yaml", acme.flag("a", active=True))
    spoil(repo, f"PATCH:feature_flags.update:1:{effect}")

    ran = apply(repo)

    assert ({"a": "waiting"}, 3) == (ran.results(), ran.code)
    assert 1 == created(repo, "ChangeRequest")
    assert ran.rows["a"].change_request in ran.rows["a"].url


@pytest.mark.parametrize("effect", [*LOST, *NEVER_DONE])
def test_a_delete_whose_answer_is_lost_is_done_once(world, effect):
    """An id that is gone cannot be deleted twice."""
    roles = [{"name": "a", "members": []}]
    repo = world(acme.seed(roles=roles))
    document = acme.document("Role", {}, name="a")
    document["metadata"]["lifecycle"] = {"state": "absent"}
    repo.write("all.yaml", document)
    spoil(repo, f"DELETE:roles.*:1:{effect}")

    ran = apply(repo)

    assert ({"a": "done"}, 0) == (ran.results(), ran.code), ran.outcomes
    assert [] == repo.sandbox.state()["organizations"][0]["roles"]


@pytest.mark.parametrize("effect", ["revoke_key", "throttle(86400)", "forbid"])
def test_what_ends_the_run_after_a_lost_answer_leaves_it_unknown(world, effect):
    """The first write may still be carried out: its end is not "not sent", whatever came after."""
    repo = world(acme.seed())
    repo.write("all.yaml", acme.flag("a", 10))
    second = {"method": "POST", "route": "feature_flags.create", "hit": 2}
    later = {"method": "POST", "route": "feature_flags.create", "hit": 1}
    spoil(
        repo,
        {"match": later, "point": "late_commit", "effect": "reset", "later": 4},
        {
            "match": second,
            "point": None if effect == "forbid" else "before",
            "effect": {"forbid_scope": "feature_flag:write"} if effect == "forbid" else effect,
        },
    )

    ran = apply(repo)

    row = ran.rows["a"]
    assert ("failed", "unknown", 1) == (row.result, row.detail, ran.code)
    assert "unknown" in row.problem.state
