"""Which live object is meant: case, renames, ids, ignored parts; and what people once refused."""

import re

import pytest

from reconciler.config.schema import validator
from reconciler.kinds import KINDS
from tests import acme

NOBODYS = "0c7b1d8e-5f5e-4d0f-8d9e-1b0f6a0c3e21"


def project(**more):
    return {"name": "Web", "id": 1, **more}


def clean(repo):
    """Nothing is left to do, and a second apply sends no write."""
    plan = repo.run("plan", "--detailed-exitcode")
    repo.sandbox.clear()
    again = repo.run("apply", "--yes")
    return plan.code, again.code, repo.sandbox.writes()


def flags(repo, number=1):
    path = f"/api/projects/{number}/feature_flags/"
    return {f["key"]: f for f in repo.sandbox.call("GET", path, token="phx_ci")[1]["results"]}


def test_references_in_another_case_are_the_same_names(world):
    """PostHog folds role names and people write emails as they like: no plan may flap."""
    roles = [{"name": "Release managers", "members": ["bob@acme.test"]}]
    upper = "Bob@Acme.test"
    repo = world(acme.seed(roles=roles))
    repo.write(
        "all.yaml",
        acme.document("Organization", {"default_role": "release MANAGERS"}),
        acme.document("Role", {"members": ["BOB@acme.test"]}, name="Release managers"),
        acme.document("Member", {"level": "admin"}, email="BOB@ACME.test"),
        acme.document(
            "ApprovalPolicy",
            {
                "approvers": {
                    "quorum": 1,
                    "roles": ["RELEASE managers"],
                    "users": [upper],
                },
                "bypass_roles": ["release managers"],
            },
            project="Web",
            action="feature_flag.update",
        ),
    )

    first = repo.run("apply", "--yes")

    assert 0 == first.code, first.out + first.err
    assert (0, 0, []) == clean(repo)


def test_a_role_is_renamed_with_its_members_and_what_names_it(world):
    """One apply: the name, the memberships, and a policy that already uses the new name."""
    repo = world(acme.seed(roles=[{"name": "Old role", "members": ["alice@acme.test"]}]))
    renamed = {"renamed_from": "Old role"}
    repo.write(
        "all.yaml",
        acme.document("Role", {"members": ["bob@acme.test"]}, name="Shiny", lifecycle=renamed),
        acme.document(
            "ApprovalPolicy",
            {"approvers": {"quorum": 1, "roles": ["Shiny"]}},
            project="Web",
            action="feature_flag.update",
        ),
    )

    plan = repo.run("plan", "--format", "json").json
    first = repo.run("apply", "--yes")

    assert [] == plan["unmanaged"]
    assert 0 == first.code, first.out + first.err
    assert (0, 0, []) == clean(repo)


def test_a_project_is_renamed_with_what_lives_in_it(world):
    """Its flags are found under the old name: nothing is created anew."""
    repo = world(acme.seed(projects=[project(feature_flags=[acme.live_flag("legacy", 10)])]))
    renamed = {"renamed_from": "Web"}
    repo.write(
        "all.yaml",
        acme.document("Project", {}, name="Web2", lifecycle=renamed),
        acme.flag("legacy", 20, project="Web2"),
    )

    plan = repo.run("plan", "--format", "json").json
    first = repo.run("apply", "--yes")

    assert {"update"} == {change["action"] for change in plan["changes"]}
    assert 0 == first.code, first.out + first.err
    assert (0, 0, []) == clean(repo)
    assert 20 == flags(repo)["legacy"]["filters"]["groups"][0]["rollout_percentage"]


def test_a_flag_is_renamed_by_a_compare_and_swap(world):
    """The old key is gone, its unmanaged filters stay, and the write carried a version."""
    live = acme.live_flag("old-key", 10)
    live["filters"]["payloads"] = {"true": "1"}
    repo = world(acme.seed(projects=[project(feature_flags=[live])]))
    document = acme.flag("new-key", 30)
    document["metadata"]["lifecycle"] = {"renamed_from": "old-key"}
    repo.write("all.yaml", document)

    assert 0 == repo.run("apply", "--yes").code

    assert ["new-key"] == list(flags(repo))
    assert {"true": "1"} == flags(repo)["new-key"]["filters"]["payloads"]
    assert (0, 0, []) == clean(repo)


