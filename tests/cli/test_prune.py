"""`--prune`: what is live and in no file; what of it is never taken."""

import pytest

from tests import acme
from tests.cli.test_base import keys
from tests.cli.test_guardrails import SETTINGS, applied, codes, committed, flags, refused


def setting(word):
    return f"version: 1\ntargets:\n  default:\n    paths: [config]\n    unmanaged: {word}\n"


def planned(repo, *options):
    done = repo.run("plan", "--format", "json", *options)
    refused = any(one["severity"] == "error" for one in done.json["findings"])
    assert (4 if refused else 0) == done.code, done.err
    return done.json


def deleted(plan):
    assert {"delete"} >= {change["action"] for change in plan["changes"]}
    return [change["address"] for change in plan["changes"]]


def said(plan):
    return [finding["code"] for finding in plan["findings"] if finding["code"].startswith("prune")]


def test_unmanaged_resources_are_left_alone_unless_asked(world):
    """Listed; with --prune deleted; and then there are none."""
    repo = applied(world, {"a.yaml": flags("a", "b", "c")}, live=["x", "y"])
    extra = ["FeatureFlag/acme/Web/x", "FeatureFlag/acme/Web/y"]

    without, with_ = planned(repo), planned(repo, "--prune")

    assert ([], extra) == (deleted(without), without["unmanaged"])
    assert (extra, []) == (deleted(with_), with_["unmanaged"])
    assert ["pruned"] == [one["code"] for one in with_["changes"][0]["warnings"]]
    assert "not changed" in repo.run("plan").out
    assert 0 == repo.run("apply", "--yes").code
    assert [] == repo.sandbox.writes()
    done = repo.run("apply", "--yes", "--prune")
    assert 0 == done.code, done.err
    assert ["a", "b", "c"] == keys(repo)
    assert 0 == repo.run("plan", "--prune", "--detailed-exitcode").code


@pytest.mark.parametrize(
    ("word", "without", "with_"),
    [
        ("report", (1, []), (["x"], [])),
        ("ignore", (0, []), ([], ["prune-ignored"])),
        ("delete", (1, ["prune-waits"]), (["x"], [])),
    ],
)
def test_the_target_says_what_becomes_of_the_unmanaged(world, word, without, with_):
    """`ignore` hides them and spares them; `delete` waits for --prune, and says so."""
    files = {"config/a.yaml": flags("a", "b")}
    repo = applied(world, files, live=["x"], settings=setting(word))

    plain, pruned = planned(repo), planned(repo, "--prune")

    assert [] == deleted(plain)
    assert without == (len(plain["unmanaged"]), said(plain))
    assert without[0] == plain["summary"]["unmanaged"]
    assert with_ == ([a.split("/")[-1] for a in deleted(pruned)], said(pruned))


def test_other_tools_ignored_ones_projects_and_oneself_are_never_pruned(world):
    """Each is left alone, and said why."""
    documents = [
        acme.document("Organization", {"name": "Acme"}),
        acme.document("Project", {}, name="Web"),
        acme.document("Member", {"level": "owner"}, email="alice@acme.test"),
        acme.document("Member", {"level": "admin"}, email="carol@acme.test"),
        *flags("a", "b"),
    ]
    settings = setting("delete") + "    ignore: ['FeatureFlag/*/*/experiment-*']\n"
    live = [acme.live_flag("taken", tags=["iac:flag:taken"]), acme.live_flag("experiment-1")]
    web = {"name": "Web", "id": 1, "feature_flags": live}
    repo = applied(
        world,
        {"config/a.yaml": documents},
        settings=settings,
        projects=[web, {"name": "Mobile", "id": 2}],
    )

    plan = planned(repo, "--prune")

    assert ["Member/acme/bob@acme.test"] == deleted(plan)
    reasons = {f["address"]: f["why"] for f in plan["findings"] if f["code"] == "prune-left-alone"}
    assert {
        "Project/acme/Mobile": "a Project is never pruned",
        "FeatureFlag/acme/Web/taken": "a tag `iac:…` says that another tool manages it",
        "Member/acme/ci@acme.test": "it is the user of this key",
    } == reasons
    assert sorted(reasons) == sorted(plan["unmanaged"])


def test_the_limits_on_deletes_hold_for_what_is_pruned_too(world):
    """Together with what left the files, and by the exact number of both."""
    live = [f"x{n}" for n in range(5)]
    repo = applied(world, {"a.yaml": flags("a", "b")}, live=live)
    committed(repo, "a.yaml", *flags("a"))

    text = refused(repo, "--prune")

    assert "6 of 7 live FeatureFlag resources (86 %) would be deleted in one run" in text
    assert "--confirm-deletes 6" in text
    assert "would be deleted: not in any file" in text
    assert {"too-many-deletes"} == set(codes(repo, "--prune"))
    refused(repo, "--prune", "--confirm-deletes", "5")
    assert 0 == repo.run("apply", "--yes", "--prune", "--confirm-deletes", "6").code
    assert ["a"] == keys(repo)


