"""The report of a fleet: in every format, from one run and from the folders of several jobs."""

import json
import shutil

import pytest

from tests import acme
from tests.factories import gated
from tests.fleets import make_fleet, several_sandboxes
from tests.project_fleet import TARGETS, results, without_times

DOCUMENT = ["format_version", "mode", "commit", "targets", "causes", "exit_code"]
RESULT = [
    *("target", "exit_code", "seconds", "requests", "summary", "skipped_because", "error"),
]
FLAG = "FeatureFlag/acme/{}/{}"


def test_the_document_has_the_keys_of_the_interface_and_is_kept(fleet):
    """What is printed is what is in the folder."""
    fleet = fleet()
    done = fleet.document("fleet", "plan", "--out", "kept", "--detailed-exitcode", code=2)

    assert done == json.loads((fleet.folder / "kept" / "fleet.json").read_text())
    assert [
        "format_version",
        "mode",
        "commit",
        "targets",
        "causes",
        "waiting",
        "exit_code",
    ] == list(done)
    assert (1, "plan", 2, []) == tuple(
        done[name] for name in ("format_version", "mode", "exit_code", "causes")
    )
    assert fleet.repo.git("rev-parse", "HEAD").strip() == done["commit"]
    assert {"eu-1": 0, "eu-2": 0, "us-1": 2, "us-2": 2} == results(done)
    row = done["targets"][2]
    assert [
        "target",
        "exit_code",
        "seconds",
        "requests",
        "summary",
        "skipped_because",
        "error",
    ] == list(row)
    assert (1, 0) == (row["summary"]["update"], row["requests"]["writes"])
    assert row["requests"]["reads"] > 0
    assert {"plan.json", "plan.html", "plan.md", "summary.json"} == {
        path.name for path in (fleet.folder / "kept" / "us-1").iterdir()
    }


def test_equal_edits_by_one_person_are_one_cause(fleet):
    """Alice changed the flag in two targets to the same value, and Bob in another."""
    fleet = fleet(rollouts=(50, 50, 50, 50))
    for number, who, rollout in (
        (1, "alice", 99),
        (2, "alice", 99),
        (3, "bob", 99),
        (4, "alice", 7),
    ):
        fleet.edit(number, rollout, who)

    done = fleet.document("fleet", "drift", code=2)

    path = "filters.groups[0].rollout_percentage"
    assert [
        {
            "person": "alice@acme.test",
            "kind": "FeatureFlag",
            "path": path,
            "live": 99,
            "targets": ["eu-1", "eu-2"],
            "addresses": [FLAG.format("eu-1", "a"), FLAG.format("eu-2", "a")],
        },
        {
            "person": "alice@acme.test",
            "kind": "FeatureFlag",
            "path": path,
            "live": 7,
            "targets": ["us-2"],
            "addresses": [FLAG.format("us-2", "a")],
        },
        {
            "person": "bob@acme.test",
            "kind": "FeatureFlag",
            "path": path,
            "live": 99,
            "targets": ["us-1"],
            "addresses": [FLAG.format("us-1", "a")],
        },
    ] == done["causes"]
    shown = fleet.run("fleet", "drift").out
    assert f"alice@acme.test set {path} to 99" in " ".join(shown.split())


def test_drift_on_hold_is_no_difference(fleet):
    """Neither by the exit code nor in words; what is not on hold still is."""
    hold = {"address": "FeatureFlag/*", "until": "2999-01-01", "reason": "INC-42"}
    fleet = fleet(us_1={"drift": {"hold": [hold]}})

    held = fleet.run("fleet", "drift", "--target", "us-1")
    both = fleet.run("fleet", "drift", "--target", "us-*")
    document = fleet.document("fleet", "drift", "--target", "us-1", code=0)

    assert 0 == held.code
    assert "1 changed, on hold" in held.out
    assert "1 target: 1 with drift on hold." in held.out
    assert [] == document["causes"]
    assert 2 == both.code
    assert "2 targets: 1 with drift, 1 with drift on hold." in both.out


