"""Access rules of projects (contract 20): planned per subject, written per rule, read back."""

import pytest

from tests import acme

ADDRESS = "ProjectAccess/acme/Web"
OWN = "/api/projects/1/access_controls/"
REST = "/api/projects/1/resource_access_controls/"
ROLES = [
    {"name": "Release managers", "members": ["bob@acme.test"]},
    {"name": "Engineers", "members": []},
]
FEATURES = ["approvals", "audit_logs", "organizations_projects", "role_based_access"]


def seed(*rules, narrow=False, **more):
    """Return a world in which Web has these rules."""
    projects = [
        {"name": "Web", "id": 1, "access_controls": list(rules)},
        {"name": "Mobile", "id": 2},
    ]
    return acme.seed(
        projects=projects,
        uses_most_specific_access_resolution=narrow,
        **{"roles": ROLES, "features": FEATURES, **more},
    )


def access(place="Web", **spec):
    """Return a document."""
    return acme.document("ProjectAccess", spec, project=place)


def rule(resource, level, **subject):
    """Return a rule of the seed."""
    return {"resource": resource, "access_level": level, **subject}


@pytest.fixture
def make(world):
    """Return a function that makes a committed repository of documents."""

    def make_repository(seed, *documents, **spec):
        repo = world(seed)
        repo.write("access.yaml", *(documents or (access(**spec),)))
        repo.commit()
        repo.sandbox.clear()
        return repo

    return make_repository


def read(repo):
    """Return the rules of Web, in the terms of a seed."""
    (organization,) = repo.sandbox.state()["organizations"]
    return {
        (row["resource"], row.get("role") or row.get("member") or ""): row["access_level"]
        for row in organization["projects"][0]["access_controls"]
    }


def converge(repo, *options):
    """Apply, and require an empty plan, then an apply without writes."""
    applied = repo.run("apply", "--yes", *options)
    assert applied.code == 0, applied.out + applied.err
    planned = repo.run("plan", "--detailed-exitcode", *options)
    assert planned.code == 0, planned.out
    repo.sandbox.clear()
    assert repo.run("apply", "--yes", *options).code == 0
    assert repo.sandbox.writes() == []


def errors(done):
    """Return code and message of the errors of a plan."""
    return [
        (row["code"], row["message"]) for row in done.json["findings"] if row["severity"] == "error"
    ]


def test_rules_are_planned_per_subject_and_written_one_by_one(make):
    """A role that is not named has no rule; what is not written is left alone."""
    repo = make(
        seed(
            rule("feature_flag", "viewer", role="Release managers"),
            rule("feature_flag", "editor", role="Engineers"),
            rule("feature_flag", "none", member="bob@acme.test"),
            rule("survey", "viewer"),
        ),
        feature_flag={"default": "viewer", "roles": {"Release managers": "editor"}},
    )
    planned = repo.run("plan", "--format", "json")
    (change,) = planned.json["changes"]
    fields = {row["path"]: (row["live"], row["desired"]) for row in change["fields"]}

    assert change["address"] == ADDRESS
    assert fields["feature_flag.roles.Release managers"] == ("viewer", "editor")
    assert fields["feature_flag.default"] == (None, "viewer")
    assert fields.keys() >= {"feature_flag.roles.Engineers"}
    rows = [" ".join(row.split()) for row in repo.run("plan").out.splitlines()]
    assert "feature_flag.roles.Release managers viewer → editor" in rows
    converge(repo)
    assert read(repo) == {
        ("feature_flag", ""): "viewer",
        ("feature_flag", "Release managers"): "editor",
        ("feature_flag", "bob@acme.test"): "none",
        ("survey", ""): "viewer",
    }


def test_a_clean_plan_reads_two_parts_of_each_declared_project(make):
    """Mobile is not declared, so nothing of it is read."""
    repo = make(seed(rule("survey", "viewer")), survey={"default": "viewer"})
    assert repo.run("plan", "--detailed-exitcode").code == 0
    paths = [call["path"] for call in repo.sandbox.requests()]

    assert sorted(path for path in paths if "access_controls" in path) == [OWN, REST]


@pytest.mark.parametrize("empty", [{"roles": {}}, {"roles": {"Engineers": None}}], ids=str)
def test_null_and_an_empty_mapping_remove_rules(make, empty):
    """PostHog then inherits: this is not `none`."""
    repo = make(
        seed(
            rule("survey", "viewer"),
            rule("survey", "editor", role="Engineers"),
            rule("survey", "editor", member="bob@acme.test"),
        ),
        survey={"default": None, "members": {}, **empty},
    )
    converge(repo)

    assert read(repo) == {}