@pytest.mark.parametrize(
    "document",
    [
        acme.document("Project", {}, name="Web", id="99"),
        acme.document("Project", {}, name="Web", id="2"),
        acme.document(
            "Organization", {"enforce_2fa": True}, id="0c7b1d8e-5f5e-4d0f-8d9e-1b0f6a0c3e21"
        ),
    ],
)
def test_an_id_that_is_not_that_of_the_name_is_an_error(world, document):
    """Not a create, and never a write to another object."""
    repo = world(acme.seed())
    repo.write("all.yaml", document, acme.flag("a", 10))
    repo.sandbox.clear()

    plan = repo.run("plan")
    done = repo.run("apply", "--yes", "--format", "json")

    assert 1 == plan.code
    assert "metadata.id" in plan.out
    assert 1 == done.code
    assert {"POST /api/projects/1/feature_flags/"} >= {
        f"{row['method']} {row['path']}" for row in repo.sandbox.writes()
    }


def test_an_id_tells_namesakes_apart(world):
    """Two projects of one name: the flag goes to the one that is meant, and the other stays."""
    twins = [{"name": "Twin", "id": 3}, {"name": "Twin", "id": 4}]
    repo = world(acme.seed(projects=[project(), *twins]))
    repo.write(
        "all.yaml",
        acme.document("Project", {"timezone": "Europe/Berlin"}, name="Twin", id="4"),
        acme.flag("a", 10, project="Twin"),
    )

    first = repo.run("apply", "--yes")

    assert 0 == first.code, first.out + first.err
    assert ([], ["a"]) == (list(flags(repo, 3)), list(flags(repo, 4)))
    assert (0, 0, []) == clean(repo)


def test_an_ignored_part_of_a_list_keeps_its_live_value(world):
    """What is ignored is neither shown nor overwritten, at any depth."""
    live = acme.live_flag("a", 10)
    live["filters"]["groups"].append({"properties": [], "rollout_percentage": 1})
    repo = world(acme.seed(projects=[project(feature_flags=[live])]))
    document = acme.flag("a", 50)
    document["spec"]["filters"]["groups"].append({"properties": [], "rollout_percentage": 2})
    path = "filters.groups[0].rollout_percentage"
    document["metadata"]["lifecycle"] = {"ignore": [path]}
    repo.write("all.yaml", document)

    plan = repo.run("plan", "--format", "json").json
    done = repo.run("apply", "--yes")

    assert ["filters.groups[1].rollout_percentage"] == [
        field["path"] for field in plan["changes"][0]["fields"]
    ]
    assert 0 == done.code
    groups = flags(repo)["a"]["filters"]["groups"]
    assert [10, 2] == [group["rollout_percentage"] for group in groups]


def test_a_bracket_in_a_key_is_part_of_the_key(world):
    """A variant, and so its payload, may be called anything."""
    repo = world(acme.seed(projects=[project(feature_flags=[acme.live_flag("a", 10)])]))
    document = acme.flag("a", 10)
    variants = [{"key": key, "rollout_percentage": 50} for key in ("v[x]", "w[0]")]
    document["spec"]["filters"]["multivariate"] = {"variants": variants}
    document["spec"]["filters"]["payloads"] = {"v[x]": "1", "w[0]": "2"}
    repo.write("all.yaml", document)

    assert 0 == repo.run("apply", "--yes").code
    assert (0, 0, []) == clean(repo)


def test_switching_off_comes_before_anything_wider(world):
    """`active: false` is the first call, whatever else changes."""
    live = acme.live_flag("a", 10, active=True)
    repo = world(acme.seed(projects=[project(feature_flags=[live])]))
    repo.write("all.yaml", acme.flag("a", 100, active=False))
    repo.sandbox.clear()

    assert 0 == repo.run("apply", "--yes").code

    effects = [row for row in repo.sandbox.call("GET", "/_sandbox/ledger")[1] if row["after"]]
    states = [(row["after"].get("active")) for row in effects if "active" in row["after"]]
    assert True not in states


