"""`fleet`: the command of one target for many, with one report and one exit code."""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from unittest import mock
from weakref import WeakSet

import pytest

from reconciler.cli import main
from tests import acme, support
from tests.fleets import GATED, NAMES, codes, targets

TIMES = {"created_at", "tool_version"}


def read_plan(folder):
    document = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    return {name: value for name, value in document.items() if name not in TIMES}


@pytest.mark.parametrize("words", [(), ("--select", "FeatureFlag/acme/Web/a"), ("--prune",)])
def test_each_plan_is_the_plan_of_the_single_command(make_fleet, words):
    """With the same options: same changes, same findings, same requests."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50), acme.flag("b", 10))

    done = fleet.fleet("plan", *words, "--out", "out")
    single = {}
    for name in NAMES:
        fleet.run("plan", "--target", name, *words, "--report", f"single/{name}")
        single[name] = read_plan(fleet.folder / "single" / name)

    assert (0, dict.fromkeys(NAMES, 0)) == (done.code, codes(done))
    assert single == {name: read_plan(fleet.folder / "out" / name) for name in NAMES}
    assert done.json == json.loads((fleet.folder / "out" / "fleet.json").read_text("utf-8"))


def test_an_apply_changes_each_target(make_fleet):
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))

    first, second = (fleet.fleet("apply", "--yes") for _ in range(2))

    assert [0, 0] == [first.code, second.code]
    assert dict.fromkeys(NAMES, 1) == {
        name: row["requests"]["writes"] for name, row in targets(first).items()
    }
    assert all(row["requests"]["writes"] == 0 for row in targets(second).values())
    assert all(len(sandbox.writes()) == 1 for sandbox in fleet.sandboxes.values())


BROKEN = acme.seed(projects=[])


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ({"us_prod": GATED}, 3),
        ({"us_prod": GATED, "eu_prod": BROKEN}, 1),
        ({}, 0),
    ],
)
def test_the_worst_code_is_that_of_the_fleet(make_fleet, seeds, expected):
    """An error counts more than what waits."""
    fleet = make_fleet(**seeds)
    fleet.settle(acme.flag("a", 50))

    done = fleet.fleet("apply", "--yes")

    assert (expected, expected) == (done.code, done.json["exit_code"])
    assert 0 == codes(done)["staging"]


def test_differences_are_2_and_refusals_4(make_fleet):
    """A weakening is refused where there is a policy to weaken."""
    fleet = make_fleet(us_prod=GATED)
    fleet.settle(acme.flag("a", 50))
    assert 2 == fleet.fleet("plan", "--detailed-exitcode").code

    weaker = acme.document(
        "ApprovalPolicy",
        {"enabled": False, "approvers": {"quorum": 1, "users": ["alice@acme.test"]}},
        project="Web",
        action="feature_flag.update",
    )
    fleet.write("config/policy.yaml", weaker)
    done = fleet.fleet("plan", "--detailed-exitcode")

    assert (4, {"staging": 2, "eu-prod": 2, "us-prod": 4}) == (done.code, codes(done))


def test_the_next_step_of_a_plan_is_the_approvers_once_every_request_is_filed(make_fleet):
    """Another apply would file nothing, and write nothing."""
    fleet = make_fleet(us_prod=GATED)
    fleet.settle(acme.flag("a", 50))
    assert "Next: reconciler fleet apply" in fleet.run("fleet", "plan").err
    fleet.run("fleet", "apply", "--yes")

    done = fleet.run("fleet", "plan")

    assert 0 == done.code, done.err
    assert "Next: ask the approvers (reconciler fleet status lists them)" in done.err
    assert "fleet apply" not in done.err


def test_a_target_starts_after_those_that_it_needs(make_fleet):
    """Also where they differ, in a plan: 2 is a success."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50), needs={"staging": ["us-prod"], "us-prod": ["eu-prod"]})

    done = fleet.run("fleet", "plan", "--detailed-exitcode")

    ended = [line.split()[1].rstrip(":") for line in done.err.splitlines() if line[0] == "~"]
    assert (2, ["eu-prod", "us-prod", "staging"]) == (done.code, ended)


