"""What one target calls things: its organization, its projects, and the defaults of all targets."""

import json
import sys

import pytest
import yaml

from reconciler.config.yaml import reader
from tests import acme
from tests.factories import gated

STAGING = {"paths": ["config"], "organization": "acme", "projects": {"Web": "Web staging"}}
SETTINGS = "reconciler.yaml"


def flag(key, rollout=None, *, projects=None, project="Web", **spec):
    """A flag document without an organization."""
    document = acme.flag(key, rollout, project, **spec)
    del document["metadata"]["organization"]
    if projects is not None:
        del document["metadata"]["project"]
        document["metadata"]["projects"] = projects
    return document


def live(*staging, web=(), mobile=()):
    """An organization in which staging and production are projects side by side."""
    flags = {"Web staging": staging, "Web": web, "Mobile": mobile}
    projects = [
        {"name": name, "id": number, "feature_flags": list(there)}
        for number, (name, there) in enumerate(flags.items(), 1)
    ]
    return acme.seed(projects=projects)


def settle(repo, *documents, target=None, **targets):
    """Write settings and documents, and commit them."""
    every = {"staging": target or STAGING, **targets}
    repo.write(SETTINGS, yaml.safe_dump({"version": 1, "targets": every}))
    if documents:
        repo.write("config/flags.yaml", *documents)
    repo.commit()


def changed(repo, *arguments):
    """Address -> action of everything that a plan changes."""
    done = repo.run("plan", "--format", "json", *arguments)
    assert done.code in {0, 4}, done.err
    return {
        row["address"]: row["action"] for row in done.json["changes"] if row["action"] != "none"
    }


def keys(repo):
    """Project -> keys of its flags."""
    projects = repo.sandbox.state()["organizations"][0]["projects"]
    return {
        project["name"]: sorted(
            each["key"] for each in project["feature_flags"] if not each.get("deleted")
        )
        for project in projects
    }


def test_documents_leave_organization_and_live_name_to_the_target(world):
    """Applied, and then there is nothing to do; the project of the same name is not touched."""
    repo = world(live(web=[acme.live_flag("a")]))
    settle(repo, flag("a", 20), flag("b", 20, project="Mobile"), {"kind": "Organization"})
    expected = {
        "FeatureFlag/acme/Web staging/a": "create",
        "FeatureFlag/acme/Mobile/b": "create",
    }

    assert changed(repo) == expected
    assert repo.run("apply", "--yes").code == 0
    assert keys(repo) == {"Web staging": ["a"], "Web": ["a"], "Mobile": ["b"]}
    assert changed(repo) == {}
    assert repo.run("drift").code == 0


def test_a_document_of_another_organization_is_an_error_at_its_place(world):
    """And one without any, if the target has none either."""
    repo = world(live())
    other = acme.flag("a", 20)
    other["metadata"]["organization"] = "other"
    settle(repo, other)
    (found, *_) = json.loads(repo.run("validate", "--format", "json").out)
    text = (repo.folder / "config/flags.yaml").read_text().splitlines()

    assert (found["code"], found["source"]["file"]) == ("R050", "config/flags.yaml")
    at = found["source"]
    assert text[at["line"] - 1][at["column"] - 1 :] == "other"
    assert "reconciler.yaml:" in found["why"]

    settle(repo, flag("a", 20), {"kind": "Organization"}, target={"paths": ["config"]})
    rows = json.loads(repo.run("validate", "--format", "json").out)
    assert [row["code"] for row in rows] == ["R006", "R006"]
    assert "`organization` of the target staging" in rows[0]["fix"]


def test_the_name_in_posthog_is_an_error_in_a_document(world):
    """Also in a selector, where it would exclude nothing."""
    repo = world(live())
    settle(
        repo, flag("a", 20, project="Web staging"), flag("b", 20, projects=["*", "!Web staging"])
    )
    rows = json.loads(repo.run("validate", "--format", "json").out)

    assert [row["code"] for row in rows] == ["R051", "R051"]
    assert [row["fix"] for row in rows] == ['write "Web"'] * 2
    assert len({row["source"]["line"] for row in rows}) == 2


def test_selectors_match_the_names_of_the_documents(world):
    """What documents cannot name is never selected."""
    repo = world(live())
    settle(
        repo,
        flag("all", 20, projects=["*"]),
        flag("web", 20, projects=["W*"]),
        flag("rest", 20, projects=["*", "!Web"]),
    )

    assert repo.run("apply", "--yes").code == 0
    assert keys(repo) == {"Web staging": ["all", "web"], "Web": [], "Mobile": ["all", "rest"]}


