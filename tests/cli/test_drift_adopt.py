"""`drift --adopt`: live values into the files, so that the fix can be a pull request."""

import subprocess

import pytest

from tests import acme
from tests.cli.test_drift import ENABLE, FLAGS, SETTINGS, drift, edit, seed
from tests.support import SCRIPT

CONFIG = """\
# who may see what
kind: FeatureFlag
metadata: {organization: acme, project: Web, key: a}   # the first one
spec:
  name: a   # a name
  active: false
  filters:
    groups:
      # everybody, slowly
      - rollout_percentage: 10   # percent
        properties: []
---
kind: FeatureFlag
metadata: {organization: acme, project: Web, key: b}
spec: {name: 'b', tags: [x]}
"""
B = {"id": 102, "name": "b", "tags": ["x"]}


@pytest.fixture
def committed(world):
    """(text, seed) -> a repository whose HEAD has the text as config.yaml."""

    def make(text, its_seed, **files):
        repo = world(its_seed)
        repo.write("config.yaml", text)
        for name, content in files.items():
            repo.write(name, content)
        repo.commit()
        repo.sandbox.clear()
        return repo

    return make


def two():
    return seed(acme.live_flag("a", id=101), acme.live_flag("b", **B))


def adopt(repo, *options, **extra):
    return repo.run("drift", "--adopt", "--format", "json", *options, **extra)


def text(repo, name="config.yaml"):
    return (repo.folder / name).read_text(encoding="utf-8")


def clean(repo):
    """What was adopted is valid, and once it is committed there is no drift."""
    assert repo.run("validate").code == 0
    repo.commit("Adopt drift")
    done = drift(repo)
    assert (0, []) == (done.code, done.json["changes"])


def test_live_values_are_written_where_they_stand_and_all_else_stays(committed):
    """Byte for byte: comments, order, quotes and flow style. GET requests only."""
    repo = committed(CONFIG, two())
    wide = {"filters": {"groups": [{"properties": [], "rollout_percentage": 40}]}}
    edit(repo, f"{FLAGS}101/", {**wide, "name": "A: one", "tags": ["unmanaged"]}, "carol")
    edit(repo, f"{FLAGS}102/", {"tags": ["x", "hot"]}, "carol")
    repo.sandbox.clear()

    done = adopt(repo)

    expected = (
        CONFIG.replace("name: a ", 'name: "A: one" ')
        .replace("percentage: 10", "percentage: 40")
        .replace("[x]", "[x, hot]")
    )
    assert (0, expected) == (done.code, text(repo)), done.err
    assert {
        "FeatureFlag/acme/Web/a": ["filters.groups[0].rollout_percentage", "name"],
        "FeatureFlag/acme/Web/b": ["tags"],
    } == {row["address"]: row["paths"] for row in done.json["adopted"]}
    assert [] == repo.sandbox.writes()
    clean(repo)


def test_it_says_which_files_and_what_to_do_next(committed):
    """Without a remote there is nowhere to push to, and no line that says so."""
    repo = committed(CONFIG, two())
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")

    done = repo.run("drift", "--adopt")

    assert done.code == 0
    assert "updated  config.yaml\n  FeatureFlag/acme/Web/a: name\n" in done.out
    assert "git commit --message 'Adopt drift: FeatureFlag/acme/Web/a'" in done.out
    assert "git push" not in done.out
    repo.git("checkout", "-q", "config.yaml")
    repo.git("remote", "add", "origin", str(repo.folder))
    assert "git push --set-upstream origin adopt-drift" in repo.run("drift", "--adopt").out
    assert "Nothing to adopt" not in done.out


def test_a_clean_repository_has_nothing_to_adopt(committed):
    repo = committed(CONFIG, two())

    done = repo.run("drift", "--adopt")

    assert (0, "Nothing to adopt.\n", CONFIG) == (done.code, done.out, text(repo))


def test_groups_that_were_added_and_taken_are_adopted(committed):
    repo = committed(CONFIG, two())
    rule = {"key": "email", "type": "person", "operator": "icontains", "value": "@acme.test"}
    groups = [
        {"properties": [], "rollout_percentage": 10},
        {"properties": [rule], "rollout_percentage": 100},
    ]
    edit(repo, f"{FLAGS}101/", {"filters": {"groups": groups}}, "carol")

    assert adopt(repo).code == 0
    assert "# everybody, slowly" in text(repo)
    clean(repo)

    edit(repo, f"{FLAGS}101/", {"filters": {"groups": groups[:1]}}, "carol")
    assert adopt(repo).code == 0
    assert "icontains" not in text(repo)
    clean(repo)


