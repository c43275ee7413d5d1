"""What is live of a change that did not come to its end is named: in the row, and counted."""

from threading import Event

import pytest

from tests import acme
from tests.integration.running import apply, spoil

NO = {"status": {"code": 403, "body": {"detail": "no"}}}


def membership(hit, effect, point="before"):
    match = {"method": "POST", "route": "role_memberships.create", "hit": hit}
    return {"match": match, "point": point, "effect": effect}


def role(*names):
    return acme.document("Role", {"members": [f"{one}@acme.test" for one in names]}, name="R")


def waits(repo):
    repo.write("all.yaml", acme.flag("a", 60, name="New", active=True))


def fails_at_the_first_call(repo):
    repo.write("all.yaml", acme.flag("a", 60))
    match = {"method": "PATCH", "route": "feature_flags.update", "hit": "every"}
    spoil(repo, {"match": match, "point": "before", "effect": NO})


def fails_at_the_last_call(repo):
    repo.write("all.yaml", acme.flag("b", 60, name="New", archived=True))
    match = {"method": "PATCH", "route": "feature_flags.update", "hit": 3}
    spoil(repo, {"match": match, "point": "before", "effect": NO})


def gets_one_of_two(repo):
    repo.write("all.yaml", role("alice", "bob", "carol"))
    spoil(repo, membership(2, NO))


def gets_none_of_two(repo):
    repo.write("all.yaml", role("alice", "bob", "carol"))
    spoil(repo, membership("every", NO))


def is_born_empty(repo):
    repo.write("all.yaml", {**role("alice"), "metadata": {"organization": "acme", "name": "N"}})
    spoil(repo, membership("every", NO))


def is_born_with_half(repo):
    two = role("alice", "bob")
    repo.write("all.yaml", {**two, "metadata": {"organization": "acme", "name": "N"}})
    spoil(repo, membership(2, NO))


PARTLY = [
    (waits, "waiting", ["name", "filters"]),
    (fails_at_the_first_call, "failed", None),
    (fails_at_the_last_call, "failed", ["name", "filters"]),
    (gets_one_of_two, "failed", ["members"]),
    (gets_none_of_two, "failed", None),
    (is_born_empty, "failed", ["metadata.name"]),
    (is_born_with_half, "failed", ["members"]),
]


@pytest.mark.parametrize(("change", "result", "written"), PARTLY)
def test_the_row_names_the_fields_that_are_live(world, change, result, written):
    """And only those; whatever is done completely needs no such list."""
    web = {
        "name": "Web",
        "id": 1,
        "approval_policies": [acme.policy("feature_flag.enable")],
        "feature_flags": [acme.live_flag("a", 10), acme.live_flag("b", 10)],
    }
    repo = world(acme.seed(projects=[web], roles=[{"name": "R", "members": ["alice@acme.test"]}]))
    change(repo)

    ran = apply(repo)

    (row,) = ran.document["results"]
    assert (result, written) == (row["outcome"], row.get("written"))
    assert int(written is not None) == ran.document["summary"]["partly_written"]


def test_an_organization_without_its_last_call_says_what_is_there(world):
    """Its default role could not be made: a change that is skipped half-way."""
    repo = world(acme.seed())
    there = {"organization": "globex"}
    settings = {"name": "Globex", "members_can_invite": False, "default_role": "R"}
    repo.write(
        "all.yaml",
        {"kind": "Organization", "metadata": there, "spec": settings},
        {"kind": "Role", "metadata": {**there, "name": "R"}, "spec": {}},
    )
    match = {"method": "POST", "route": "roles.create", "hit": "every"}
    spoil(repo, {"match": match, "point": "before", "effect": NO})

    ran = apply(repo)

    row = next(one for one in ran.document["results"] if "Organization" in one["address"])
    assert ("skipped", ["members_can_invite", "name"]) == (row["outcome"], row["written"])


def test_a_run_that_is_stopped_between_two_calls_says_what_is_there(world):
    """As a report does, and the journal."""
    repo = world(acme.seed())
    there = {"organization": "globex"}
    stop = Event()
    repo.write(
        "all.yaml",
        {
            "kind": "Organization",
            "metadata": there,
            "spec": {"name": "Globex", "default_role": "R"},
        },
        {"kind": "Role", "metadata": {**there, "name": "R"}, "spec": {}},
    )

    def stop_after_the_first_answer(book):
        record = book.record

        def recorded(event, **facts):
            record(event, **facts)
            if event == "answer":
                stop.set()

        book.record = recorded

    ran = apply(repo, stop=stop, journal=stop_after_the_first_answer)

    row = next(one for one in ran.document["results"] if "Organization" in one["address"])
    assert ("skipped", ["name"]) == (row["outcome"], row["written"])
