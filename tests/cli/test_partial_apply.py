"""The rest of a commit whose apply began is finished by a later run; what is more is refused."""

import time

import pytest

from tests import acme

DISABLE = "feature_flag.disable"
WEB = {"project": "Web", "action": DISABLE}


def rules(**spec):
    """The policy that the commit adds."""
    approvers = {"quorum": 1, "users": ["alice@acme.test"]}
    return acme.document("ApprovalPolicy", {"approvers": approvers, **spec}, **WEB)


def captains(*names):
    return acme.document("Role", {"members": [f"{n}@acme.test" for n in names]}, name="Captains")


def by_role(**more):
    """Approvers by the role alone."""
    return rules(approvers={"quorum": 1, "users": [], "roles": ["Captains"]}, **more)


def begun(world, *, members=(), policies=(), **more):
    """A repository whose base declares a flag and the role, as they are live."""
    web = {"name": "Web", "id": 1, "approval_policies": list(policies)}
    web["feature_flags"] = [acme.live_flag("a", 10)]
    role = {"name": "Captains", "members": [f"{name}@acme.test" for name in members]}
    repo = world(acme.seed(projects=[web, {"name": "Mobile", "id": 2}], roles=[role], **more))
    repo.write("flag.yaml", acme.flag("a", 10))
    repo.write("role.yaml", captains(*members))
    repo.commit("base")
    done = repo.run("apply", "--yes")
    assert 0 == done.code, done.err
    return repo


ONLY_THE_POLICY = ("--select", "ApprovalPolicy/*")


@pytest.mark.parametrize("policy", [rules(bypass_roles=["Captains"]), by_role()])
def test_what_one_run_began_with_another_one_finishes(world, policy):
    """The policy first, which names an empty role: seen from the base nothing gets weaker."""
    repo = begun(world)
    repo.write("all.yaml", policy)
    repo.write("role.yaml", captains("bob", "carol"))
    repo.commit("captains")
    assert 0 == repo.run("apply", "--yes", *ONLY_THE_POLICY).code
    repo.run("plan", "--out", "plan.json")

    told = repo.run("plan").out
    done = repo.run("apply", "--yes", "plan.json")

    assert "completes an earlier apply" in told
    assert 0 == done.code, done.out + done.err
    assert 0 == repo.run("apply", "--yes").code
    assert 0 == repo.run("plan", "--detailed-exitcode").code


def test_what_a_later_commit_adds_is_judged_against_what_is_live(world):
    """Carol was not asked for by the commit that made the policy."""
    repo = begun(world)
    repo.write("all.yaml", by_role())
    repo.write("role.yaml", captains("bob"))
    repo.commit("captains")
    assert 0 == repo.run("apply", "--yes", *ONLY_THE_POLICY).code
    repo.write("role.yaml", captains("bob", "carol"))
    repo.commit("one more")
    repo.sandbox.clear()

    refused = repo.run("apply", "--yes")

    assert 4 == refused.code, refused.out
    assert "carol@acme.test may approve" in refused.err
    assert "bob@acme.test may approve" not in refused.err
    assert [] == repo.sandbox.writes()


def test_what_no_commit_holds_is_a_later_commit(world):
    """Also files that were changed and not committed."""
    repo = begun(world)
    repo.write("all.yaml", by_role())
    repo.write("role.yaml", captains("bob"))
    repo.commit("captains")
    assert 0 == repo.run("apply", "--yes", *ONLY_THE_POLICY).code
    repo.write("role.yaml", captains("bob", "carol"))

    refused = repo.run("apply", "--yes")

    assert 4 == refused.code, refused.out
    assert "carol@acme.test may approve" in refused.err
    assert "bob@acme.test may approve" not in refused.err


def test_a_policy_that_somebody_else_made_is_no_work_of_ours(world):
    """Taken into the files as it is, together with one more person who may approve under it."""
    repo = begun(world)
    create_policy(repo, "phx_carol")
    repo.write("all.yaml", by_role())
    repo.write("role.yaml", captains("bob"))
    repo.commit("adopted, and more")

    refused = repo.run("apply", "--yes")

    assert 4 == refused.code, refused.out
    assert "bob@acme.test may approve" in refused.err


SETTINGS = "version: 1\ntargets: {default: {paths: [%s]%s}}\n"


def moved_by_settings(repo):
    """Another folder, which held nothing when the apply began."""
    repo.git("mv", "old", "new")
    repo.write("reconciler.yaml", SETTINGS % ("new", ""))