def test_policies_people_and_settings_are_adopted_in_names(committed):
    documents = """\
kind: Organization
metadata: {organization: acme}
spec:
  enforce_2fa: false
---
kind: Role
metadata: {organization: acme, name: Managers}
spec:
  members:
    - alice@acme.test   # leads
---
kind: Member
metadata: {organization: acme, email: bob@acme.test}
spec: {level: member}
---
kind: ApprovalPolicy
metadata: {organization: acme, project: Web, action: feature_flag.enable}
spec:
  approvers: {quorum: 1, users: [alice@acme.test]}
  expires_after: 14d
"""
    config = {"quorum": 1, "users": ["alice@acme.test"], "roles": []}
    policies = [acme.policy(ENABLE, approver_config=config)]
    roles = [{"name": "Managers", "members": ["alice@acme.test"]}]
    its_seed = seed(policies=policies, roles=roles, settings={"enforce_2fa": False})
    repo = committed(documents, its_seed)
    answer = repo.sandbox.call("GET", "/api/organizations/", token="phx_alice")[1]
    root = f"/api/organizations/{answer['results'][0]['id']}/"
    people = repo.sandbox.call("GET", f"{root}members/", token="phx_alice")[1]["results"]
    ids = {one["user"]["email"]: one["user"] for one in people}
    bob = ids["bob@acme.test"]
    role = repo.sandbox.call("GET", f"{root}roles/", token="phx_alice")[1]["results"][0]["id"]
    path = "/api/projects/1/approval_policies/"
    policy = repo.sandbox.call("GET", path, token="phx_alice")[1]["results"][0]["id"]
    edit(repo, root, {"enforce_2fa": True}, "alice")
    edit(repo, f"{root}members/{bob['uuid']}/", {"level": 8}, "alice")
    edit(repo, f"{root}roles/{role}/role_memberships/", {"user_uuid": bob["uuid"]}, "alice", "POST")
    wide = {"quorum": 2, "users": [11, bob["id"]], "roles": [role]}
    change = {"approver_config": wide, "expires_after": "1 12:00:00"}
    edit(repo, f"{path}{policy}/", change, "alice")

    assert adopt(repo).code == 0

    made = text(repo)
    assert "    - alice@acme.test   # leads\n    - bob@acme.test\n" in made
    assert "quorum: 2, users: [alice@acme.test, bob@acme.test], roles: [Managers]" in made
    assert ("enforce_2fa: true" in made, "level: admin" in made, "expires_after: 36h" in made) == (
        True,
        True,
        True,
    )
    clean(repo)


def test_what_was_deleted_leaves_the_files(committed):
    """The document goes, the others stay; a file that has nothing left goes as a whole."""
    third = CONFIG.split("---\n")[1].replace("key: b", "key: c")
    its_seed = seed(
        acme.live_flag("a", id=101),
        acme.live_flag("b", **B),
        acme.live_flag("c", **{**B, "id": 103}),
    )
    repo = committed(CONFIG, its_seed, **{"more/c.yaml": third})
    repo.write("reconciler.yaml", "version: 1\ntargets:\n  web: {paths: [config.yaml, more]}\n")
    repo.write("more/d.yaml", CONFIG.split("---\n")[1].replace("key: b", "key: d"))
    repo.commit()
    edit(
        repo,
        FLAGS,
        {"key": "d", "filters": {"groups": [{}]}, "name": "b", "tags": ["x"]},
        "carol",
        "POST",
    )
    edit(repo, f"{FLAGS}101/", {"deleted": True}, "carol")
    edit(repo, f"{FLAGS}103/", {"deleted": True}, "carol")

    done = adopt(repo)

    assert done.code == 0, done.err
    assert text(repo) == "kind" + CONFIG.split("---\nkind")[1]
    assert not (repo.folder / "more" / "c.yaml").exists()
    assert [("config.yaml", "updated"), ("more/c.yaml", "removed")] == [
        (row["path"], row["action"]) for row in done.json["files"]
    ]
    clean(repo)


def test_what_was_never_live_is_not_taken_for_deleted(committed):
    """Nobody deleted it: it was not applied yet. Once a clean apply had it, it was there."""
    policy = """\
---
kind: ApprovalPolicy
metadata: {organization: acme, project: Web, action: feature_flag.enable}
spec: {approvers: {quorum: 1, users: [alice@acme.test]}}
"""
    repo = committed(CONFIG + policy, two())

    done = adopt(repo)

    reasons = {row["address"]: row["reason"] for row in done.json["left_out"]}
    assert (1, CONFIG + policy) == (done.code, text(repo))
    assert "nothing says that it ever was" in reasons[f"ApprovalPolicy/acme/Web/{ENABLE}"]
    assert repo.run("apply", "--yes").code == 0
    path = "/api/projects/1/approval_policies/"
    made = repo.sandbox.call("GET", path, token="phx_alice")[1]["results"][0]["id"]
    edit(repo, f"{path}{made}/", None, "alice", "DELETE")
    assert (0, CONFIG) == (adopt(repo).code, text(repo))
    clean(repo)