def test_only_what_the_files_speak_of_is_pruned(world):
    """A kind in a place: nothing of another project or kind."""
    mobile = {"name": "Mobile", "id": 2, "feature_flags": [acme.live_flag("m")]}
    web = {"name": "Web", "id": 1, "feature_flags": [acme.live_flag("x")]}
    roles = [{"name": "R"}]
    repo = applied(world, {"a.yaml": flags("a")}, projects=[web, mobile], roles=roles)

    assert ["FeatureFlag/acme/Web/x"] == deleted(planned(repo, "--prune"))


def test_pruning_follows_select_and_exclude(world):
    """Also where nothing that is declared is selected."""
    repo = applied(world, {"a.yaml": flags("a")}, live=["x", "y"])

    chosen = planned(repo, "--prune", "--select", "FeatureFlag/acme/Web/x")
    rest = planned(repo, "--prune", "--exclude", "FeatureFlag/acme/Web/x")

    assert ["FeatureFlag/acme/Web/x"] == deleted(chosen)
    assert ["FeatureFlag/acme/Web/y"] == deleted(rest)


def test_a_part_of_the_files_cannot_be_pruned_against(world):
    """All the others would look as if they were in none."""
    files = {"config/a.yaml": flags("a"), "config/b.yaml": flags("b")}
    repo = applied(world, files, settings=SETTINGS.format(most=5, percent=20), live=["x"])

    for command in (("plan",), ("apply", "--yes")):
        done = repo.run(*command, "config/a.yaml", "--prune")

        assert 64 == done.code
        assert "--prune takes no PATH" in done.err
    for whole in ("config", "./config/", str(repo.folder)):
        assert ["FeatureFlag/acme/Web/x"] == deleted(planned(repo, whole, "--prune"))
    (repo.folder / "reconciler.yaml").unlink()
    plan = planned(repo, "config/a.yaml", "--prune")
    assert ["FeatureFlag/acme/Web/x"] == deleted(plan)


def test_a_document_in_error_prunes_nothing_of_its_kind(world):
    """A slip in a name makes what it meant look unmanaged."""
    repo = applied(world, {"a.yaml": flags("a", "b")}, live=["x"])
    wrong = acme.flag("wrong", 10)
    wrong["metadata"]["id"] = "999"
    repo.write("a.yaml", *flags("a", "b"), wrong)

    done = repo.run("apply", "--yes", "--prune")

    assert 1 == done.code
    assert ["a", "b", "x"] == keys(repo)


def test_a_listing_that_fails_prunes_nothing(world):
    """What was not read is not known to be in no file."""
    repo = applied(world, {"a.yaml": flags("a", "b")}, live=["x"])
    for effect in ({"status": 403}, "empty_list"):
        fault = {"match": {"method": "GET", "route": "feature_flags.list", "hit": "every"}}
        document = {"faults": [{**fault, "effect": effect}]}
        assert 200 == repo.sandbox.call("POST", "/_sandbox/faults", document)[0]

        repo.run("apply", "--yes", "--prune")

        assert [] == [row for row in repo.sandbox.writes() if row["status"] < 300]
    repo.sandbox.call("POST", "/_sandbox/faults", {"faults": []})
    assert ["a", "b", "x"] == keys(repo)


def test_outside_git_pruning_works_by_the_files_alone(world):
    """No base is needed to see what is in no file."""
    web = {"name": "Web", "id": 1, "feature_flags": [acme.live_flag("x"), acme.live_flag("a")]}
    repo = world(acme.seed(projects=[web]))
    repo.write("a.yaml", *flags("a"))

    assert ["FeatureFlag/acme/Web/x"] == deleted(planned(repo, "--prune"))
    assert 0 == repo.run("apply", "--yes", "--prune").code
    assert ["a"] == keys(repo)


def test_a_saved_plan_prunes_what_it_showed_and_nothing_that_came_later(world):
    """Its --prune is part of it; the limits hold when it is applied, too."""
    repo = applied(world, {"a.yaml": flags(*"abcdefg")}, live=["x", "y"])
    assert 0 == repo.run("plan", "--prune", "--out", "plan.json").code
    created = {"key": "later", "name": "", "filters": {"groups": [{"rollout_percentage": 1}]}}
    path = "/api/projects/1/feature_flags/"
    assert 201 == repo.sandbox.call("POST", path, created, token="phx_alice")[0]

    assert 64 == repo.run("apply", "plan.json", "--yes", "--prune").code
    done = repo.run("apply", "plan.json", "--yes")

    assert 0 == done.code, done.out + done.err
    assert [*"abcdefg", "later"] == keys(repo)
    committed(repo, "a.yaml", *flags("a"))
    assert 4 == repo.run("plan", "--prune", "--out", "more.json").code
    text = repo.run("apply", "more.json", "--yes", "--confirm-deletes", "6")
    assert 4 == text.code
    assert "--confirm-deletes 7" in text.err
    assert 0 == repo.run("apply", "more.json", "--yes", "--confirm-deletes", "7").code
    assert ["a"] == keys(repo)