def test_a_revert_says_what_it_has_reverted(fleet):
    """Nothing has drifted after it."""
    fleet = fleet()

    done = fleet.run("fleet", "drift", "--revert", "--yes")

    assert 0 == done.code
    assert 2 == done.out.count("1 reverted")
    assert "4 targets: 4 without drift. " in done.out


def test_what_waits_is_listed_by_expiry_and_says_for_whom(fleet):
    """After apply, status and another plan list the same requests."""
    fleet = fleet(policies=[acme.policy("feature_flag.update")])

    planned = fleet.document("fleet", "plan", code=0)["waiting"]
    applied = fleet.document("fleet", "apply", "--yes", code=3)["waiting"]
    again = fleet.document("fleet", "plan", code=0)["waiting"]
    status = fleet.document("fleet", "status", code=0)["waiting"]

    assert [("us-1", None), ("us-2", None)] == [(row["target"], row["id"]) for row in planned]
    assert [None, None] == [row["expires_at"] for row in planned]
    assert ["us-1", "us-2"] == sorted(row["target"] for row in applied)
    assert sorted(row["expires_at"] for row in applied) == [row["expires_at"] for row in applied]
    assert all(row["expires_at"] and row["url"] and row["quorum"] == 1 for row in applied)
    people = ["alice@acme.test", "bob@acme.test"]
    for rows in (applied, again, status):
        assert [row["id"] for row in applied] == [row["id"] for row in rows]
        assert [people, people] == [row["waiting_for"] for row in rows]
    assert all(len(line) <= 80 for line in fleet.run("fleet", "status").out.splitlines())


def test_a_target_that_fails_says_why_and_does_not_hide_the_others(fleet):
    """Its key is not set; in the text, the reason and the next step stand below it."""
    fleet = fleet()

    done = fleet.run("fleet", "plan", "--format", "json", POSTHOG_KEY_1="")
    text = fleet.run("fleet", "plan", POSTHOG_KEY_1="").out

    assert 1 == done.code
    assert {"eu-1": 1, "eu-2": 0, "us-1": 0, "us-2": 0} == results(done.json)
    error = done.json["targets"][0]["error"]
    assert {"what", "why", "state", "fix"} == set(error)
    assert "✗ eu-1" in text
    assert "fix:" in text
    assert "1 failed, 2 with changes, 1 without changes" in text


def test_errors_of_single_changes_are_the_error_of_the_target(fleet):
    """The first one is quoted, and the number of the others."""
    fleet = fleet()
    fleet.repo.write(
        "config/more.yaml",
        "kind: FeatureFlag\nmetadata: {project: Web, key: b}\nspec: {activ: true}\n",
    )

    done = fleet.document("fleet", "validate", code=1)
    plan = fleet.run("fleet", "plan", "--format", "json")

    errors = [row["error"] for row in (*done["targets"], *plan.json["targets"])]
    assert [True] * 8 == ["config/more.yaml:3:8: " in error["what"] for error in errors], errors
    assert [True] * 8 == ["nothing was written" in error["state"] for error in errors], errors
    assert all("activ" in error["what"] for error in errors)
    assert 4 == plan.err.count("config/more.yaml:3:8: "), "the line of each target has the reason"
    assert [1, 1, 1, 1] == [row["summary"]["errors"] for row in done["targets"]]


def test_a_plan_that_cannot_be_applied_says_why_in_the_line_of_its_target(fleet):
    """Its totals alone would look like those of a good plan."""
    fleet = fleet()
    fleet.repo.write("config/more.yaml", acme.flag("b", 10, project="Nowhere"))

    done = fleet.run("fleet", "plan", "--target", "eu-1")

    (line,) = (line for line in done.err.splitlines() if line.startswith("✗ eu-1: "))
    assert 'no project is called "Nowhere" (' in line