def test_people_and_roles_of_the_same_run_come_first(make):
    """A rule waits for the role that it names, and for the project."""
    spec = {"survey": {"roles": {"New": "viewer"}, "members": {"Bob@acme.test": "editor"}}}
    repo = make(
        seed(),
        access("Shop", **spec),
        acme.document("Role", {"members": []}, name="New"),
        acme.document("Project", {}, name="Shop"),
    )
    converge(repo)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize(
    ("rules", "spec"),
    [
        ([("project", "none", {})], {"default": "admin"}),
        ([("project", "none", {})], {"default": None}),
        ([("project", "none", {})], {"roles": {"Release managers": "admin"}}),
        ([("project", "member", {})], {"members": {"bob@acme.test": "admin"}}),
    ],
    ids=str,
)
def test_a_rule_that_makes_a_project_admin_needs_allow_weakening(make, narrow, rules, spec):
    """In both modes: a project admin may edit policies."""
    given = [rule(name, level, **subject) for name, level, subject in rules]
    repo = make(seed(*given, narrow=narrow), project=spec)
    refused = repo.run("plan", "--format", "json")

    assert refused.code == 4
    assert [code for code, _ in errors(refused)] == ["policy-weakened"]
    (found,) = (row for row in refused.json["findings"] if row["severity"] == "error")
    assert found["excerpt"].strip().rstrip(":") in {*spec, "default: admin", "default: null"}
    assert "becomes an admin of Web" in errors(refused)[0][1]
    assert repo.run("apply", "--yes").code == 4
    assert repo.sandbox.writes() == []
    converge(repo, "--allow-weakening")


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize(
    ("rules", "spec"),
    [
        ([], {"default": "member"}),
        ([("none", {})], {"default": "member"}),
        ([], {"roles": {"Release managers": "admin"}}),
        ([("none", {})], {"roles": {"Engineers": "admin"}}),
        ([("none", {})], {"members": {"carol@acme.test": "admin"}}),
        ([("none", {})], {"members": {"bob@acme.test": "member"}}),
    ],
    ids=str,
)
def test_other_rules_are_not_refused(make, narrow, rules, spec):
    """Levels go down, nobody holds the role, or the rule binds nobody."""
    given = [rule("project", level, **subject) for level, subject in rules]
    repo = make(seed(*given, narrow=narrow), project=spec)
    converge(repo)


@pytest.mark.parametrize(("narrow", "code"), [(False, 4), (True, 0)])
def test_the_mode_of_the_organization_decides(make, narrow, code):
    """A rule of their own keeps a person below their role only if the specific one wins."""
    rules = [rule("project", "none"), rule("project", "member", member="bob@acme.test")]
    repo = make(seed(*rules, narrow=narrow), project={"roles": {"Release managers": "admin"}})

    assert repo.run("plan").code == code


def test_a_person_who_joins_a_role_with_an_admin_rule_is_a_weakening(make):
    """The role's document has the finding."""
    repo = make(
        seed(rule("project", "none"), rule("project", "admin", role="Engineers")),
        access(survey={"default": None}),
        acme.document("Role", {"members": ["bob@acme.test"]}, name="Engineers"),
    )
    refused = repo.run("plan", "--format", "json")

    assert refused.code == 4
    assert errors(refused)[0][1].startswith("Role/acme/Engineers widens access: bob@acme.test")


@pytest.mark.parametrize(
    "spec", [{"survey": {"default": "viewer"}}, {"project": {"members": {}}}], ids=str
)
def test_an_admin_of_the_organization_does_not_become_one_by_the_rules(make, spec):
    """The level puts a person above all rules: the rules of the same run are not to blame."""
    repo = make(
        seed(rule("project", "none"), rule("project", "member", member="bob@acme.test")),
        access(**spec),
        acme.document("Member", {"level": "admin"}, email="bob@acme.test"),
    )
    planned = repo.run("plan", "--format", "json")

    assert planned.code == 0, planned.out
    assert errors(planned) == []
    assert repo.run("apply", "--yes").code == 0


def test_removing_the_document_is_a_weakening_too(make):
    """Without rules everybody is an admin."""
    repo = make(
        seed(rule("project", "none"), rule("survey", "viewer")), project={"default": "none"}
    )
    repo.write(
        "access.yaml",
        {
            "kind": "ProjectAccess",
            "metadata": {
                "organization": "acme",
                "project": "Web",
                "lifecycle": {"state": "absent"},
            },
        },
    )
    repo.commit()

    assert repo.run("apply", "--yes").code == 4
    converge(repo, "--allow-weakening")
    assert read(repo) == {}