def test_a_flag_that_moved_since_the_plan_is_not_deleted(world):
    """A delete looks first: the server itself would not notice (contract 9.4)."""
    repo = world(acme.seed(projects=[project(feature_flags=[acme.live_flag("a", 10)])]))
    document = acme.flag("a")
    document["metadata"]["lifecycle"] = {"state": "absent"}
    repo.write("all.yaml", document)
    repo.sandbox.clear()

    assert 0 == repo.run("apply", "--yes").code

    paths = [row["path"] for row in repo.sandbox.requests() if "/feature_flags/" in row["path"]]
    assert any(path.rstrip("/").split("/")[-1].isdigit() for path in paths[:-1])
    assert {} == flags(repo)


def test_a_flag_without_a_group_is_refused_before_it_is_sent(world):
    """PostHog would answer 400 (contract 9.2)."""
    repo = world(acme.seed())
    repo.write("all.yaml", acme.flag("a", name="no groups"))
    repo.sandbox.clear()

    assert 1 == repo.run("plan").code
    done = repo.run("apply", "--yes")

    assert 1 == done.code
    assert "at least one group" in done.out
    assert [] == repo.sandbox.writes()


def test_a_select_that_covers_nothing_is_an_error(world):
    """A slip in a scheduled job must not stay green for ever."""
    repo = world(acme.seed())
    repo.write("all.yaml", acme.flag("new-checkout", 10))

    done = repo.run("plan", "--select", "FeatureFlag/acme/Web/new-chekout", "--detailed-exitcode")

    assert 1 == done.code
    assert "FeatureFlag/acme/Web/new-checkout" in done.err


def rejected(world, *, commit):
    policy = acme.policy("feature_flag.enable")
    repo = world(
        acme.seed(
            projects=[project(approval_policies=[policy], feature_flags=[acme.live_flag("a", 10)])]
        )
    )
    repo.write("all.yaml", acme.flag("a", active=True))
    if commit:
        repo.commit()
    filed = repo.run("apply", "--yes", "--format", "json").json["results"][0]["change_request"]
    reason = ["--reason", "not now"]
    assert 0 == repo.run("requests", "reject", filed, "--yes", *reason, token="phx_alice").code
    repo.sandbox.clear()
    return repo


@pytest.mark.parametrize("commit", [True, False])
def test_what_people_rejected_is_not_filed_again(world, commit):
    """In git until the document moves, outside git for good: refused (4), nothing sent."""
    repo = rejected(world, commit=commit)

    plan = repo.run("plan", "--format", "json").json
    done = repo.run("apply", "--yes", "--format", "json")

    assert "rejected" == plan["changes"][0]["gate"]["verdict"]
    assert (4, "refused") == (done.code, done.json["results"][0]["outcome"])
    assert [] == repo.sandbox.writes()


def test_a_document_committed_after_the_rejection_asks_anew(world):
    """The commit is the new reason."""
    repo = rejected(world, commit=True)
    repo.sandbox.call("POST", "/_sandbox/clock", {"advance": "1s"})
    repo.write("all.yaml", acme.flag("a", active=True, name="Now with a reason"))
    when = {"GIT_COMMITTER_DATE": "2090-01-01T00:00:00Z"}
    repo.commit("a new reason", **when)

    done = repo.run("apply", "--yes", "--format", "json")

    assert (3, "waiting") == (done.code, done.json["results"][0]["outcome"])


def test_what_we_cancelled_ourselves_is_filed_again(world):
    """A cancelled request is stored as rejected, by its own requester (contract 7.3)."""
    policy = acme.policy("feature_flag.enable")
    flag = acme.live_flag("a", 10)
    repo = world(acme.seed(projects=[project(approval_policies=[policy], feature_flags=[flag])]))
    repo.write("all.yaml", acme.flag("a", active=True))
    filed = repo.run("apply", "--yes", "--format", "json").json["results"][0]["change_request"]
    assert 0 == repo.run("requests", "cancel", filed).code

    done = repo.run("apply", "--yes", "--format", "json")

    assert (3, "waiting") == (done.code, done.json["results"][0]["outcome"])


