"""`status`: the base, what is newer, and who has to approve what."""

from tests import acme
from tests.factories import gated

KEYS = {"id", "address", "action_key", "waiting_for", "expires_at"}


def test_status_without_a_base(world):
    """In a folder without git, and before the first apply."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", 20))
    document = repo.run("status", "--format", "json").json

    assert {
        "target": "default",
        "host": repo.sandbox.url,
        "base": None,
        "commits_since": 0,
        "dirty": 0,
        "requests": [],
    } == document
    repo.commit()
    assert 1 == repo.run("status", "--json").json["commits_since"]
    assert "none; the first complete apply records one" in repo.run("status").out


def test_status_shows_the_base_and_what_is_newer(world):
    """The time of the apply, not of the commit."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", 20))
    repo.commit(GIT_COMMITTER_DATE="2020-01-01T00:00:00Z")
    assert 0 == repo.run("apply", "--yes").code
    base = repo.run("status", "--json").json["base"]

    assert repo.git("rev-parse", "HEAD").strip() == base["commit"]
    assert "refs/reconciler/applied/default" == base["ref"]
    assert "2025" < base["at"] <= "9999"
    repo.write("more.yaml", acme.flag("b", 20))
    repo.commit()
    repo.write("even-more.yaml", acme.flag("c", 20))
    repo.write("flags.yaml", acme.flag("a", 30))
    newer = repo.run("status", "--json").json
    assert (base, 1, 2) == (newer["base"], newer["commits_since"], newer["dirty"])
    assert "1 since then; 2 files not committed" in repo.run("status").out


def test_status_shows_who_has_to_approve(world):
    """Those who voted are not waited for; members of roles are people."""
    rule = {
        "approver_config": {"quorum": 2, "users": ["alice@acme.test"], "roles": ["Reviewers"]},
    }
    roles = [{"name": "Reviewers", "members": ["bob@acme.test", "carol@acme.test"]}]
    repo = world(gated(acme.live_flag("a"), rule=rule, roles=roles))
    repo.write("flags.yaml", acme.flag("a", active=True))
    assert 3 == repo.run("apply", "--yes").code
    [request] = repo.run("status", "--json").json["requests"]

    people = ["alice@acme.test", "bob@acme.test", "carol@acme.test"]
    assert KEYS == set(request)
    assert ("FeatureFlag/acme/Web/a", people) == (request["address"], request["waiting_for"])
    repo.run("requests", "approve", request["address"], "--yes", token="phx_bob")
    [request] = repo.run("status", "--json").json["requests"]
    assert [people[0], people[2]] == request["waiting_for"]
    text = repo.run("status").out
    assert "waits for alice@acme.test, carol@acme.test" in text
    assert "by ci@acme.test; expires " in text
    assert 0 == len([row for row in repo.sandbox.requests(clear=True) if row["status"] == 403])
    repo.run("status")
    assert {"GET"} == {row["method"] for row in repo.sandbox.requests()}