def test_rules_for_admins_are_a_warning(make):
    """Rules do not bind them."""
    repo = make(seed(), survey={"members": {"carol@acme.test": "none", "bob@acme.test": "none"}})
    done = repo.run("plan", "--format", "json")
    found = [row for row in done.json["findings"] if row["code"] == "rule-without-effect"]

    assert [row["severity"] for row in found] == ["warning"]
    assert found[0]["message"] == f"{ADDRESS}: rules do not bind carol@acme.test"


def test_role_rules_without_the_feature_are_foretold_and_refused(make):
    """PostHog answers 403."""
    repo = make(seed(features=["approvals"]), survey={"roles": {"Engineers": "viewer"}})
    planned = repo.run("plan", "--format", "json")

    assert "role-rules-unavailable" in [row["code"] for row in planned.json["findings"]]
    assert repo.run("apply", "--yes").code == 1
    assert read(repo) == {}


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"feature_flags": {"default": "viewer"}}, "feature_flag"),
        ({"project": {"default": "editor"}}, "admin"),
        ({"action": {"default": "none"}}, "viewer"),
        ({"toolbar": {"default": "editor"}}, "viewer"),
        ({"survey": {"roles": {"Engineers": "admin"}}}, "manager"),
    ],
    ids=str,
)
def test_unknown_types_and_levels_out_of_bounds_are_errors_of_the_files(make, spec, word):
    """With what is possible instead."""
    done = make(seed(), **spec).run("validate")

    assert done.code == 1
    assert word in done.out + done.err


@pytest.mark.parametrize(
    ("group", "first", "second"),
    [
        ("members", "Bob@ACME.test", "bob@acme.test"),
        ("roles", "Engineers", "engineers"),
    ],
)
def test_two_levels_for_one_person_or_role_are_an_error_of_the_files(make, group, first, second):
    """Letter case makes no difference: neither level may win silently."""
    repo = make(seed(), project={group: {first: "member", second: "admin"}})
    checked = repo.run("validate", "--format", "json")

    assert checked.code == 1
    assert f"`project.{group}` names {first} twice" in checked.out
    assert repo.run("plan").code == 1
    assert repo.sandbox.requests() == []


@pytest.mark.parametrize(
    "spec", [{"roles": {"Enginers": "viewer"}}, {"members": {"eve@acme.test": "viewer"}}], ids=str
)
def test_unknown_roles_and_people_are_errors_at_their_place(make, spec):
    """Found when the live side is known."""
    done = make(seed(), survey=spec).run("plan", "--format", "json")

    assert done.code == 1
    assert [code for code, _ in errors(done)] == ["unknown-reference"]


def test_pull_writes_rules_by_name_and_the_plan_is_clean(make):
    """Projects without a rule get no document."""
    rules = [
        rule("project", "none"),
        rule("feature_flag", "editor", role="Release managers"),
        rule("feature_flag", "viewer", member="bob@acme.test"),
    ]
    repo = make(seed(*rules), survey={"default": None})
    pulled = repo.run("pull", "--out", "pulled", "--kind", "ProjectAccess")
    files = list((repo.folder / "pulled").rglob("*.yaml"))
    text = "".join(path.read_text() for path in files)

    assert pulled.code == 0, pulled.out + pulled.err
    assert "Release managers: editor" in text
    assert "bob@acme.test: viewer" in text
    assert text.count("kind: ProjectAccess") == 1
    planned = repo.run("plan", "pulled", "--detailed-exitcode")
    assert planned.code == 0, planned.out


def test_pull_and_adopt_take_over_what_changed(make):
    """Also for a person, whose address has dots."""
    repo = make(
        seed(rule("survey", "viewer", member="bob@acme.test")),
        survey={"members": {"bob@acme.test": "viewer"}},
    )
    repo.run("apply", "--yes")
    set_rule(repo, "editor", "bob@acme.test")
    drift = repo.run("drift", "--format", "json")
    (field,) = drift.json["changes"][0]["fields"]

    assert (drift.code, field["path"]) == (2, "survey.members.bob@acme.test")
    assert (field["live"], field["desired"]) == ("editor", "viewer")
    assert repo.run("drift", "--adopt").code == 0
    assert "editor" in (repo.folder / "access.yaml").read_text()
    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_a_saved_plan_applies_rules(make):
    """The parts are read again."""
    repo = make(seed(), survey={"default": "viewer"})
    assert repo.run("plan", "--out", "p.json").code == 0
    applied = repo.run("apply", "p.json", "--yes")

    assert applied.code == 0, applied.out + applied.err
    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_pull_takes_rules_out_of_a_document(make):
    """Also if the resource type has no rule any more."""
    repo = make(
        seed(rule("feature_flag", "viewer", member="bob@acme.test")),
        survey={"default": "viewer", "roles": {"Engineers": "editor"}},
        feature_flag={"members": {"bob@acme.test": "viewer", "alice@acme.test": "none"}},
    )
    assert repo.run("pull", "--kind", "ProjectAccess").code == 0
    text = (repo.folder / "access.yaml").read_text()

    assert "bob@acme.test: viewer" in text
    assert "alice" not in text
    assert "Engineers" not in text
    assert repo.run("plan", "--detailed-exitcode").code == 0