def test_a_request_that_can_no_longer_be_applied_is_said_to_be_so(world):
    """Somebody wrote the flag after it was filed: approving it would fail (contract 7.5)."""
    policy = acme.policy("feature_flag.enable")
    flag = acme.live_flag("a", 10)
    repo = world(acme.seed(projects=[project(approval_policies=[policy], feature_flags=[flag])]))
    repo.write("all.yaml", acme.flag("a", active=True))
    filed = repo.run("apply", "--yes", "--format", "json").json["results"][0]["change_request"]
    path = f"/api/projects/1/feature_flags/{flags(repo)['a']['id']}/"
    assert 200 == repo.sandbox.call("PATCH", path, {"name": "by hand"}, token="phx_alice")[0]

    plan = repo.run("plan", "--format", "json").json
    assert "blocked" == plan["changes"][0]["gate"]["verdict"]

    assert 0 == repo.run("requests", "cancel", filed).code
    done = repo.run("apply", "--yes", "--format", "json")
    assert 3 == done.code
    assert filed != done.json["results"][0]["change_request"]


def creations(sandbox):
    """What POSTs made, by path."""
    return [row["path"] for row in sandbox.writes() if row["method"] == "POST"]


NAMES_NOT_KEPT = {
    "newco": ("New Company", '"newco" would become "new-company"'),
    "a-b": ("A&B", '"a-b" would become "ab"'),
    "gros": ("Größe", '"gros" would become "groe"'),
    "my-org-": (None, '"my-org-" would become "my-org"'),
    "nihon": ("日本", '"nihon" would have an empty slug'),
    "long": ("x" * 48 + " y", f'"long" would become "{"x" * 48}"'),
}


def test_a_slug_that_posthog_would_change_is_an_error_before_anything_is_sent(world):
    """Each create would make one more, at every run."""
    repo = world(acme.seed())
    for slug, (name, _) in NAMES_NOT_KEPT.items():
        spec = {} if name is None else {"name": name}
        document = {"kind": "Organization", "metadata": {"organization": slug}, "spec": spec}
        repo.write(f"{slug}.yaml", document)
    repo.sandbox.clear()

    plan = repo.run("plan")
    live = repo.run("validate", "--live")

    assert (1, 1) == (plan.code, live.code)
    for slug, (_, message) in NAMES_NOT_KEPT.items():
        assert re.search(rf"error: {slug}\.yaml:\d+:\d+: {re.escape(message)}\n", plan.out)
        assert message in live.err
    assert 1 == repo.run("apply", "--yes").code
    assert [] == creations(repo.sandbox)


def test_the_slug_of_a_new_organization_is_what_posthog_makes_of_its_name(world):
    """One apply, and then nothing is left to do; marks, spaces and underscores included."""
    repo = world(acme.seed())
    slugs = {"ab-inc": "A.B, Inc.", "cafe_noir": " Café_noir ", "x" * 47 + "-": "x" * 47 + " yz"}
    for number, (slug, name) in enumerate(slugs.items()):
        document = {"kind": "Organization", "metadata": {"organization": slug}}
        repo.write(f"{number}.yaml", {**document, "spec": {"name": name.strip()}})

    first = repo.run("apply", "--yes")

    assert 0 == first.code, first.out + first.err
    assert (0, 0, []) == clean(repo)


