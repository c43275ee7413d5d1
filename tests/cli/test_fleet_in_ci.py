"""`ci run fleet …`: one comment, one issue and one summary for all targets."""

import json
import re
from pathlib import Path

import pytest

from tests import acme
from tests.fleets import GATED, NAMES

OUTPUT = re.compile(r"^(\S+)<<(\w+)\n(.*?)\n\2$", re.DOTALL | re.MULTILINE)


def outputs(github):
    text = Path(github["GITHUB_OUTPUT"]).read_text(encoding="utf-8")
    return {name: value for name, _, value in OUTPUT.findall(text)}


def test_a_plan_of_many_targets_has_one_comment_that_is_kept_up_to_date(
    make_fleet, code_host, github
):
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))
    words = ("ci", "run", "--comment", "fleet", "plan")

    first, again = fleet.run(*words, **github), fleet.run(*words, **github)
    fleet.write("config/flags.yaml", acme.flag("a", 50), acme.flag("b", 10))
    moved = fleet.run(*words, **github)

    assert [0, 0, 0] == [first.code, again.code, moved.code], first.err
    assert "comment: created" in first.err
    assert "comment: updated" in moved.err
    (comment,) = code_host.comments
    assert comment["body"].startswith("<!-- reconciler: fleet plan-")
    assert all(name in comment["body"] for name in NAMES)
    assert ("2", "true", "false") == tuple(
        outputs(github)[name] for name in ("exit-code", "has-changes", "has-drift")
    )
    assert "us-prod" in Path(github["GITHUB_STEP_SUMMARY"]).read_text("utf-8")
    assert 2 == fleet.run("ci", "run", "--fail-on", "changes", "fleet", "plan", **github).code


def test_other_targets_have_another_comment(make_fleet, code_host, github):
    """Wherever --target stands."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))

    for words in (
        ("ci", "run", "--comment", "fleet", "plan", "--target", "*-prod"),
        ("ci", "run", "--comment", "fleet", "plan", "--target=*-prod"),
        ("--target", "*-prod", "ci", "run", "--comment", "fleet", "plan"),
        ("ci", "run", "--comment", "fleet", "plan", "--target", "staging"),
    ):
        assert 0 == fleet.run(*words, **github).code

    assert 2 == len(code_host.comments)


def test_drift_of_many_targets_is_one_issue(make_fleet, code_host, github):
    """Open while any target has drifted; left as it is while one cannot be read."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))
    words = ("ci", "run", "--issue", "fleet", "drift")
    assert "issue: opened" in fleet.run(*words, **github).err
    assert "true" == outputs(github)["has-drift"]

    assert 0 == fleet.fleet("apply", "--yes").code
    fleet.settle(staging={"api_key_env": "POSTHOG_NO_KEY"})
    assert 1 == fleet.run(*words, **github).code
    assert ["open"] == [issue["state"] for issue in code_host.issues]

    fleet.settle()
    assert "issue: closed" in fleet.run(*words, **github).err
    assert 1 == len(code_host.issues)


def test_an_apply_that_waits_somewhere_succeeds_unless_asked_otherwise(make_fleet, github):
    fleet = make_fleet(us_prod=GATED)
    fleet.settle(acme.flag("a", 50))

    done = fleet.run("ci", "run", "fleet", "apply", **github)

    assert (0, "3", "1") == (done.code, outputs(github)["exit-code"], outputs(github)["waiting"])
    assert 3 == fleet.run("ci", "run", "--fail-on", "waiting", "fleet", "apply", **github).code


def test_a_finding_in_a_file_of_all_targets_is_annotated_once(make_fleet, github):
    fleet = make_fleet()
    fleet.settle(
        "kind: FeatureFlag\nmetadata: {organization: acme, project: Web, key: a}\nspek: {}\n"
    )

    done = fleet.run("ci", "run", "fleet", "validate", **github)

    marks = [line for line in done.out.splitlines() if line.startswith("::error file=")]
    assert (1, 1) == (done.code, len(marks)), done.out


def test_the_shards_of_a_build_are_merged_to_one_comment(make_fleet, code_host, github):
    """Also when the job runs again."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))
    for shard in ("1/2", "2/2"):
        fleet.fleet("plan", "--shard", shard, "--out", f"shards/{shard[0]}")

    for _ in range(2):
        done = fleet.run(
            "ci", "run", "--comment", "fleet", "merge", "shards/1", "shards/2", **github
        )
        assert 0 == done.code, done.err

    (comment,) = code_host.comments
    assert comment["body"].startswith("<!-- reconciler: fleet plan-")
    assert all(name in comment["body"] for name in NAMES)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("fleet",), "ci run fleet plan"),
        (("fleet", "matrix"), "ci run fleet plan"),
        (("--issue", "fleet", "plan"), "--issue is for drift"),
        (("fleet", "plan", "--out", "x"), "ci run --report DIR fleet"),
        (("plan", "--report=x"), "ci run --report DIR plan"),
    ],
)
def test_what_a_build_cannot_report_is_refused(make_fleet, github, words, reason):
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))

    done = fleet.run("ci", "run", *words, **github)

    assert (64, True) == (done.code, reason in done.err), done.err


def test_the_report_of_each_target_is_an_artifact(make_fleet, github):
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))

    fleet.run("ci", "run", "--report", "kept", "fleet", "plan", **github)

    kept = fleet.folder / "kept"
    assert set(NAMES) == {path.parent.name for path in kept.glob("*/plan.json")}
    assert "plan" == json.loads((kept / "fleet.json").read_text("utf-8"))["mode"]