def test_a_rule_that_somebody_adds_is_drift_and_is_pulled(make):
    """A mapping is complete where it is written, so the base had no rule for this person."""
    repo = make(
        seed(rule("survey", "viewer", member="bob@acme.test")),
        survey={"members": {"bob@acme.test": "viewer"}},
    )
    assert repo.run("apply", "--yes").code == 0
    set_rule(repo, "editor", "alice@acme.test")
    planned = repo.run("plan", "--format", "json")
    (field,) = planned.json["changes"][0]["fields"]

    assert (field["path"], field["cause"]) == ("survey.members.alice@acme.test", "drift")
    repo.write("access.yaml", access(survey={"members": {}}))
    repo.commit()
    planned = repo.run("plan", "--format", "json")
    causes = {row["path"]: row["cause"] for row in planned.json["changes"][0]["fields"]}
    assert causes == {
        "survey.members.alice@acme.test": "drift",
        "survey.members.bob@acme.test": "intent",
    }
    assert planned.json["released"] == []
    assert repo.run("pull", "--kind", "ProjectAccess").code == 0
    text = (repo.folder / "access.yaml").read_text()
    assert "alice@acme.test: editor" in text
    assert "bob" not in text


def set_rule(repo, level, email):
    """Set the rule of a person for surveys, as somebody does in PostHog."""
    members = repo.sandbox.call("GET", "/api/organizations/@current/members/", token="phx_ci")[1]
    (id_,) = [m["id"] for m in members["results"] if m["user"]["email"] == email]
    body = {"resource": "survey", "access_level": level, "organization_member": id_}
    assert repo.sandbox.call("PUT", REST, body, token="phx_carol")[0] == 200


def test_a_rule_that_somebody_changes_between_two_calls_is_not_overwritten(make):
    """The change is refused, and the next plan shows what there is."""
    repo = make(seed(), survey={"default": "viewer"}, toolbar={"default": "none"})
    body = {"resource": "survey", "access_level": "manager"}
    call = {"as": "carol@acme.test", "method": "PUT", "path": REST, "body": body}
    edit = {"match": {"method": "PUT", "hit": 1}, "point": "after", "effect": {"call": call}}
    assert repo.sandbox.call("POST", "/_sandbox/faults", {"faults": [edit]})[0] == 200
    done = repo.run("apply", "--yes", "--format", "json")

    assert done.code == 4
    assert "somebody changed survey meanwhile" in done.json["results"][0]["error"]["what"]
    assert read(repo) == {("survey", ""): "manager", ("toolbar", ""): "none"}


@pytest.mark.parametrize("effect", ["reset", "status(500)"])
@pytest.mark.parametrize("point", ["before", "after"])
def test_a_lost_answer_is_read_back(make, effect, point):
    """A rule can be set twice, so it is, after a read."""
    repo = make(seed(), survey={"default": "viewer"}, experiment={"default": "editor"})
    rule = {"match": {"method": "PUT", "hit": 1}, "point": point, "effect": effect}
    faults = {"faults": [rule]}
    assert repo.sandbox.call("POST", "/_sandbox/faults", faults)[0] == 200
    repo.run("apply", "--yes")
    converge(repo)


def test_an_older_server_does_not_offer_rules(make):
    """The document is an error, and a pull is silent about them."""
    repo = make({**seed(), "profile": "g2"}, survey={"default": "viewer"})
    planned = repo.run("plan", "--format", "json")

    assert planned.code == 1
    assert [code for code, _ in errors(planned)] == ["unreadable"]
    assert repo.run("pull", "--out", "pulled").code == 0


def based(make, *rules, **spec):
    """Return a repository whose base is what is live, with these rules."""
    repo = make(seed(*rules), project=spec)
    assert repo.run("apply", "--yes").code == 0
    return repo