def test_an_organization_whose_slug_was_taken_out_of_sight_is_made_once(world):
    """PostHog adds something to the slug: no later run tries again, on whatever machine."""
    seed = acme.seed()
    seed["organizations"].append({"name": "Elsewhere", "slug": "new-company"})
    repo = world(seed)
    repo.write(
        "all.yaml",
        {
            "kind": "Organization",
            "metadata": {"organization": "new-company"},
            "spec": {"name": "New Company"},
        },
    )
    repo.sandbox.clear()

    first = repo.run("apply", "--yes")
    plan = repo.run("plan")
    again = repo.run("apply", "--yes")

    assert (1, 1, 1) == (first.code, plan.code, again.code)
    assert 'created it as "new-company-2", not as "new-company"' in first.out
    assert "organization: new-company-2" in first.out
    assert 'its slug is "new-company-2", not "new-company"' in plan.out
    assert ["/api/organizations/"] == creations(repo.sandbox)
    found = repo.sandbox.call("GET", "/api/organizations/", token="phx_ci")[1]["results"]
    (made,) = [one["id"] for one in found if one["slug"] == "new-company-2"]
    path = f"/api/organizations/{made}/"
    assert 200 == repo.sandbox.call("PATCH", path, {"name": "Other"}, token="phx_ci")[0]
    assert 'PostHog named it "new-company-2"' in repo.run("plan").out
    assert 1 == repo.run("apply", "--yes").code
    assert ["/api/organizations/"] == creations(repo.sandbox)


LOOKALIKES = [
    ("caf\u00e9", "cafe\u0301", '"caf\\u0065\\u0301"'),
    ("Night watch", "Night\u00a0watch", '"Night\\u00a0watch"'),
    ("Day watch", "Day  watch", '"Day \\u0020watch"'),
    ("Admins", "\uff21dmins", '"\\uff21dmins"'),
    ("Keepers", "\u041aeepers", '"\\u041aeepers"'),
    ("zero\u200bwidth", "zerowidth", '"zero\\u200bwidth"'),
]


@pytest.mark.parametrize("kind", ["Role", "Project"])
def test_a_new_name_that_looks_like_a_live_one_is_an_error(world, kind):
    """Both are shown with their escapes; nothing is created, and nothing that left is deleted."""
    names = [live for live, _, _ in LOOKALIKES]
    more = {"roles": [{"name": name} for name in names]} if kind == "Role" else {}
    live = [] if kind == "Role" else [{"name": name} for name in names]
    repo = world(acme.seed(projects=[project(), *live], **more))
    if kind == "Role":
        documents = [acme.document(kind, {"members": []}, name=one) for one in names[:2]]
        repo.write("all.yaml", *documents)
        repo.commit()
        assert 0 == repo.run("apply", "--yes").code
    repo.write("all.yaml", *[acme.document(kind, {}, name=new) for _, new, _ in LOOKALIKES])
    repo.commit()
    repo.sandbox.clear()

    plan = repo.run("plan")
    done = repo.run("apply", "--yes", "--confirm-deletes", "2")

    assert (1, 1) == (plan.code, done.code), plan.out + plan.err
    for _, _, shown in LOOKALIKES:
        assert shown in plan.out
    assert len(LOOKALIKES) == len(re.findall("error: .* which is live", plan.out))
    assert [] == repo.sandbox.writes()


def test_a_reference_that_looks_like_a_live_name_shows_both(world):
    """A suggestion that reads the same as what was written helps nobody."""
    repo = world(acme.seed(roles=[{"name": "caf\u00e9"}]))
    repo.write(
        "all.yaml",
        acme.document(
            "ApprovalPolicy",
            {"approvers": {"quorum": 1, "roles": ["cafe\u0301"]}},
            project="Web",
            action="feature_flag.update",
        ),
    )

    plan = repo.run("plan")

    assert 1 == plan.code
    assert 'no role is called "caf\\u0065\\u0301"' in plan.out
    assert 'did you mean "caf\\u00e9"?' in plan.out


def test_a_project_in_other_capitals_is_not_made_beside_the_live_one(world):
    """Neither is what lives in it deleted; the rename that the message names does it all."""
    repo = world(acme.seed(projects=[project(feature_flags=[acme.live_flag("a"), LIVE_B])]))
    before = [acme.document("Project", {}, name="Web"), acme.flag("a"), acme.flag("b")]
    repo.write("all.yaml", *before)
    repo.commit()
    assert 0 == repo.run("apply", "--yes").code
    flags_of = [acme.flag(key, project="WEB") for key in "ab"]
    repo.write("all.yaml", acme.document("Project", {}, name="WEB"), *flags_of)
    repo.commit()
    repo.sandbox.clear()

    plan = repo.run("plan")
    done = repo.run("apply", "--yes")

    assert (1, 1) == (plan.code, done.code)
    assert "renamed_from: Web}" in plan.out
    assert [] == repo.sandbox.writes()
    renamed = acme.document("Project", {}, name="WEB", lifecycle={"renamed_from": "Web"})
    repo.write("all.yaml", renamed, *flags_of)
    assert 0 == repo.run("apply", "--yes").code
    assert ["PATCH"] == [row["method"] for row in repo.sandbox.writes()]