def test_findings_about_selectors_have_the_names_of_the_documents(world):
    """A selector that matches is no warning; a fix can be copied into the document."""
    repo = world(live())
    project = {"kind": "Project", "metadata": {"name": "Web"}, "spec": {"timezone": "UTC"}}
    settle(repo, project, flag("a", 20, projects=["Web"]), flag("b", 20, projects=["*", "!Wep"]))
    (row,) = json.loads(repo.run("validate", "--format", "json").out)
    assert (row["code"], row["fix"]) == ("R013", 'did you mean "!Web"?')
    rows = json.loads(repo.run("validate", "--live", "--format", "json").out)
    assert [row["message"] for row in rows if row["code"] == "R036"] == [
        '"!Wep" matches no project of the files or of PostHog'
    ]

    settle(repo, project, flag("a", 20), flag("a", 30, projects=["*"]))
    (row,) = json.loads(repo.run("validate", "--format", "json").out)
    assert (row["code"], row["fix"]) == ("R007", 'add "!Web" there')


def test_a_typo_in_projects_is_a_warning_at_its_place(world):
    """Documents would mean the project of their own name: production's. Not for what is unused."""
    repo = world(live())
    settle(repo, flag("a", 20), target={**STAGING, "projects": {"Webb": "Web staging", "Q": "X"}})
    (row,) = json.loads(repo.run("validate", "--format", "json").out)

    assert (row["severity"], row["source"]["file"]) == ("warning", SETTINGS)
    assert row["fix"] == 'did you mean "Web"?'
    assert "Webb" in row["excerpt"]


def test_an_overlay_for_one_project_covers_a_selector(world):
    """The overlay names the project as documents do."""
    repo = world(live())
    repo.write("over/a.yaml", flag("a", 90))
    settle(repo, flag("a", 20, projects=["*"]), target={**STAGING, "overlays": ["over"]})

    assert repo.run("apply", "--yes").code == 0
    rows = {
        project["name"]: each["filters"]["groups"][0]["rollout_percentage"]
        for project in repo.sandbox.state()["organizations"][0]["projects"]
        for each in project["feature_flags"]
    }
    assert rows == {"Web staging": 90, "Mobile": 20}


def test_select_ignore_and_holds_take_addresses(world):
    """Which have the live name."""
    repo = world(live(acme.live_flag("c", 10)))
    hold = {"address": "FeatureFlag/*/Web staging/c", "until": "2999-01-01", "reason": "x"}
    target = {**STAGING, "ignore": ["FeatureFlag/acme/Web staging/b"], "drift": {"hold": [hold]}}
    settle(repo, flag("a", 20), flag("b", 20), flag("c", 20), target=target)

    assert changed(repo, "--select", "FeatureFlag/acme/Web staging/a") == {
        "FeatureFlag/acme/Web staging/a": "create"
    }
    assert "FeatureFlag/acme/Web staging/b" not in changed(repo)
    repo.run("apply", "--yes", "--select", "a")
    (row,) = [
        row
        for row in repo.run("drift", "--format", "json").json["changes"]
        if row["address"].endswith("/c")
    ]
    assert row["hold"]["reason"] == "x"


def test_pull_writes_the_names_of_the_documents(world):
    """No organization, no live name; and what documents cannot name stays out."""
    repo = world(live(acme.live_flag("a"), web=[acme.live_flag("production")]))
    settle(repo)

    done = repo.run("pull")
    files = {path.name: path for path in (repo.folder / "config").rglob("*.yaml")}
    text = "".join(path.read_text() for path in files.values())
    assert done.code == 0, done.err
    assert files["feature_flags.yaml"].relative_to(repo.folder).as_posix() == (
        "config/Web/feature_flags.yaml"
    )
    assert "staging" not in text
    assert "acme\n" not in text.replace("@acme.test", "")
    assert "production" not in text
    assert repo.run("validate").code == 0
    assert changed(repo) == {}
    assert "0 files written, 0 updated" in repo.run("pull").out


def test_pull_names_the_organization_where_the_documents_do(world):
    """A repository keeps its style."""
    repo = world(live(acme.live_flag("a"), acme.live_flag("b")))
    settle(repo, acme.flag("a", 10))

    assert repo.run("pull", "--kind", "FeatureFlag").code == 0
    documents = list(
        yaml.safe_load_all((repo.folder / "config/acme/Web/feature_flags.yaml").read_text())
    )
    assert [each["metadata"] for each in documents] == [
        {"organization": "acme", "project": "Web", "key": "b"}
    ]