def moved_as_settings_go(repo):
    """Without settings, everything in the current folder is read."""
    repo.git("mv", "old", "new")
    repo.git("rm", "-q", "reconciler.yaml")


def moved_by_a_link(repo):
    """The files of the commit before were read through a link, and stand elsewhere."""
    (repo.folder / "old" / "gates").unlink()
    repo.git("mv", "shared", "old/gates")


@pytest.mark.parametrize(
    ("first", "move"),
    [
        ("old/gates.yaml", moved_by_settings),
        ("old/gates.yaml", moved_as_settings_go),
        ("shared/gates.yaml", moved_by_a_link),
    ],
)
@pytest.mark.parametrize("committed", [True, False])
def test_moving_the_files_hides_no_weakening(world, first, move, committed):
    """Where the documents stood when the apply began is not looked at any more."""
    repo = begun(world, policies=[acme.policy("feature_flag.enable")])
    repo.git("rm", "-q", "flag.yaml", "role.yaml")
    repo.write("reconciler.yaml", SETTINGS % ("old", ""))
    repo.write("old/flag.yaml", acme.flag("a", 10))
    repo.commit("in a folder")
    assert 0 == repo.run("apply", "--yes").code
    if first.startswith("shared"):
        (repo.folder / "old" / "gates").symlink_to("../shared")
    repo.write("old/flag.yaml", acme.flag("a", 10, active=True))
    repo.write(first, by_role(), captains("alice"))
    repo.commit("captains")
    assert 3 == repo.run("apply", "--yes").code
    move(repo)
    (found,) = (one for one in repo.folder.glob("*/**/gates.yaml") if "shared" not in one.parts)
    repo.write(found, by_role(), captains("alice", "bob"))
    if committed:
        repo.commit("moved, and one more")

    refused = repo.run("apply", "--yes")

    assert 4 == refused.code, refused.out + refused.err
    assert "bob@acme.test may approve" in refused.err


def test_settings_that_move_no_file_leave_the_rest_as_it_is(world):
    """Also where the same commit brings them."""
    repo = begun(world)
    repo.write("all.yaml", by_role())
    repo.write("role.yaml", captains("bob"))
    repo.write("reconciler.yaml", SETTINGS % (".", ", guardrails: {max_deletes: 1}"))
    repo.commit("captains")
    assert 0 == repo.run("apply", "--yes", *ONLY_THE_POLICY).code

    done = repo.run("apply", "--yes")

    assert 0 == done.code, done.out + done.err


def test_a_base_that_is_dated_back_makes_no_policy_our_work(world):
    """A commit is not older than those before it."""
    repo = begun(world)
    create_policy(repo, "phx_ci")
    soon = f"{int(time.time()) + 2} +0000"
    repo.commit("before", GIT_COMMITTER_DATE=soon)
    repo.commit("base", GIT_COMMITTER_DATE="2020-01-01T00:00:00Z")
    assert 0 == repo.run("apply", "--yes").code
    repo.write("all.yaml", by_role())
    repo.write("role.yaml", captains("bob"))
    repo.commit("adopted, and more")

    refused = repo.run("apply", "--yes")

    assert 4 == refused.code, refused.out
    assert "bob@acme.test may approve" in refused.err


def role_id(repo):
    found = repo.sandbox.call("GET", "/api/organizations/", token="phx_carol")[1]
    path = f"/api/organizations/{found['results'][0]['id']}/roles/"
    (role,) = repo.sandbox.call("GET", path, token="phx_carol")[1]["results"]
    return role["id"]


def create_policy(repo, token):
    """Create a policy in PostHog that names the role as its approvers."""
    body = {
        "action_key": DISABLE,
        "approver_config": {"quorum": 1, "users": [], "roles": [role_id(repo)]},
        "conditions": {},
        "enabled": True,
    }
    made = repo.sandbox.call("POST", "/api/projects/1/approval_policies/", body, token=token)
    assert 201 == made[0], made


def test_a_policy_that_was_there_at_the_base_is_judged_as_it_was(world):
    """Whoever comes into a role that it has named all the time comes in by this commit."""
    named = acme.policy(DISABLE, approver_config={"quorum": 1, "users": [], "roles": ["Captains"]})
    repo = begun(world, policies=[named])
    repo.write("role.yaml", captains("bob"))
    repo.commit("captains")

    assert 4 == repo.run("apply", "--yes").code