LIVE_B = acme.live_flag("b", 20)
HINTS = {  # old name, in the base or only live; new name; whether the documents are equal
    "FeatureFlag": [
        ("new-checkout", "newCheckout", True),
        ("dark_mode", "dark-mode", False),
        ("old", "entirely-new", True),
    ],
    "Role": [("Night watch", "night-watch", True)],
    "Project": [("Web shop", "web_shop", True)],
}


@pytest.mark.parametrize("managed", [True, False])
def test_a_likely_rename_is_asked_about_with_the_line_to_write(world, managed):
    """What would be deleted, or is live in no file; every kind that can be renamed."""
    old = {
        name: acme.live_flag(name, 10 + at) for at, (name, _, _) in enumerate(HINTS["FeatureFlag"])
    }
    place = project(feature_flags=[{**one, "name": f"About {key}"} for key, one in old.items()])
    role = {"name": "Night watch", "members": ["bob@acme.test"]}
    repo = world(acme.seed(projects=[place, {"name": "Web shop"}], roles=[role]))

    def documents(*, new):
        for at, names in enumerate(HINTS["FeatureFlag"]):
            rollout = 10 + at if names[2] or not new else 99
            yield acme.flag(names[new], rollout, name=f"About {names[0]}")
        yield acme.document("Role", {"members": ["bob@acme.test"]}, name=HINTS["Role"][0][new])
        yield acme.document("Project", {"timezone": "UTC"}, name=HINTS["Project"][0][new])

    if managed:
        repo.write("all.yaml", *documents(new=False))
        repo.commit()
        assert 0 == repo.run("apply", "--yes").code
    repo.write("all.yaml", *documents(new=True))
    repo.commit()

    found = repo.run("plan", "--format", "json").json["findings"]

    hints = {one["fix"].split(": ", 1)[-1] for one in found if one["code"] == "likely-rename"}
    expected = {names[0] for rows in HINTS.values() for names in rows}
    assert {f"`lifecycle: {{renamed_from: {name}}}`" for name in expected} == hints
    assert all(
        one["source"]["file"] == "all.yaml" for one in found if one["code"] == "likely-rename"
    )


def test_what_cannot_be_renamed_is_not_said_to_be(world):
    """The gate of another action, equal to one that leaves; an action spelled otherwise."""
    gate = {"approvers": {"quorum": 1, "users": ["alice@acme.test"]}}
    repo = world(acme.seed())

    def declare(*actions):
        documents = (
            acme.document("ApprovalPolicy", gate, project="Web", action=action)
            for action in actions
        )
        repo.write("all.yaml", *documents)
        repo.commit()

    declare("feature_flag.disable", "feature_flag.Enable")
    assert 0 == repo.run("apply", "--yes").code
    declare("feature_flag.update", "feature_flag.enable")

    plan = repo.run("plan").out

    assert "renamed" not in plan
    assert 1 == plan.count("is it the same?")


def test_only_documents_that_may_say_it_are_renamed():
    """The planner and the schema agree on it."""
    for name, kind in KINDS.items():
        assert kind.renamable == ("renamed_from" in validator.read_text(name)), name


def test_new_objects_that_only_resemble_others_are_no_renames(world):
    """An equal plain flag, and a name that is declared as well."""
    repo = world(acme.seed(projects=[project(feature_flags=[acme.live_flag("x", 0, name="")])]))
    repo.write("all.yaml", acme.flag("y", 0, active=False), acme.flag("x", 0), acme.flag("X", 0))

    assert "renamed" not in repo.run("plan").out