@pytest.mark.parametrize("command", [["pull"], ["drift", "--adopt"]])
def test_a_live_change_is_written_where_the_document_stands(world, command):
    """Under the name that it has there."""
    repo = world(live(acme.live_flag("a", 10)))
    settle(repo, flag("a", 10))
    assert repo.run("apply", "--yes").code == 0
    path = "/api/projects/1/feature_flags/"
    (row,) = repo.sandbox.call("GET", path, token="phx_bob")[1]["results"]
    groups = [{"properties": [], "rollout_percentage": 30}]
    change = {"filters": {"groups": groups}, "version": row["version"]}
    repo.sandbox.call("PATCH", f"{path}{row['id']}/", change, token="phx_bob")

    done = repo.run(*command)
    assert done.code in {0, 2}, done.err
    (document,) = yaml.safe_load_all((repo.folder / "config/flags.yaml").read_text())
    assert document["metadata"] == {"project": "Web", "key": "a"}
    assert document["spec"]["filters"]["groups"][0]["rollout_percentage"] == 30


def test_a_new_name_of_a_mapped_project_is_for_the_settings(world):
    """The document would take the live name into every other target."""
    repo = world(live())
    project = {"kind": "Project", "metadata": {"name": "Web", "id": 1}, "spec": {"timezone": "UTC"}}
    settle(repo, project)
    assert repo.run("apply", "--yes").code == 0
    repo.sandbox.call("PATCH", "/api/projects/1/", {"name": "Web test"}, token="phx_alice")

    done = repo.run("pull")
    assert "its name comes from `projects` of the target" in done.err + done.out
    (document,) = yaml.safe_load_all((repo.folder / "config/flags.yaml").read_text())
    assert document["metadata"]["name"] == "Web"


def test_a_saved_plan_is_for_the_names_that_it_was_made_with(world):
    """Before they change it applies; afterwards it is another configuration."""
    repo = world(live())
    settle(repo, flag("a", 20))
    assert repo.run("plan", "--out", "plan.json").code == 0
    settle(repo, target={**STAGING, "projects": {"Web": "Mobile"}})
    done = repo.run("apply", "plan.json", "--yes")
    assert (done.code, "another configuration" in done.err) == (4, True)

    settle(repo)
    assert repo.run("plan", "--out", "plan.json").code == 0
    assert repo.run("apply", "plan.json", "--yes").code == 0
    assert keys(repo)["Web staging"] == ["a"]


def test_documents_that_become_shared_keep_their_base(world):
    """The live name moves from the documents into the settings: the address is the same."""
    repo = world(live())
    plain = {"paths": ["config"]}
    settle(repo, *(acme.flag(key, 20, "Web staging") for key in "ab"), target=plain)
    assert repo.run("apply", "--yes").code == 0

    settle(repo, flag("a", 30))
    done = repo.run("plan", "--format", "json").json
    rows = {row["address"]: row for row in done["changes"]}
    assert rows["FeatureFlag/acme/Web staging/b"]["action"] == "delete"
    (field,) = rows["FeatureFlag/acme/Web staging/a"]["fields"]
    assert field["cause"] == "intent"


@pytest.mark.parametrize("projects", [["Web"], None])
def test_a_mapping_that_changes_deletes_nothing(world, projects):
    """The documents are still in the files. What was removed from the files is deleted."""
    repo = world(live())
    settle(repo, flag("a", 20, projects=projects), flag("gone", 20))
    assert repo.run("apply", "--yes").code == 0
    settle(
        repo, flag("a", 20, projects=projects), target={**STAGING, "projects": {"Web": "Mobile"}}
    )

    expected = {
        "FeatureFlag/acme/Mobile/a": "create",
        "FeatureFlag/acme/Web staging/gone": "delete",
    }
    assert changed(repo) == expected
    findings = repo.run("plan", "--format", "json").json["findings"]
    assert ("base-moved" in {row["code"] for row in findings}) is (projects is None)
    assert repo.run("apply", "--yes").code == 0
    assert keys(repo) == {"Web staging": ["a"], "Web": [], "Mobile": ["a"]}
    assert changed(repo) == {}
    assert repo.run("drift").code == 0


def test_access_rules_of_a_mapping_that_changes_are_not_removed(world):
    """The document of a project's rules means another project now; the former keeps its rules."""
    access = {
        "kind": "ProjectAccess",
        "metadata": {"project": "Web"},
        "spec": {"survey": {"default": "viewer"}},
    }
    repo = world(live())
    settle(repo, access)
    assert repo.run("apply", "--yes").code == 0
    settle(repo, access, target={**STAGING, "projects": {"Web": "Mobile"}})

    assert changed(repo) == {"ProjectAccess/acme/Mobile": "update"}
    assert repo.run("apply", "--yes").code == 0
    projects = repo.sandbox.state()["organizations"][0]["projects"]
    ruled = [place["name"] for place in projects if place["access_controls"]]
    assert ruled == ["Web staging", "Mobile"]
    assert repo.run("drift").code == 0


