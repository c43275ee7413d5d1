"""Settings of an organization that decide who gets in and what they see (contract 6)."""

import pytest

from tests import acme

ORGANIZATION = "Organization/acme"
VERIFIED = {"domain": "acme.test", "is_verified": True}


def seed(settings=None, domains=(), **more):
    """Return a world with these settings and email domains."""
    return acme.seed(settings=settings or {}, domains=list(domains), **more)


def settings(**spec):
    """Return the document of the organization."""
    return acme.document("Organization", spec)


@pytest.fixture
def make(world):
    """Return a function that makes a committed repository with one document."""

    def make_repository(seed, **spec):
        repo = world(seed)
        repo.write("organization.yaml", settings(**spec))
        repo.commit()
        repo.sandbox.clear()
        return repo

    return make_repository


def codes(done):
    """Return the codes of the errors of a plan."""
    return [row["code"] for row in done.json["findings"] if row["severity"] == "error"]


def excerpts(done):
    """Return the line of the file that each error of a plan points to."""
    rows = [row for row in done.json["findings"] if row["severity"] == "error"]
    return [row["excerpt"].strip() for row in rows]


def read(repo, who="phx_ci"):
    """Return the organization as the API shows it."""
    return repo.sandbox.call("GET", "/api/organizations/@current/", token=who)


NARROW = {
    "members_can_create_projects": False,
    "members_can_see_org_members": False,
    "enforce_verified_domains": True,
}
WIDE = {
    "members_can_create_projects": True,
    "members_can_see_org_members": True,
    "enforce_verified_domains": False,
}


@pytest.mark.parametrize("name", sorted(NARROW))
def test_a_wider_setting_is_refused_without_allow_weakening(make, name):
    """Each of them widens what people can do or see."""
    repo = make(seed({name: NARROW[name]}, [VERIFIED]), **{name: WIDE[name]})
    refused = repo.run("plan", "--format", "json")

    assert (refused.code, codes(refused)) == (4, ["policy-weakened"])
    assert excerpts(refused) == [f"{name}: true" if WIDE[name] else f"{name}: false"]
    assert repo.run("apply", "--yes").code == 4
    assert repo.sandbox.writes() == []
    assert repo.run("apply", "--yes", "--allow-weakening").code == 0
    assert read(repo)[1][name] is WIDE[name]


@pytest.mark.parametrize("name", sorted(NARROW))
def test_a_narrower_setting_is_applied_and_stays(make, name):
    """Apply, then an empty plan, then an apply without writes."""
    repo = make(seed({name: WIDE[name]}, [VERIFIED]), **{name: NARROW[name]})

    assert repo.run("apply", "--yes", "--allow-lockout", ORGANIZATION).code == 0
    assert read(repo)[1][name] is NARROW[name]
    assert repo.run("plan", "--detailed-exitcode").code == 0
    repo.sandbox.clear()
    assert repo.run("apply", "--yes").code == 0
    assert repo.sandbox.writes() == []


def test_null_and_false_mean_the_same_for_who_may_create_projects(make):
    """PostHog has null until somebody decides; writing false then weakens nothing."""
    repo = make(seed(), members_can_create_projects=False)

    assert repo.run("plan").code == 0
    assert repo.run("apply", "--yes").code == 0


def test_enforcing_verified_domains_needs_the_address_of_the_organization(make):
    """The plan says who would lose access, and exits as apply would."""
    world = seed(domains=[VERIFIED])
    world["users"].append({"email": "eve@other.test", "tokens": []})
    world["organizations"][0]["members"].append({"email": "eve@other.test", "level": "member"})
    repo = make(world, enforce_verified_domains=True)
    planned = repo.run("plan", "--format", "json")
    (finding,) = [row for row in planned.json["findings"] if row["code"] == "lockout"]

    assert planned.code == 4
    assert "eve@other.test would lose access" in finding["why"]
    assert repo.run("apply", "--yes", "--allow-lockout", "Organization/other").code == 4
    assert repo.sandbox.writes() == []
    assert repo.run("plan", "--allow-lockout", ORGANIZATION).code == 0
    assert repo.run("apply", "--yes", "--allow-lockout", ORGANIZATION).code == 0
    assert read(repo)[0] == 200


@pytest.mark.parametrize(
    "domains", [(), ({"domain": "acme.test", "is_verified": False},)], ids=["none", "unverified"]
)
def test_the_user_of_the_key_is_never_locked_out(make, domains):
    """No option lifts it: the key could not take the setting back."""
    repo = make(seed(domains=domains), enforce_verified_domains=True)
    refused = repo.run("apply", "--yes", "--allow-lockout", ORGANIZATION)

    assert refused.code == 4
    assert "ci@acme.test, the user of this key" in refused.out + refused.err
    assert repo.sandbox.writes() == []


def test_unreadable_domains_count_as_a_lockout(make):
    """What cannot be checked is refused, with what the key lacks."""
    world = seed(domains=[VERIFIED])
    world["users"][-1]["tokens"] = [
        {"token": "phx_ci", "scopes": ["organization:write", "organization_member:read"]}
    ]
    repo = make(world, enforce_verified_domains=True)
    refused = repo.run("apply", "--yes", "--allow-lockout", ORGANIZATION)

    assert refused.code == 4
    assert "may lock out the user of this key" in refused.out + refused.err
    assert repo.sandbox.writes() == []


def test_a_saved_plan_does_not_keep_the_permission(make):
    """Anybody who can write a plan file could add it."""
    repo = make(seed(domains=[VERIFIED]), enforce_verified_domains=True)
    saved = repo.run("plan", "--out", "p.json", "--allow-lockout", ORGANIZATION)

    assert saved.code == 0
    assert f"--allow-lockout {ORGANIZATION}" in saved.out + saved.err
    assert repo.run("apply", "p.json", "--yes").code == 4
    assert repo.run("apply", "p.json", "--yes", "--allow-lockout", ORGANIZATION).code == 0


def test_enforced_domains_shut_out_everybody_else(world):
    """PostHog refuses them with a code of its own (contract 6.4)."""
    made = seed({"enforce_verified_domains": True}, [VERIFIED])
    made["users"][0]["email"] = "alice@other.test"
    for member in made["organizations"][0]["members"]:
        if member["email"] == "alice@acme.test":
            member["email"] = "alice@other.test"
    repo = world(made)
    status, body = read(repo, who="phx_alice")

    assert (status, body["code"]) == (403, "verified_domain_required")
    assert read(repo)[0] == 200


def test_pull_writes_the_settings_and_the_plan_is_clean(make):
    """Also those that are not at their default."""
    repo = make(seed({"members_can_see_org_members": False}), name="Acme")
    assert repo.run("pull", "--out", "pulled", "--kind", "Organization").code == 0
    (pulled,) = (repo.folder / "pulled").rglob("*.yaml")
    text = pulled.read_text()

    assert "members_can_see_org_members: false" in text
    assert repo.run("plan", "pulled", "--detailed-exitcode").code == 0