def test_who_was_taken_out_by_hand_comes_back_only_if_that_is_allowed(world):
    """The files say the same as at the base, and what is live does not lie between them."""
    named = acme.policy(DISABLE, approver_config={"quorum": 1, "users": [], "roles": ["Captains"]})
    repo = begun(world, members=["bob"], policies=[named])
    found = repo.sandbox.call("GET", "/api/organizations/", token="phx_carol")[1]
    base = f"/api/organizations/{found['results'][0]['id']}/roles/{role_id(repo)}/role_memberships/"
    (held,) = repo.sandbox.call("GET", base, token="phx_carol")[1]["results"]
    assert 204 == repo.sandbox.call("DELETE", f"{base}{held['id']}/", token="phx_carol")[0]

    assert 4 == repo.run("apply", "--yes").code
    assert 0 == repo.run("apply", "--yes", "--allow-weakening").code


def test_somebody_may_change_the_role_in_two_runs(world):
    """Out of one role first, though it was one commit that put them into the other as well."""
    config = {"quorum": 1, "users": [], "roles": ["Captains", "Mates"]}
    named = acme.policy(DISABLE, approver_config=config)
    roles = [
        {"name": "Captains", "members": ["bob@acme.test"]},
        {"name": "Mates", "members": []},
    ]
    web = {"name": "Web", "id": 1, "approval_policies": [named]}
    repo = world(acme.seed(projects=[web, {"name": "Mobile", "id": 2}], roles=roles))
    mates = acme.document("Role", {"members": []}, name="Mates")
    repo.write("role.yaml", captains("bob"), mates)
    repo.commit("base")
    assert 0 == repo.run("apply", "--yes").code
    repo.write("role.yaml", captains(), {**mates, "spec": {"members": ["bob@acme.test"]}})
    repo.commit("bob is a mate")
    assert 0 == repo.run("apply", "--yes", "--select", "Role/acme/Captains").code

    done = repo.run("apply", "--yes")

    assert 0 == done.code, done.out + done.err
    assert "completes an earlier apply" in done.out


def test_a_role_that_was_renamed_is_what_the_base_named_by_its_former_name(world):
    """The organization goes from it to another role, and the run ends between the two."""
    mates = acme.document("Role", {"members": []}, name="Mates")
    roles = [{"name": "Captains", "members": ["bob@acme.test"]}, {"name": "Mates", "members": []}]
    repo = world(acme.seed(roles=roles))
    organization = acme.document("Organization", {"default_role": "Captains"})
    repo.write("all.yaml", captains("bob"), mates, organization)
    repo.commit("base")
    assert 0 == repo.run("apply", "--yes").code
    renamed = acme.document("Role", {"members": ["bob@acme.test"]}, name="Skippers")
    renamed["metadata"]["lifecycle"] = {"renamed_from": "Captains"}
    organization["spec"]["default_role"] = "Mates"
    repo.write("all.yaml", renamed, mates, organization)
    repo.commit("skippers")
    assert 0 == repo.run("apply", "--yes", "--select", "Role/*").code

    drift = repo.run("drift", "--format", "json")
    done = repo.run("apply", "--yes")

    assert 0 == drift.code, drift.out
    assert 0 == done.code, done.out + done.err


def test_a_new_organization_has_its_default_role_before_a_policy_names_it(world):
    """Its last call, which waits for the role, goes before the policy."""
    repo = world(acme.seed())
    new = {"organization": "newco"}
    approvers = {"quorum": 1, "users": [], "roles": ["Ops"]}
    repo.write(
        "all.yaml",
        {"kind": "Organization", "metadata": new, "spec": {"name": "Newco", "default_role": "Ops"}},
        {"kind": "Role", "metadata": {**new, "name": "Ops"}, "spec": {}},
        {"kind": "Project", "metadata": {**new, "name": "Shop"}, "spec": {}},
        {
            "kind": "ApprovalPolicy",
            "metadata": {**new, "project": "Shop", "action": DISABLE},
            "spec": {"approvers": approvers},
        },
    )

    done = repo.run("apply", "--yes")

    assert 0 == done.code, done.out + done.err
    rows = repo.sandbox.call("GET", "/_sandbox/ledger")[1]
    made = [(row["object"].split("/")[0], row["effect"]) for row in rows if row["user"]]
    default = made.index(("Organization", "update"))
    assert made.index(("Role", "create")) < default < made.index(("ApprovalPolicy", "create"))