def test_what_needs_a_failed_target_is_skipped_with_the_reason(make_fleet):
    """As is what needs that; nothing of it is contacted."""
    fleet = make_fleet(staging=BROKEN)
    fleet.settle(acme.flag("a", 50), needs={"eu-prod": ["staging"], "us-prod": ["eu-prod"]})

    done = fleet.fleet("apply", "--yes")

    rows = targets(done)
    assert (1, {"staging": 1, "eu-prod": None, "us-prod": None}) == (done.code, codes(done))
    assert "it needs staging, which exited with 1" == rows["eu-prod"]["skipped_because"]
    assert "it needs eu-prod, which was skipped" == rows["us-prod"]["skipped_because"]
    assert [] == fleet.sandboxes["eu-prod"].requests() + fleet.sandboxes["us-prod"].requests()


def test_a_target_that_is_left_out_holds_nothing_back(make_fleet):
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50), needs={"eu-prod": ["staging"]})

    done = fleet.fleet("plan", "--target", "eu-prod")

    assert {"eu-prod": 0} == codes(done)


@pytest.mark.parametrize("needed", [["eu-prod"], ["nowhere"]])
def test_a_cycle_or_an_unknown_need_is_an_error_before_anything_is_contacted(make_fleet, needed):
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50), needs={"staging": needed, "eu-prod": ["staging"]})

    done = fleet.run("fleet", "apply", "--yes")

    assert (1, True) == (done.code, "reconciler.yaml:" in done.err)
    assert all(sandbox.requests() == [] for sandbox in fleet.sandboxes.values())


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*"], set(NAMES)),
        (["*-prod"], {"eu-prod", "us-prod"}),
        (["us*", "staging"], {"us-prod", "staging"}),
    ],
)
def test_a_pattern_chooses_targets(make_fleet, patterns, expected):
    """Before and after the command."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))
    words = [word for pattern in patterns for word in ("--target", pattern)]

    after = fleet.fleet("validate", *words)
    before = fleet.run(*words, "fleet", "validate", "--format", "json")

    assert expected == set(codes(after)) == set(codes(before))


def test_a_pattern_that_matches_nothing_is_refused_with_a_suggestion(make_fleet):
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))

    done = fleet.run("fleet", "plan", "--target", "us-prd*")

    assert (64, True) == (done.code, 'did you mean "us-prod"?' in done.err), done.err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("plan", "config"), "not a path or a saved plan"),
        (("apply", "--yes", "plan.json"), "not a path or a saved plan"),
        (("plan", "--zoom", "totals"), "--out DIR"),
        (("drift", "--adopt"), "for each"),
        (("drift", "--patch"), "for each"),
        (("plan", "--report", "x"), "--out DIR"),
        (("drift", "--yes"), "nothing to confirm"),
        (("drift", "--allow-weakening"), "--allow-weakening is for drift --revert"),
        (("drift", "--revert", "--yes", "--notify", "https://a.test"), "drift --revert ends it"),
        (("apply",), "there is no terminal to ask on"),
        (("drift", "--revert"), "there is no terminal to ask on"),
        (("plan", "--format", "sarif"), "'sarif' is not one of"),
    ],
)
def test_what_is_not_for_many_targets_is_refused(make_fleet, words, reason):
    """With the reason and what to do instead; nothing is contacted."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))

    done = fleet.run("fleet", *words)

    assert (64, True) == (done.code, reason in done.err), done.err
    assert all(sandbox.requests() == [] for sandbox in fleet.sandboxes.values())