def test_an_apply_counts_what_the_plan_refused_once(fleet):
    """As an error of the plan, not also as the outcome of the same change."""
    fleet = fleet()
    fleet.repo.write("config/more.yaml", acme.flag("b", project="Web", name="x"))

    done = fleet.document("fleet", "apply", "--yes", "--target", "eu-1", code=1)

    (row,) = done["targets"]
    assert (1, True) == (row["summary"]["failed"], "more.yaml:1:1: " in row["error"]["what"]), row
    assert "more)" not in row["error"]["what"]


def test_shards_merge_to_the_document_of_one_run(fleet):
    """Apart from the times: the same targets, waiting requests and exit code."""
    fleet = fleet(policies=[acme.policy("feature_flag.update")])
    whole = fleet.document("fleet", "plan", "--detailed-exitcode", code=2)
    for shard in (1, 2, 3):
        fleet.run(
            "fleet", "plan", "--detailed-exitcode", "--shard", f"{shard}/3", "--out", f"s{shard}"
        )

    merged = fleet.document("fleet", "merge", "s1", "s2", "s3", "--out", "all", code=2)

    assert without_times(whole) == without_times(merged)
    assert without_times(json.loads((fleet.folder / "all" / "fleet.json").read_text())) == merged
    assert (fleet.folder / "all" / "us-2" / "plan.html").is_file()
    assert (fleet.folder / "all" / "us-2.log").is_file()
    assert without_times(fleet.document("fleet", "merge", "all", code=2)) == merged


def test_a_missing_shard_is_an_error_of_its_targets(fleet):
    """They are in the report, and the exit code is 1."""
    fleet = fleet()
    for shard in (1, 2):
        fleet.run("fleet", "plan", "--shard", f"{shard}/2", "--out", f"s{shard}")

    done = fleet.document("fleet", "merge", "s2", code=1)

    lost = {row["target"]: row["error"] for row in done["targets"] if row["exit_code"] == 1}
    assert {"eu-1", "us-1"} == set(lost)
    assert "shard 1 of 2 is missing" == lost["eu-1"]["why"]
    assert set(TARGETS) == set(results(done))


def test_many_missing_shards_are_not_all_named(fleet):
    fleet = fleet()
    fleet.run("fleet", "validate", "--shard", "9/90", "--out", "s9")

    done = fleet.document("fleet", "merge", "s9", code=1)

    why = {row["error"]["why"] for row in done["targets"]}
    assert {"shards 1, 2, 3, 4, 5 and 84 more of 90 are missing"} == why


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (shutil.rmtree, "No such file"),
        (lambda folder: (folder / "summary.json").unlink(), "No such file"),
        (lambda folder: (folder / "summary.json").write_text("{"), "not JSON"),
        (lambda folder: (folder / "summary.json").write_text("[]"), "not JSON"),
        (lambda folder: (folder / "plan.json").unlink(), "these files are missing: plan.json"),
        (lambda folder: (folder / "plan.json").write_text("{}\n"), "format_version"),
    ],
)
def test_a_damaged_report_is_an_error_of_its_target(fleet, damage, why):
    """The others are merged; nothing is left out."""
    fleet = fleet()
    fleet.run("fleet", "plan", "--out", "kept")
    damage(fleet.folder / "kept" / "us-1")

    done = fleet.document("fleet", "merge", "kept", code=1)

    row = done["targets"][2]
    assert {"eu-1": 0, "eu-2": 0, "us-1": 1, "us-2": 0} == results(done)
    assert why in row["error"]["why"], row["error"]
    assert "cannot be read" in row["error"]["what"]


def test_a_report_of_another_target_is_not_taken_for_it(fleet):
    """Somebody has renamed a folder."""
    fleet = fleet()
    fleet.run("fleet", "plan", "--out", "kept")
    shutil.rmtree(fleet.folder / "kept" / "us-1")
    shutil.copytree(fleet.folder / "kept" / "us-2", fleet.folder / "kept" / "us-1")

    done = fleet.document("fleet", "merge", "kept", code=1)

    assert "it is the report of plan for target us-2" in done["targets"][2]["error"]["why"]


