"""Rules judge the changes of a plan: deny, warn, fail; no option lifts what they say."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.operations.rules.process import RuleProcess
from tests import acme, factories
from tests.cli.rule_files import (
    FULL,
    applied,
    codes,
    edit_live,
    endless,
    groups,
    planned,
    roll_out,
    rule,
    rules,
)
from tests.cli.test_base_git import head
from tests.integration.running import Time
from tests.integration.test_waiting import deciding

DENIED_A = (4, [("rule-denied", "a")])
LIFTS = (
    ("--prefer", "git"),
    ("--allow-weakening",),
    ("--allow-rollback",),
    ("--allow-destroy", "FeatureFlag/acme/Web/a"),
    ("--allow-lockout", "Organization/acme"),
    ("--confirm-deletes", "1"),
    ("--base", "HEAD"),
    ("--select", "FeatureFlag/acme/Web/a"),
)


def test_a_denied_change_is_refused_and_nothing_is_written(world):
    """4 from plan and apply; the finding names the rule, its reason, and its line."""
    repo = applied(world, rule())
    roll_out(repo, a=100, b=20)

    code, (row,) = planned(repo)
    done = repo.run("apply", "--yes")

    assert (4, 4) == (code, done.code)
    assert ("rule-denied", "error", "FeatureFlag/acme/Web/a") == (
        row["code"],
        row["severity"],
        row["address"],
    )
    assert "no-full" in row["message"]
    assert "reason of no-full" in row["message"]
    assert ("rules/all.yaml", 2) == (row["source"]["file"], row["source"]["line"])
    assert [] == repo.sandbox.writes()
    assert "rules/all.yaml:2" in done.err


def test_no_option_lifts_a_rule(world):
    """Neither those that lift other guardrails, nor another base, also without the rule there."""
    repo = applied(world, rule())
    repo.write("rules/all.yaml", rules())
    roll_out(repo, a=100)

    for option in LIFTS:
        assert DENIED_A == codes(repo, *option), option
        assert 4 == repo.run("apply", "--yes", *option).code, option
        assert [] == repo.sandbox.writes(), option


def test_with_continue_the_other_changes_are_applied(world):
    """The denied change stays refused, and the exit code 4."""
    repo = applied(world, rule())
    roll_out(repo, a=100, b=20)

    done = repo.run("apply", "--yes", "--continue", "--format", "json")

    rows = {row["address"].split("/")[-1]: row["outcome"] for row in done.json["results"]}
    assert (4, {"a": "refused", "b": "done"}) == (done.code, rows)
    assert 1 == len(repo.sandbox.writes())


def test_a_warning_stops_nothing(world):
    """It is a finding of severity warning, with the rule and its place."""
    repo = applied(world, rule("tell", warn="tell the support team"))
    roll_out(repo, a=100)

    code, (row,) = planned(repo)

    assert (0, "rule-warned", "warning") == (code, row["code"], row["severity"])
    assert "tell the support team" in row["message"]
    assert 0 == repo.run("apply", "--yes").code


WRONG = {
    "change.": "rule-invalid",
    "chnage.kind == 'FeatureFlag'": "rule-invalid",
    "size(change.fields)": "rule-invalid",
    "open('/etc/passwd') == ''": "rule-invalid",
    "change.nothing == 1": "rule-failed",
    "change.fields[7].desired == 1": "rule-failed",
    "change.gate.quorum > 1": "rule-failed",
    "change.gate.approvers": "rule-failed",
    endless(): "rule-failed",
    "[0,1,2,3,4,5,6,7,8,9].all(a, " * 9 + "false == (1 > 2)" + ")" * 9: "rule-failed",
}


def test_an_expression_that_is_wrong_or_endless_never_passes(world):
    """It denies the plan, for `warn` rules too; the run goes on quickly after an endless one."""
    repo = applied(world)
    repo.write("reconciler.yaml", "version: 1\ntargets:\n  production:\n    rules: [rules]\n")
    for when, code in WRONG.items():
        repo.write("rules/all.yaml", rules(rule(when=when, warn="x")))
        roll_out(repo, a=20)

        done = repo.run("apply", "--yes", "--format", "json")

        assert 4 == done.code, (when, done.out)
        assert [] == repo.sandbox.writes(), when
        assert {code} == {row["code"] for row in planned(repo)[1]}, when


def test_a_rule_that_does_not_compile_stops_the_whole_run(world):
    """--continue does not help: nobody knows what the rule would deny."""
    repo = applied(world)
    repo.write("rules/all.yaml", rules(rule(when="change.")))
    repo.write("reconciler.yaml", "version: 1\ntargets:\n  production:\n    rules: [rules]\n")
    roll_out(repo, a=20)

    assert 4 == repo.run("apply", "--yes", "--continue").code
    assert [] == repo.sandbox.writes()


def test_one_endless_expression_does_not_hide_what_others_say(world):
    """The process that evaluates is started again, with the other rules, and at once."""
    repo = applied(world)
    repo.write("rules/all.yaml", rules(rule("before"), rule("slow", endless()), rule("after")))
    repo.write("reconciler.yaml", "version: 1\ntargets:\n  production:\n    rules: [rules]\n")
    roll_out(repo, a=100, b=100)
    began = time.monotonic()

    code, rows = planned(repo)

    assert time.monotonic() - began < 20  # the kernel ends it, not the patience of the program
    said = sorted((row["code"], row["address"][-1]) for row in rows)
    assert (4, [("rule-denied", "a")] * 2) == (code, said[:2])
    assert [("rule-denied", "b")] * 2 + [("rule-failed", "a"), ("rule-failed", "b")] == said[2:]
    assert all("100 ms" in row["message"] for row in rows if row["code"] == "rule-failed")


def test_rules_see_the_change_the_plan_the_authors_and_the_time(world):
    """Every key of a row, `cause`, and what surrounds it."""
    author = {"GIT_AUTHOR_NAME": "Dana", "GIT_AUTHOR_EMAIL": "Dana@acme.test"}
    now = datetime.now(UTC) - timedelta(hours=1)
    seen = [
        'change.kind == "FeatureFlag" && change.action == "update" && change.cause == "intent"',
        'change.address == "FeatureFlag/acme/Web/a" && change.source.file == "config/flags.yaml"',
        'change.gate.verdict == "approval" && change.gate.quorum == 1 && change.live_id != null',
        'change.gate.approvers.users.exists(u, u == "alice@acme.test")',
        "change.fields[0].base == 10 && change.fields[0].live == 10.0",
        "plan.summary.update == 1 && plan.summary.delete == 0 && plan.summary.gated == 1",
        'plan.target.name == "production" && plan.target.host.startsWith("http://127")',
        'author == ["dana@acme.test"]',
        f'now > timestamp("{now.isoformat()}")',
    ]
    policies = [acme.policy("feature_flag.update")]
    written = (rule(f"rule-{number}", when) for number, when in enumerate(seen))
    repo = applied(world, *written, policies=policies)
    repo.write("config/flags.yaml", acme.flag("a", 100), acme.flag("b", 10))
    repo.git("add", "-A")
    repo.git("commit", "-qm", "full", **author)

    code, rows = planned(repo)

    denied = {row["message"].split("rule-")[1][0] for row in rows}
    assert (4, {str(number) for number in range(len(seen))}) == (code, denied)


def test_the_cause_of_a_change_is_that_of_its_fields(world):
    """Drift is not intent: a rule can let it be reverted on a Friday."""
    drift = rule("drift", 'change.cause == "drift"', warn="x")
    repo = applied(world, rule("intent", 'change.cause == "intent"'), drift)
    edit_live(repo, "a", filters=groups(30))
    roll_out(repo, b=20)

    assert (4, [("rule-warned", "a"), ("rule-denied", "b")]) == (
        codes(repo)[0],
        sorted(codes(repo)[1], key=lambda row: row[1]),
    )


def test_a_rule_sees_the_whole_spec_of_what_is_new(world):
    """A new flag, and a new condition of an old one, are one field each: `spec` has all of them."""
    everybody = "change.spec.filters.groups.exists(g, g.rollout_percentage == 100)"
    repo = applied(world, rule(when=everybody, select=["FeatureFlag/*"]))
    two = {"groups": [*groups(10)["groups"], *groups(100)["groups"]]}
    gone = acme.flag("b", 10)
    gone["metadata"]["lifecycle"] = {"state": "absent"}
    repo.write("config/flags.yaml", acme.flag("a", filters=two), acme.flag("new", 100), gone)
    repo.write("rules/all.yaml", rules(rule(when=everybody), rule("gone", "change.spec == {}")))
    repo.commit()

    code, rows = planned(repo)

    found = {(row["code"], row["address"].split("/")[-1]) for row in rows}
    assert 4 == code
    assert {
        ("rule-denied", "a"),
        ("rule-denied", "new"),
        ("rule-denied", "b"),  # by `gone`
        ("rule-failed", "b"),  # by the other rule: a delete has no spec
    } == found


def test_select_limits_a_rule_to_addresses(world):
    repo = applied(world, rule(select=["FeatureFlag/*/Web/b*"]))
    roll_out(repo, a=100, b=100)

    assert (4, [("rule-denied", "b")]) == codes(repo)


def test_a_plan_without_changes_is_not_denied(world):
    repo = applied(world, rule("always", "true"))

    assert (0, []) == codes(repo)


def test_a_saved_plan_is_judged_again(world):
    """By the rules of now, and by those of what was applied, whatever base the plan names."""
    repo = applied(world, rule())
    roll_out(repo, a=20)
    assert 0 == repo.run("plan", "--out", "plan.json").code
    repo.write("rules/all.yaml", rules(rule("all", "true")))
    assert 4 == repo.run("apply", "--yes", "plan.json").code
    repo.write("rules/all.yaml", rules())
    roll_out(repo, a=100)
    assert 4 == repo.run("plan", "--base", "HEAD", "--out", "plan.json").code

    assert 4 == repo.run("apply", "--yes", "plan.json").code
    assert [] == repo.sandbox.writes()


def test_a_saved_plan_that_rules_denied_can_be_applied_once_they_allow_it(world):
    """What they said when it was made does not stay."""
    repo = applied(world, rule("soon", 'now < timestamp("2000-01-01T00:00:00Z")'))
    roll_out(repo, a=20)
    assert 0 == repo.run("plan", "--out", "plan.json").code
    document = json.loads((repo.folder / "plan.json").read_text())
    assert [] == [row for row in document["findings"] if row["code"].startswith("rule")]

    done = repo.run("apply", "--yes", "plan.json")

    assert 0 == done.code, done.err


def test_a_revert_of_drift_is_judged(world):
    repo = applied(world, rule("no-reverts", 'change.cause == "drift"'))
    edit_live(repo, "a", filters=groups(30))

    done = repo.run("drift", "--revert", "--yes")

    assert 4 == done.code, done.out
    assert "no-reverts" in done.err
    assert [] == repo.sandbox.writes()


def test_what_is_left_after_an_approval_is_judged_by_the_time_of_then(world):
    """The second step of a change waits for its own rules: by then it may be Friday."""
    actions = ("feature_flag.enable", "feature_flag.update")
    soon = datetime.now(UTC) + timedelta(minutes=5)
    repo = world(factories.gated(acme.live_flag("a", 10), policies=actions))
    repo.write("config/flags.yaml", acme.flag("a", 30, active=True))
    repo.write("rules/all.yaml", rules(rule("later", f'now > timestamp("{soon.isoformat()}")')))
    repo.write("reconciler.yaml", "version: 1\ntargets:\n  production:\n    rules: [rules]\n")
    repo.commit()
    repo.time = deciding(repo, 600)

    done = repo.run("apply", "--yes", "--wait", "1h", "--format", "json")

    (row,) = done.json["results"]
    assert (4, "refused") == (done.code, row["outcome"]), done.out
    assert "later" in row["error"]["what"]
    assert isinstance(repo.time, Time)


def test_without_a_base_a_plan_says_that_only_its_own_rules_judge_it(world):
    """Outside git, and before the first apply."""
    repo = world(factories.seed(acme.live_flag("a", 10)))
    repo.write("config/flags.yaml", acme.flag("a", 20))
    repo.write("rules/all.yaml", rules(rule()))
    repo.write("reconciler.yaml", "version: 1\ntargets:\n  production:\n    rules: [rules]\n")

    assert (0, [("rules-without-base", "")]) == codes(repo)


@pytest.mark.parametrize("zoom", ["resources", "fields"])
def test_every_text_shows_a_denial(world, zoom):
    repo = applied(world, rule())
    roll_out(repo, a=100)

    shown = repo.run("plan", "--zoom", zoom).out

    assert "rules/all.yaml:2" in shown
    assert "no-full" in shown


@pytest.mark.parametrize("format_", ["markdown", "html"])
def test_reports_show_a_denial(world, format_):
    repo = applied(world, rule())
    roll_out(repo, a=100)

    shown = repo.run("plan", "--format", format_).out.replace("<wbr>", "")

    assert "no-full" in shown
    assert "rules/all.yaml" in shown


def test_a_build_marks_the_line_of_the_rule(world, github):
    """An annotation of GitHub, at the file and line of the rule."""
    repo = applied(world, rule())
    roll_out(repo, a=100)

    done = repo.run("ci", "run", "plan", **github)

    assert "::error file=rules/all.yaml,line=2" in done.out
    assert 4 == done.code


def test_folders_of_rules_declare_no_resources(world):
    """Also where `paths` holds them, at the base, and in what earlier commits said."""
    settings = "version: 1\ntargets:\n  production:\n    rules: [rules]\n"
    other = "  staging:\n    paths: [config]\n    rules: [more]\n"
    repo = applied(world, rule(), settings=settings)
    repo.write("more/more.yml", rules(rule("other")))
    repo.write("reconciler.yaml", settings + other)
    roll_out(repo, a=20)
    target = ("--target", "production")

    assert 0 == repo.run("validate").code
    assert (0, []) == codes(repo, *target)
    assert 0 == repo.run("apply", "--yes", *target).code
    assert head(repo) == head(repo, "refs/reconciler/applied/production")
    assert 2 == len(repo.run("list", *target).out.splitlines())
    assert 0 == repo.run("drift", *target).code


def test_rules_that_are_not_committed_count_and_keep_the_base_where_it_is(world):
    """The plan says that a file differs; apply does not record what no commit holds."""
    repo = applied(world, rule())
    before = head(repo, "refs/reconciler/applied/production")
    roll_out(repo, a=20)
    repo.write("rules/all.yaml", rules(rule(), rule("other", "false")))

    plan = repo.run("plan", "--format", "json").json
    assert 0 == repo.run("apply", "--yes").code

    assert "dirty-tree" in {row["code"] for row in plan["findings"]}
    assert before == head(repo, "refs/reconciler/applied/production")


def test_the_library_of_expressions_is_not_part_of_this_process(world):
    """It is started where rules are judged: commands without rules do not wait for it."""
    repo = applied(world, rule(when=FULL))
    roll_out(repo, a=20)
    script = "from reconciler.cli.main import run; run(['plan']); print(sorted(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {script}"],
        cwd=repo.folder,
        env=repo.environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert "1 to update" in done.stdout
    assert "cel_expr_python" not in done.stdout


def test_a_large_change_is_not_a_slow_expression():
    """What the library needs to read the change does not count towards the limit of a rule."""
    properties = [{"key": f"k{number}", "value": ["a"] * 20} for number in range(9000)]
    row = {"action": "update", "fields": [{"desired": properties}] * 5}
    with RuleProcess(['change.action == "update"', "change.fields.size() == 5"]) as process:
        process.set_context({"plan": {}, "author": [], "now": "2026-01-01T00:00:00Z"})

        assert [True, True] == process.evaluate(row, [0, 1])


def test_an_expression_has_a_limited_time_for_all_changes():
    """Else 10,000 changes, each just below the limit, would keep a build busy for 16 minutes."""
    slow = "change.list.all(x, change.list.all(y, x + y >= 0))"
    row = {"list": list(range(90))}
    with RuleProcess([slow, "true"], total_s=0.005) as process:
        process.set_context({"plan": {}, "author": [], "now": "2026-01-01T00:00:00Z"})
        results = [process.evaluate(row, [0, 1]) for _ in range(100)]

    assert results[0] == [True, True]
    assert results[-1] == ["it has taken longer than 0.005 s for the changes before", True]


def test_many_rules_are_read_in_linear_time(world):
    """A file below the size limit must not keep a build busy."""
    repo = world(factories.seed())
    lines = (f"  - {{id: r{n}, when: 'false', deny: reason}}\n" for n in range(10_000))
    (repo.folder / "many.yaml").write_text("rules:\n" + "".join(lines))
    (repo.folder / "reconciler.yaml").write_text(
        "version: 1\ntargets: {default: {paths: [config], rules: [many.yaml]}}\n"
    )
    started = time.process_time()

    done = repo.run("rules", "list", "--format", "json")

    assert (0, 10_000) == (done.code, len(done.json))
    assert time.process_time() - started < 8
