"""`list`, and bare names wherever a command selects resources."""

import pytest

from tests import acme, factories

A = "FeatureFlag/acme/Web/a"


@pytest.fixture
def repo(world):
    """Return a repository that declares two of three live flags, and a role."""
    flags = [acme.live_flag(key, 10) for key in ("a", "b", "legacy")]
    more = [{"name": "Mobile", "id": 2, "feature_flags": [acme.live_flag("b", 10)]}]
    repo = world(factories.seed(*flags, more=more, roles=[{"name": "Release managers"}]))
    repo.write("flags/web.yaml", acme.flag("a", 50), acme.flag("b", 20))
    repo.write("roles.yaml", acme.document("Role", {"members": []}, name="Release managers"))
    return repo


def test_declared_resources_need_no_key_and_no_server(repo):
    """With the file and the line of each."""
    done = repo.run("list", "--format", "json", POSTHOG_API_KEY="")
    text = repo.run("list", "--kind", "featureflag", POSTHOG_API_KEY="").out

    assert {
        "address": A,
        "kind": "FeatureFlag",
        "source": {"file": "flags/web.yaml", "line": 1},
        "live_id": None,
    } == done.json[0]
    assert 3 == len(done.json)
    assert f"{A}  flags/web.yaml:1" == text.splitlines()[0]
    assert 2 == len(text.splitlines())
    assert [] == repo.sandbox.requests()


def test_live_resources_have_ids_and_those_that_are_declared_a_source(repo):
    """Only of the organizations that the files name."""
    rows = {row["address"]: row for row in repo.run("list", "--live", "--format", "json").json}

    assert {"file": "flags/web.yaml", "line": 1} == rows[A]["source"]
    assert rows[A]["live_id"]
    assert rows["FeatureFlag/acme/Web/legacy"]["source"] is None
    assert {"Organization", "Project", "Member", "Role", "FeatureFlag"} == {
        row["kind"] for row in rows.values()
    }
    flags = repo.run("list", "--live", "--kind", "FeatureFlag").out.splitlines()
    assert 4 == len(flags)
    assert [] == repo.sandbox.writes()


def test_unmanaged_resources_are_in_no_file(repo):
    """Neither now nor at the base: what has been removed from the files is still managed."""
    repo.run("apply", "--yes")
    unmanaged = ("list", "--unmanaged", "--kind", "FeatureFlag")
    expected = ["FeatureFlag/acme/Mobile/b", "FeatureFlag/acme/Web/legacy"]

    assert expected == repo.run(*unmanaged).out.splitlines()
    repo.commit()
    repo.run("apply", "--yes")
    repo.write("flags/web.yaml", acme.flag("a", 50))
    assert expected == repo.run(*unmanaged).out.splitlines()


def test_a_renamed_resource_is_managed_under_its_old_name(repo):
    """As plan sees it."""
    role = acme.document("Role", {}, name="Captains")
    role["metadata"]["lifecycle"] = {"renamed_from": "Release managers"}
    repo.write("roles.yaml", role)
    rows = repo.run("list", "--live", "--kind", "Role", "--format", "json").json

    assert [("Role/acme/Release managers", "roles.yaml")] == [
        (row["address"], row["source"]["file"]) for row in rows
    ]
    assert "" == repo.run("list", "--unmanaged", "--kind", "Role").out.strip()


def test_a_document_for_several_projects_is_listed_for_each(repo):
    """Offline for those that the files declare, with --live for all."""
    flag = acme.flag("everywhere", 10)
    del flag["metadata"]["project"]
    flag["metadata"]["projects"] = ["*"]
    repo.write("flags/every.yaml", flag)

    listed = repo.run("list", "--select", "everywhere").out
    assert listed.startswith("FeatureFlag/acme/*/everywhere")
    assert 2 == repo.run("plan", "--select", "everywhere", "--json").json["summary"]["create"]
    repo.write("projects.yaml", acme.document("Project", {}, name="Web"))
    listed = repo.run("list", "--select", "everywhere").out
    assert listed.startswith("FeatureFlag/acme/Web/everywhere")


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes"), ("list",)])
def test_a_bare_name_selects_the_resource_that_has_it(repo, command):
    """A key, or a name with spaces."""
    chosen = repo.run(*command, "--select", "a", "--json")
    rows = (
        chosen.json
        if command == ("list",)
        else chosen.json.get("changes") or chosen.json["results"]
    )

    assert [A] == [row["address"] for row in rows]
    assert 0 == repo.run(*command, "--select", "Release managers").code
    left = repo.run("list", "--exclude", "a", "--exclude", "Release managers").out
    assert "FeatureFlag/acme/Web/b" == left.split("  ")[0]


def test_drift_takes_bare_names_too(repo):
    """At the commit that it compares."""
    repo.commit()

    assert 2 == repo.run("drift", "--select", "a").code
    assert 0 == repo.run("drift", "--exclude", "a", "--exclude", "b").code
    assert "did you mean Role/acme/Release managers" in repo.run("drift", "--select", "Release").err


@pytest.mark.parametrize("command", ["plan", "list"])
def test_an_ambiguous_name_names_the_candidates(repo, command):
    """Exit code 1."""
    repo.write("flags/mobile.yaml", acme.flag("b", 20, project="Mobile"))
    done = repo.run(command, "--select", "b")

    assert 1 == done.code
    assert "FeatureFlag/acme/Mobile/b, FeatureFlag/acme/Web/b" in done.err


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("Release manager", "did you mean Role/acme/Release managers?"),
        ("FeatureFlag/acme/Web/aa", f"did you mean {A} or FeatureFlag/acme/Web/b?"),
        ("nothing-like-it", "`reconciler list` shows the addresses"),
    ],
)
def test_a_name_that_matches_nothing_suggests_the_nearest(repo, pattern, words):
    """In every command that selects."""
    for command in ("plan", "list", "apply"):
        yes = ["--yes"] if command == "apply" else []
        done = repo.run(command, *yes, "--select", pattern)
        assert (1, True) == (done.code, words in done.err), done.err
        assert f"no declared resource matches '{pattern}'" in done.err


@pytest.mark.parametrize("option", ["--live", "--unmanaged"])
def test_the_command_that_is_suggested_lists_what_was_searched(repo, option):
    """Not what is declared, where something live was named."""
    done = repo.run("list", option, "--select", "nothing-like-it")

    assert (1, True) == (done.code, f"`reconciler list {option}` shows" in done.err), done.err


def test_a_saved_plan_keeps_the_address(repo):
    """It applies what was reviewed."""
    repo.run("plan", "--select", "a", "--out", "plan.json")
    done = repo.run("apply", "--yes", "plan.json", "--json")

    assert [A] == [row["address"] for row in done.json["results"]]


def test_options_of_list_that_contradict_each_other(repo):
    """A usage error."""
    assert 64 == repo.run("list", "--live", "--unmanaged").code
    assert 64 == repo.run("list", "--kind", "Flag").code