def test_folders_that_do_not_belong_together_are_refused(fleet):
    """Other commands, commits and numbers of shards; a folder twice, and one of another run."""
    fleet = fleet()
    fleet.run("fleet", "plan", "--out", "plan", "--target", "eu-*")
    fleet.run("fleet", "drift", "--out", "drift", "--target", "us-*")
    fleet.run("fleet", "plan", "--out", "half", "--shard", "1/2")
    fleet.run("fleet", "plan", "--out", "third", "--shard", "1/3")
    fleet.repo.commit("another")
    fleet.run("fleet", "plan", "--out", "later", "--target", "us-*")
    shutil.copytree(fleet.folder / "plan", fleet.folder / "mixed")
    shutil.copytree(fleet.folder / "later" / "us-1", fleet.folder / "mixed" / "us-1")

    for folders, expected in {
        ("plan", "drift"): "each has another command: drift and plan",
        ("plan", "later"): "each has another commit",
        ("half", "third"): "each has another number of shards: 3 and 2",
        ("plan", "plan"): "several folders report on eu-1, eu-2",
        ("plan", "nowhere"): "nowhere is not the --out folder of a fleet",
        ("mixed",): "mixed holds reports of another run: us-1",
        ("config",): "config is not the --out folder of a fleet",
    }.items():
        done = fleet.run("fleet", "merge", *folders)
        assert (1, "") == (done.code, done.out)
        assert expected in done.err, (folders, done.err)


def test_runs_of_other_targets_merge_without_shards(fleet):
    """Two jobs chose their targets by name."""
    fleet = fleet()
    fleet.run("fleet", "plan", "--out", "eu", "--target", "eu-*")
    fleet.run("fleet", "plan", "--out", "us", "--target", "us-*")

    assert set(TARGETS) == set(results(fleet.document("fleet", "merge", "eu", "us", code=0)))


def test_a_document_cannot_name_a_folder_elsewhere(fleet):
    """The name of a target is a name, and not a path."""
    fleet = fleet()
    fleet.run("fleet", "plan", "--out", "kept")
    path = fleet.folder / "kept" / "fleet.json"
    path.write_text(path.read_text().replace('"eu-1"', '"../kept/eu-1"'))

    done = fleet.run("fleet", "merge", "kept")

    assert 1 == done.code
    assert "is not the name of a target" in done.err


def test_merge_does_not_write_over_a_report(fleet):
    """The folder has to be empty."""
    fleet = fleet()
    fleet.run("fleet", "plan", "--out", "kept")

    done = fleet.run("fleet", "merge", "kept", "--out", "kept")

    assert 1 == done.code
    assert "there is a report already" in done.err


def test_every_format_has_every_target(fleet):
    """Text and Markdown name what differs, the page has a section for each."""
    fleet = fleet(policies=[acme.policy("feature_flag.update")])
    fleet.run("fleet", "apply", "--yes", "--out", "kept")

    for format_ in ("text", "markdown", "html"):
        done = fleet.run("fleet", "merge", "kept", "--format", format_)
        assert 3 == done.code, done.err
        assert all(name in done.out for name in TARGETS)
        assert "alice" in done.out
    assert "waiting for approval" in done.out


def test_people_of_a_public_build_are_named_by_initials(fleet, github):
    """Except in JSON, which is for programs."""
    fleet = fleet(policies=[acme.policy("feature_flag.update")])
    event = {"repository": {"private": False, "visibility": "public"}}
    (fleet.folder / "event.json").write_text(json.dumps(event))
    public = {**github, "GITHUB_EVENT_PATH": str(fleet.folder / "event.json")}
    fleet.run("fleet", "apply", "--yes", "--out", "kept", **public)

    for format_ in ("text", "markdown", "html"):
        shown = fleet.run("fleet", "merge", "kept", "--format", format_, **public).out
        assert "alice@acme.test" not in shown
        assert "A." in shown.replace("\\", "")