def test_another_organization_leaves_the_former_one_as_it_is(world):
    """Only the organization of the target may be changed."""
    seed = live()
    seed["organizations"].append(
        {
            **acme.seed(name="Other", slug="other")["organizations"][0],
            "projects": [{"name": "Web staging", "id": 9}],
        }
    )
    repo = world(seed)
    settle(repo, flag("a", 20), flag("gone", 20))
    assert repo.run("apply", "--yes").code == 0
    settle(repo, flag("a", 20), target={**STAGING, "organization": "other"})

    assert changed(repo) == {"FeatureFlag/other/Web staging/a": "create"}


def test_requests_and_their_authors_are_found_under_the_live_name(world):
    """The forecast, the request, its approval, and who wrote in git what was approved."""
    repo = world(gated(acme.live_flag("a")))
    address = "FeatureFlag/acme/Web/a"
    target = {**STAGING, "projects": {"Shop": "Web"}}
    settle(repo, flag("a", project="Shop", active=False), target=target)
    assert repo.run("apply", "--yes").code == 0
    repo.write("config/flags.yaml", flag("a", project="Shop", active=True))
    repo.git("commit", "-qam", "enable", "--author=bob <bob@acme.test>")

    (row,) = repo.run("plan", "--format", "json").json["changes"]
    assert (row["address"], row["gate"]["verdict"]) == (address, "approval")
    done = repo.run("apply", "--yes", "--format", "json")
    assert done.code == 3, done.err
    (request,) = repo.run("requests", "list", "--format", "json").json
    assert (request["project"], request["flag"]) == ("Web", "a")
    assert [
        each["address"] for each in repo.run("status", "--format", "json").json["requests"]
    ] == [address]
    path = f"/api/projects/1/change_requests/{request['id']}/approve/"
    assert repo.sandbox.call("POST", path, {}, token="phx_bob")[0] == 200

    done = repo.run("apply", "--yes", "--format", "json")
    assert done.code == 0, done.err
    assert [row["code"] for row in done.json["findings"]] == ["approved-by-author"]


def test_drift_since_another_mapping_names_no_merged_change(world):
    """The last apply is read with the names of its commit."""
    repo = world(live())
    settle(repo, acme.flag("a", 20, "Web staging"), target={"paths": ["config"]})
    assert repo.run("apply", "--yes").code == 0
    settle(repo, flag("a", 50))

    done = repo.run("drift", "--format", "json")
    assert done.code == 0, done.out
    assert repo.run("apply", "--yes").code == 0
    assert repo.run("drift").code == 0


def test_validate_reads_and_parses_each_file_once_for_all_targets(world, monkeypatch):
    """Thirty targets of five hundred documents, whatever each calls its projects."""
    repo = world(live())
    for file in range(50):
        repo.write(f"config/{file}.yaml", *(flag(f"f{file}-{n}", 20) for n in range(10)))
    repo.write("over/a.yaml", flag("f0-0", 90))
    own = {
        f"t{n}": {"organization": f"o{n}", "projects": {"Web": f"Web {n}"}} for n in range(29)
    } | {"plain": {"organization": "acme", "overlays": ["over"]}}
    settings = {"version": 1, "defaults": {"paths": ["config"]}, "targets": own}
    repo.write(SETTINGS, yaml.safe_dump(settings))
    opened, parsed = watch_opens(), []
    read_documents = reader.read_documents

    def count(data, file, *others):
        parsed.append(file)
        return read_documents(data, file, *others)

    monkeypatch.setattr(reader, "read_documents", count)
    done = repo.run("validate")
    opens = [name for name in opened if name != SETTINGS]
    opened.clear()

    assert done.out == "Valid: 15,000 resources of 30 targets.\n", done.err
    assert sorted(name for name in parsed if name != SETTINGS) == sorted(
        ["over/a.yaml", *(f"config/{n}.yaml" for n in range(50))]
    )
    assert sorted(opens) == sorted(["a.yaml", *(f"{n}.yaml" for n in range(50))])


_OPENED: list[list[str]] = []


def watch_opens():
    """The names of the YAML files that this process opens from now on."""
    if not _OPENED:
        sys.addaudithook(_note_open)  # for good: a hook cannot be removed
    _OPENED.append([])
    return _OPENED[-1]


def _note_open(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".yaml"):
        for names in _OPENED:
            names.append(str(arguments[0]).rsplit("/", 1)[-1])
