"""Evaluation contexts that PostHog drops without an error: one warning, and no endless update."""

import shutil

import pytest

from tests import acme, factories

CONTEXTS = {"evaluation_contexts": ["web"]}


def off(*flags, **changes):
    """A world whose organization has PostHog's switch off."""
    return factories.seed(*flags, evaluation_contexts_enabled=False, **changes)


def found(done):
    """The warnings about what is not kept."""
    return [row for row in done.json["findings"] if row["code"] == "not-kept"]


@pytest.mark.parametrize("how", ["the journal of the run", "the applied commit"])
def test_a_field_that_is_dropped_is_planned_once_and_then_one_warning(world, how):
    """Nothing else hides behind it: another change of the same flag is applied as ever."""
    repo = world(off(acme.live_flag("a"), acme.live_flag("b")))
    repo.write("a.yaml", acme.flag("a", **CONTEXTS), acme.flag("b", name="New", **CONTEXTS))
    repo.write("b.yaml", acme.flag("c", rollout=5, active=False, **CONTEXTS))
    if how == "the applied commit":
        repo.write(".gitignore", ".reconciler\n")
        repo.commit()
    first = repo.run("apply", "--yes", "--format", "json")
    rows = {row["address"].rpartition("/")[2]: row for row in first.json["results"]}
    if how == "the applied commit":
        shutil.rmtree(repo.folder / ".reconciler")
    repo.sandbox.clear()
    again = repo.run("plan", "--detailed-exitcode", "--format", "json")
    quiet = repo.run("apply", "--yes")

    assert first.code == 0, first.err
    outcomes = {key: row["outcome"] for key, row in rows.items()}
    assert outcomes == {"a": "unchanged", "b": "done", "c": "done"}
    assert all("did not keep evaluation_contexts" in row["note"] for row in rows.values())
    assert (again.code, len(found(again)), quiet.code) == (0, 1, 0), again.out
    assert found(again)[0]["severity"] == "warning"
    assert repo.sandbox.writes() == []
    if how == "the applied commit":
        assert repo.run("drift").code == 0

    repo.write("a.yaml", acme.flag("a", name="Other", **CONTEXTS), acme.flag("b", name="New"))
    repo.run("apply", "--yes")
    flags = repo.sandbox.state()["organizations"][0]["projects"][0]["feature_flags"]
    assert {flag["key"]: flag["name"] for flag in flags}["a"] == "Other"


def test_what_somebody_else_took_away_is_still_planned(world):
    """With the switch on, contexts are compared and written like any field."""
    web = {"name": "Web", "id": 1, "feature_flags": [acme.live_flag("a")]}
    repo = world(acme.seed(projects=[web]))
    repo.write("a.yaml", acme.flag("a", **CONTEXTS))
    repo.commit()
    assert repo.run("apply", "--yes").code == 0
    flags = "/api/projects/1/feature_flags/"
    number = repo.sandbox.call("GET", flags, token="phx_ci")[1]["results"][0]["id"]
    repo.sandbox.call("PATCH", f"{flags}{number}/", {"evaluation_contexts": []}, "phx_carol")
    done = repo.run("plan", "--detailed-exitcode", "--format", "json")

    assert (done.code, found(done)) == (2, [])


def test_the_switch_can_be_tried_again(world):
    """`--prefer git` sends it once more."""
    repo = world(off(acme.live_flag("a")))
    repo.write("a.yaml", acme.flag("a", **CONTEXTS))
    repo.run("apply", "--yes")
    repo.sandbox.clear()

    assert repo.run("apply", "--yes", "--prefer", "git").code == 0
    assert [row["method"] for row in repo.sandbox.writes()] == ["PATCH"]


def test_one_warning_covers_every_project_of_an_organization(world):
    """The switch is of the organization, and a template has one place for all its projects."""
    projects = [
        {"name": name, "id": number, "feature_flags": [acme.live_flag("a")]}
        for number, name in enumerate(("Web", "Mobile"), 1)
    ]
    repo = world(acme.seed(projects=projects, evaluation_contexts_enabled=False))
    template = acme.flag("a", **CONTEXTS)
    del template["metadata"]["project"]
    template["metadata"]["projects"] = ["*"]
    repo.write("a.yaml", template)
    assert repo.run("apply", "--yes").code == 0

    again = repo.run("plan", "--detailed-exitcode", "--format", "json")

    assert again.code == 0
    (warning,) = found(again)
    assert "2 feature flags of acme" in warning["message"]