def test_somebody_at_a_terminal_is_asked_once_about_all_targets(make_fleet):
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))
    question = "Apply in 3 targets: staging, eu-prod, us-prod? [y/N]:"

    code, shown = support.answer(fleet, ["fleet", "apply"], ends=question, typed="n")
    assert (1, []) == (code, [row for each in fleet.sandboxes.values() for row in each.writes()])
    code, shown = support.answer(fleet, ["fleet", "apply"], ends=question, typed="y")

    assert (0, 1) == (code, shown.count("[y/N]")), shown
    assert all(len(sandbox.writes()) == 1 for sandbox in fleet.sandboxes.values())


@pytest.mark.parametrize("mode", ["validate", "plan"])
def test_each_file_is_read_once_for_all_targets(make_fleet, mode):
    """Also reconciler.yaml."""
    fleet = make_fleet()
    for number in range(20):
        fleet.write(f"config/{number}.yaml", acme.flag(f"f{number}", 10))
    fleet.settle()
    opened, real_open = Counter(), os.open

    def count(path, *arguments, **options):
        opened[Path(path).name] += 1
        return real_open(path, *arguments, **options)

    with mock.patch.object(os, "open", count):
        done = fleet.fleet(mode)

    read = {name: number for name, number in opened.items() if name.endswith(".yaml")}
    assert (0, {f"{n}.yaml": 1 for n in range(20)} | {"reconciler.yaml": 1}) == (done.code, read)


def test_the_files_of_a_commit_are_read_once_for_all_targets(make_fleet):
    """Drift is measured against a commit, and not against the working tree."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))
    commands, real_run = [], subprocess.run

    def count(command, *arguments, **options):
        commands.append(command)
        return real_run(command, *arguments, **options)

    with mock.patch.object(subprocess, "run", count):
        done = fleet.fleet("drift")

    assert dict.fromkeys(NAMES, 2) == codes(done)
    assert 1 == sum("cat-file" in command and "--batch" in command for command in commands)


def test_what_a_target_needed_is_given_back_while_the_fleet_runs(make_fleet):
    """Otherwise memory would grow with the number of targets."""
    fleet = make_fleet()
    many = {f"t{number:03}": {"host": fleet.sandbox.url} for number in range(80)}
    fleet.settle(acme.flag("a", 50), **many)
    streams, most, real_run = WeakSet(), [0], main.run

    def count(words, surroundings):
        streams.add(surroundings.out)
        most.append(len(streams))
        return real_run(words, surroundings)

    with mock.patch.object(main, "run", count):
        done = fleet.fleet("validate", "--target", "t*")

    assert (0, 80) == (done.code, len(targets(done)))
    assert max(most) < 70


def test_names_that_differ_only_in_case_are_an_error(make_fleet):
    """Both would have the same folder on a file system that ignores case."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50), **{"EU-Prod": {"host": fleet.sandbox.url}})

    done = fleet.run("fleet", "plan")

    assert 1 == done.code
    assert 'the targets "eu-prod" and "EU-Prod" differ only in the case of letters' in done.err
    assert "reconciler.yaml:" in done.err
    assert [] == fleet.sandbox.requests()


def test_targets_with_the_same_key_share_one_budget(make_fleet):
    """The strictest of their limits holds for all, from the first request on."""
    fleet = make_fleet()
    fleet.time = support.Time()
    limits = [{}, {"per_minute": 20}, {"per_hour": 25}, {"per_minute": 300, "per_hour": 400}]
    more = {
        f"t{number}": {"host": fleet.sandbox.url, "rate_limit": limit}
        for number, limit in enumerate(limits)
    }
    fleet.settle(acme.flag("a", 50), **more)

    done = fleet.fleet("plan", "--target", "t*")

    sent = len(fleet.sandbox.requests())
    assert (0, 4, True) == (done.code, len(targets(done)), sent > 25)
    # No target for itself comes near its limits: without the others, none of them would wait.
    assert all(row["requests"]["reads"] < 20 for row in targets(done).values())
    assert fleet.time.slept >= (sent - 1) // 25 * 3600