def test_what_came_back_is_declared_again(committed):
    """`state: absent` goes, and what the document writes is what is live."""
    document = CONFIG.replace(
        "key: a}   # the first one",
        "key: a, lifecycle: {state: absent}}   # the first one",
    )
    repo = committed(document, seed(acme.live_flag("b", **B)))
    groups = [{"properties": [], "rollout_percentage": 5}]
    body = {"key": "a", "name": "a", "active": False, "filters": {"groups": groups}}
    edit(repo, FLAGS, body, "carol", "POST")

    done = adopt(repo)

    assert (0, CONFIG.replace("percentage: 10", "percentage: 5")) == (done.code, text(repo))
    assert "lifecycle.state" in done.json["adopted"][0]["paths"]
    clean(repo)


OVERLAY = """\
kind: FeatureFlag
metadata: {organization: acme, project: Web, key: a}
spec:
  active: true   # here it is on
"""


def test_what_an_overlay_writes_is_changed_in_the_overlay(committed):
    settings = "version: 1\ntargets:\n  web: {paths: [config.yaml], overlays: [over.yaml]}\n"
    its_seed = seed(acme.live_flag("a", id=101, active=True), acme.live_flag("b", **B))
    repo = committed(CONFIG, its_seed, **{"over.yaml": OVERLAY, "reconciler.yaml": settings})
    assert drift(repo).code == 0
    edit(repo, f"{FLAGS}101/", {"active": False, "name": "by hand"}, "carol")

    done = adopt(repo)

    assert done.code == 0, done.err
    assert OVERLAY.replace("active: true", "active: false") == text(repo, "over.yaml")
    assert CONFIG.replace("name: a ", "name: by hand ") == text(repo)
    clean(repo)


TEMPLATE = """\
kind: FeatureFlag
metadata: {organization: acme, projects: ["*"], key: everywhere}
spec:
  name: everywhere   # all projects
"""


def test_a_document_for_many_projects_changes_only_if_all_of_them_did(committed):
    projects = [
        {"name": name, "id": id_, "feature_flags": [acme.live_flag("everywhere", id=100 + id_)]}
        for name, id_ in (("Web", 1), ("Mobile", 2))
    ]
    repo = committed(TEMPLATE, acme.seed(projects=projects))
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")

    one = adopt(repo)

    assert (1, TEMPLATE) == (one.code, text(repo))
    left = one.json["left_out"][0]
    assert "is for 2 projects" in left["reason"]
    assert "write a separate one for this project" in left["fix"]
    edit(repo, "/api/projects/2/feature_flags/102/", {"name": "by hand"}, "carol")
    assert adopt(repo).code == 0
    assert TEMPLATE.replace("name: everywhere ", "name: by hand ") == text(repo)
    clean(repo)


def test_what_somebody_is_writing_is_not_written_over(committed):
    """The file that would be changed has to be as it is committed; others do not matter."""
    repo = committed(CONFIG, two())
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")
    repo.write("notes.txt", "not yet committed")
    repo.write("config.yaml", CONFIG + "# my own words\n")

    done = adopt(repo)

    assert (1, True) == (done.code, "config.yaml: not as in commit" in done.err)
    assert text(repo) == CONFIG + "# my own words\n"


def test_a_patch_is_what_git_applies(committed):
    """Nothing is written; applied, it is what --adopt would have written."""
    repo = committed(CONFIG.replace("\n", "\r\n"), two(), **{"sub/x.txt": ""})
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")
    edit(repo, f"{FLAGS}102/", {"deleted": True}, "carol")
    before = (repo.folder / "config.yaml").read_bytes()

    done = subprocess.run(
        [*repo_command(), "drift", "--patch", "../config.yaml"],
        cwd=repo.folder / "sub",
        env=repo.environment(),
        capture_output=True,
        check=False,
    )

    assert (0, before) == (done.returncode, (repo.folder / "config.yaml").read_bytes()), done
    subprocess.run(["git", "apply", "-"], cwd=repo.folder, input=done.stdout, check=True)
    applied = (repo.folder / "config.yaml").read_bytes()
    repo.git("checkout", "-q", ".")
    assert adopt(repo).code == 0
    assert applied == (repo.folder / "config.yaml").read_bytes()
    assert b"name: by hand   # a name\r\n" in applied
    clean(repo)