def test_a_damaged_report_does_not_hide_an_interruption(fleet):
    """The worst exit code of the parts is that of the whole."""
    fleet = fleet()
    fleet.run("fleet", "plan", "--out", "kept")
    path = fleet.folder / "kept" / "fleet.json"
    path.write_text(path.read_text().replace('"exit_code": 0\n}', '"exit_code": 130\n}'))

    assert 130 == fleet.run("fleet", "merge", "kept").code


def test_a_repository_without_settings_is_a_fleet_of_one(world):
    """Its target is called default."""
    repo = world(gated(acme.live_flag("a")))
    repo.write("flags.yaml", acme.flag("a", active=True))

    done = repo.run("fleet", "plan", "--format", "json")

    assert {"default": 0} == results(done.json)


def test_a_report_of_an_earlier_run_is_not_read_again(fleet):
    """us-2 was planned before; now it is skipped, and its old plan says nothing."""
    fleet = fleet(us_2={"needs": ["us-1"]}, policies=[acme.policy("feature_flag.update")])
    fleet.run("fleet", "plan", "--out", "kept")

    done = fleet.document("fleet", "plan", "--out", "kept", code=0)
    lost = fleet.run("fleet", "plan", "--out", "kept", "--format", "json", POSTHOG_KEY_3="")

    assert ["us-1", "us-2"] == [row["target"] for row in done["waiting"]]
    assert (1, None) == (results(lost.json)["us-1"], results(lost.json)["us-2"])
    assert [] == lost.json["waiting"]
    assert "it needs us-1, which exited with 1" == lost.json["targets"][3]["skipped_because"]


def test_a_request_that_several_targets_see_is_listed_once(fleet):
    """`status` of each target lists the requests of the organization that they have in common."""
    fleet = fleet(policies=[acme.policy("feature_flag.update")])
    fleet.run("fleet", "apply", "--yes")

    single = fleet.run("status", "--target", "eu-1", "--format", "json").json
    several = fleet.document("fleet", "status", code=0)

    ids = [row["id"] for row in single["requests"]]
    assert 2 == len(ids)
    assert ids == [row["id"] for row in several["waiting"]]


def test_requests_of_other_hosts_are_others_even_with_the_same_id(start_sandbox, tmp_path):
    """Two sandboxes with one seed number their requests alike."""
    sandboxes = several_sandboxes(start_sandbox, names=("eu", "us"))
    project = {
        "name": "Web",
        "id": 1,
        "feature_flags": [acme.live_flag("a")],
        "approval_policies": [acme.policy("feature_flag.update")],
    }
    seed = acme.seed(projects=[project])
    fleet = make_fleet(tmp_path, sandboxes, eu=seed, us=seed)
    fleet.settle(acme.flag("a", 50))
    applied = fleet.fleet("apply", "--yes").json["waiting"]
    status = fleet.fleet("status").json["waiting"]

    assert ["eu", "us"] == sorted(row["target"] for row in applied)
    assert ["eu", "us"] == sorted(row["target"] for row in status)


def test_the_title_says_that_files_are_not_as_in_the_commit(fleet):
    """The commit would be wrong; a merged report says the same."""
    fleet = fleet()
    clean = fleet.run("fleet", "plan").out
    fleet.repo.write("config/more.yaml", acme.flag("b", 10))

    plan = fleet.run("fleet", "plan", "--out", "kept").out
    merged = fleet.run("fleet", "merge", "kept").out

    assert "uncommitted" not in clean
    assert "4 targets at commit" in plan.splitlines()[0]
    assert plan.splitlines()[0].endswith(" with uncommitted changes")
    assert plan.splitlines()[0] == merged.splitlines()[0]