def change(repo, **spec):
    """Commit other rules of the project itself."""
    repo.write("access.yaml", access(project=spec))
    repo.commit()


def test_an_allowed_weakening_that_was_interrupted_is_asked_for_again(make):
    """The option is about one run: compared with the base, the rest still weakens."""
    repo = based(make, rule("project", "none"), default="none")
    change(repo, default="admin", members={"bob@acme.test": "admin"})
    fault = {"match": {"method": "PUT", "hit": 2}, "effect": "status(403)"}
    assert repo.sandbox.call("POST", "/_sandbox/faults", {"faults": [fault]})[0] == 200
    assert repo.run("apply", "--yes", "--allow-weakening").code == 1
    assert read(repo) == {("project", "bob@acme.test"): "admin", ("project", ""): "none"}
    repo.sandbox.call("POST", "/_sandbox/faults", {"faults": []})
    refused = repo.run("apply", "--yes", "--format", "json")

    assert refused.code == 4
    assert "every new member becomes an admin of Web" in errors(refused)[0][1]
    assert "bob" not in errors(refused)[0][1]
    assert repo.run("apply", "--yes", "--allow-weakening").code == 0


@pytest.mark.parametrize("commits", [1, 2])
def test_only_what_no_commit_since_the_base_took_away_is_a_rest(make, commits):
    """In one commit bob keeps what he has; in two, the first took it away, and may be applied."""
    rules = [rule("project", "none"), rule("project", "admin", role="Release managers")]
    repo = based(make, *rules, default="none", roles={"Release managers": "admin"})
    if commits == 2:
        change(repo, default="none", roles={"Release managers": "member"})
    wanted = {"roles": {"Release managers": "member"}, "members": {"bob@acme.test": "admin"}}
    change(repo, default="none", **wanted)
    role_id = repo.sandbox.state()["organizations"][0]["roles"][0]["id"]
    body = {"access_level": "member", "role": role_id}
    assert repo.sandbox.call("PUT", OWN, body, token="phx_ci")[0] == 200
    planned = repo.run("plan", "--format", "json")

    assert planned.code == (0 if commits == 1 else 4)
    codes = [row["code"] for row in planned.json["findings"]]
    assert ("weakening-begun" if commits == 1 else "policy-weakened") in codes
    assert repo.run("apply", "--yes").code == planned.code


def test_an_admin_whom_somebody_removed_in_posthog_is_not_brought_back(make):
    """What is live is not between the base and the files: that was no run of ours."""
    repo = based(
        make, rule("project", "none"), default="none", members={"carol@acme.test": "admin"}
    )
    change(repo, default="none", members={"bob@acme.test": "admin"})
    assert repo.run("apply", "--yes", "--allow-weakening").code == 0
    members = repo.sandbox.call("GET", "/api/organizations/@current/members/", token="phx_ci")[1]
    (bob,) = [m["id"] for m in members["results"] if m["user"]["email"] == "bob@acme.test"]
    body = {"access_level": None, "organization_member": bob}
    assert repo.sandbox.call("PUT", OWN, body, token="phx_carol")[0] == 204
    refused = repo.run("apply", "--yes", "--format", "json")

    assert refused.code == 4
    assert errors(refused)[0][0] == "policy-weakened"
    assert repo.run("drift", "--revert", "--yes").code == 4


@pytest.mark.parametrize("written", ["Engineers", "engineers"])
@pytest.mark.parametrize("kind", ["ProjectAccess", "ApprovalPolicy", "Organization"])
def test_a_role_that_the_same_files_delete_cannot_be_named(make, kind, written):
    """It is live until this run deletes it: the rule would be gone at once, or name nobody."""
    gone = acme.document("Role", {"members": []}, name="Engineers", lifecycle={"state": "absent"})
    approvers = {"quorum": 1, "users": ["alice@acme.test"], "roles": [written]}
    policy = {"enabled": True, "conditions": {}, "approvers": approvers}
    by_kind = {
        "ProjectAccess": access(feature_flag={"roles": {written: "editor"}}),
        "ApprovalPolicy": acme.document(
            "ApprovalPolicy", policy, project="Web", action="feature_flag.enable"
        ),
        "Organization": acme.document("Organization", {"default_role": written}),
    }
    repo = make(seed(), gone, by_kind[kind])

    planned = repo.run("plan", "--format", "json")

    assert planned.code == 1
    assert errors(planned) == [("unknown-reference", 'the role "Engineers" is deleted here')]