def repo_command():

    return [SCRIPT]


def test_what_is_held_stays_as_it_is(committed):
    repo = committed(CONFIG, two())
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")
    repo.write("reconciler.yaml", SETTINGS % "2999-01-01")

    done = adopt(repo)

    assert (0, CONFIG, ["FeatureFlag/acme/Web/a"]) == (done.code, text(repo), done.json["held"])


def test_only_what_people_approved_is_adopted(committed):
    repo = committed(CONFIG, two())
    status, answer = repo.sandbox.call(
        "POST",
        "/api/projects/1/approval_policies/",
        {"action_key": ENABLE, "approver_config": {"quorum": 1, "users": [12], "roles": []}},
        token="phx_alice",
    )
    assert status == 201, answer
    status, answer = repo.sandbox.call("PATCH", f"{FLAGS}101/", {"active": True}, token="phx_carol")
    path = f"/api/projects/1/change_requests/{answer['change_request_id']}/approve/"
    edit(repo, path, {}, "bob", "POST")
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")

    done = adopt(repo, "--only", "approved")

    assert (0, CONFIG.replace("active: false", "active: true")) == (done.code, text(repo))


def test_a_role_that_is_gone_stays_while_a_policy_names_it(committed):
    """To adopt it would leave a file that means nobody; both are said."""
    documents = """\
kind: Role
metadata: {organization: acme, name: Managers}
---
kind: ApprovalPolicy
metadata: {organization: acme, project: Web, action: feature_flag.enable}
spec:
  approvers: {quorum: 1, roles: [Managers]}
"""
    config = {"quorum": 1, "users": [], "roles": ["Managers"]}
    roles = [{"name": "Managers", "members": []}]
    repo = committed(
        documents, seed(policies=[acme.policy(ENABLE, approver_config=config)], roles=roles)
    )
    answer = repo.sandbox.call("GET", "/api/organizations/", token="phx_alice")[1]
    root = f"/api/organizations/{answer['results'][0]['id']}/"
    role = repo.sandbox.call("GET", f"{root}roles/", token="phx_alice")[1]["results"][0]["id"]
    edit(repo, f"{root}roles/{role}/", None, "alice", "DELETE")

    done = adopt(repo)

    reasons = {row["address"]: row["reason"] for row in done.json["left_out"]}
    assert (1, documents) == (done.code, text(repo))
    assert "names somebody, or a role, that is gone" in reasons[f"ApprovalPolicy/acme/Web/{ENABLE}"]
    assert "names it in approvers.roles[0]" in reasons["Role/acme/Managers"]


def test_a_project_that_this_key_cannot_see_is_not_taken_for_gone(committed):
    """Nor is anything in it: a key with less rights must not empty the files."""
    documents = (
        f"kind: Project\nmetadata: {{organization: acme, name: Gone}}\n---\n{CONFIG}".replace(
            "project: Web, key: b", "project: Gone, key: b"
        )
    )
    repo = committed(documents, seed(acme.live_flag("a", id=101)))

    done = adopt(repo)

    assert (1, documents) == (done.code, text(repo))
    assert {"Project/acme/Gone", "FeatureFlag/acme/Gone/b"} == {
        row["address"] for row in done.json["left_out"]
    }


def test_a_value_that_an_alias_repeats_is_left_to_a_person(committed):
    """The text of the value belongs to two fields: the document stays, and its line is named."""
    document = CONFIG.replace("name: a ", "name: &n a ")
    document = document.replace("  active: false\n", "  active: false\n  tags: [*n]\n")
    repo = committed(
        document, seed(acme.live_flag("a", id=101, tags=["a"]), acme.live_flag("b", **B))
    )
    edit(repo, f"{FLAGS}101/", {"name": "by hand"}, "carol")

    done = adopt(repo)

    assert (1, document) == (done.code, text(repo))
    assert "config.yaml:2:1 cannot be rewritten: an alias shares the value" in done.err
    assert "edit config.yaml:2:1 by hand" in done.err


@pytest.mark.parametrize(
    "options", [["--adopt", "--format", "sarif"], ["--patch", "--format", "json"]]
)
def test_a_format_that_says_nothing_of_files_is_a_slip(committed, options):
    done = committed(CONFIG, two()).run("drift", *options)

    assert (64, True) == (done.code, "has no format" in done.err)


@pytest.mark.parametrize("options", [("--adopt", "--revert"), ("--patch", "--adopt")])
def test_two_ways_to_end_drift_are_a_usage_error(world, options):
    """The last one must not win silently."""
    done = world(acme.seed()).run("drift", *options)

    assert 64 == done.code
    assert f"drift takes one of {', '.join(options)}" in done.err