def test_a_line_says_how_each_target_has_ended(make_fleet):
    """On stderr, as it happens; the report is on stdout."""
    fleet = make_fleet(staging=BROKEN)
    fleet.settle(acme.flag("a", 50))

    done = fleet.run("fleet", "plan")
    quiet = fleet.run("--quiet", "fleet", "plan")

    lines = {line.split(":")[0]: line for line in done.err.splitlines()}
    assert {"✗ staging", "~ eu-prod", "~ us-prod", "Next"} == set(lines)
    assert "1 to update (" in lines["~ eu-prod"]
    assert lines["~ eu-prod"].endswith("requests)")
    assert "" == quiet.err


def test_the_log_of_a_fleet_has_the_events_of_each_run(make_fleet):
    """As JSON, line by line, each with the id of its run."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))

    done = fleet.run("--log-format", "json", "fleet", "plan")

    rows = [json.loads(line) for line in done.err.splitlines()]
    by_event = Counter(row["event"] for row in rows)
    assert (4, 3, 3, 4) == tuple(
        by_event[name] for name in ("run.started", "plan.made", "target.ended", "run.ended")
    )
    assert 4 == len({row["run_id"] for row in rows})


def test_what_a_command_says_is_in_the_log_of_its_target(make_fleet):
    """And on stderr with -v, each line with the name of the target."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50), staging={"api_key_env": "POSTHOG_NO_KEY"})

    done = fleet.run("-v", "fleet", "plan", "--out", "out")

    logs = {name: (fleet.folder / "out" / f"{name}.log").read_text("utf-8") for name in NAMES}
    assert "1 to update" in logs["eu-prod"]
    assert "POSTHOG_NO_KEY" in logs["staging"]
    assert f"staging: {logs['staging'].splitlines()[0]}" in done.err
    assert "1 to update" not in done.err.split("~")[0]


def test_what_is_wrong_with_shared_files_is_printed_once(make_fleet):
    """With its place, as `validate` prints it; then what to do next."""
    fleet = make_fleet()
    fleet.settle(
        "kind: FeatureFlag\nmetadata: {organization: acme, project: Web, key: a}\nspek: 1\n"
    )

    done = fleet.run("fleet", "validate", "--out", "out")

    assert (1, 1) == (done.code, done.err.count("config/flags.yaml:3")), done.err
    assert "Next: fix what failed (out/TARGET.log has" in done.err


@pytest.mark.parametrize(
    ("seeds", "words", "following"),
    [
        ({}, ("plan", "--target", "*-prod"), "reconciler fleet apply --target '*-prod'"),
        (
            {},
            ("plan", "--shard", "1/9", "--drift", "all", "--detailed-exitcode", "--select", "a"),
            "reconciler fleet apply --shard 1/9 --select a",
        ),
        ({"us_prod": GATED}, ("apply", "--yes"), "ask the approvers (reconciler fleet status "),
        ({"us_prod": BROKEN}, ("plan",), "fix what failed (--out DIR keeps"),
    ],
)
def test_the_next_step_is_said(make_fleet, seeds, words, following):
    fleet = make_fleet(**seeds)
    fleet.settle(acme.flag("a", 50))

    done = fleet.run("fleet", *words)

    assert [True] == [following in line for line in done.err.splitlines() if "Next:" in line]


def test_each_target_has_journals_of_its_own(make_fleet):
    """So that a plan need not read those of all others."""
    fleet = make_fleet()
    fleet.settle(acme.flag("a", 50))
    assert 0 == fleet.fleet("apply", "--yes").code

    journals = sorted((fleet.folder / ".reconciler" / "runs").glob("*.jsonl"))
    assert sorted(NAMES) == sorted(path.stem.partition("-")[2] for path in journals)
    begins = [json.loads(path.read_text("utf-8").splitlines()[0]) for path in journals]
    assert sorted(NAMES) == sorted(begin["target"] for begin in begins)
