"""`rules test`, `rules list` and `validate`: rules are checked without a plan, offline."""

import json

import pytest
import yaml

from tests import acme
from tests.cli.rule_files import FULL, rule, rules
from tests.support import Repository

FIRST = "version: 1\ntargets:\n  production:\n    rules: [rules]\n"


@pytest.fixture
def offline(tmp_path):
    """A repository without a server: what needs one fails."""

    class Nowhere:
        url = "http://127.0.0.1:9"

    repo = Repository(tmp_path, Nowhere(), token="")
    repo.write("reconciler.yaml", FIRST)
    repo.write("flags.yaml", acme.flag("a", 10))
    return repo


def case(expect, *, name="a case", **changes):
    return {"name": name, "change": changes.pop("change", {}), "expect": expect, **changes}


def full(percentage=100):
    return {"fields": [{"path": "filters.groups[0].rollout_percentage", "desired": percentage}]}


def test_tests_that_pass_are_counted(offline):
    """0; a rule without tests is named."""
    tested = rule(tests=[case("deny", change=full()), case("pass", change=full(50))])
    offline.write("rules/all.yaml", rules(tested, rule("untested", "true")))

    done = offline.run("rules", "test")

    assert 0 == done.code, done.err
    assert "2 rules, 2 tests: all passed. Without tests: untested." in done.out


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (rule(tests=[case("pass", change=full())]), "expects pass, and the rule no-full says deny"),
        (rule(tests=[case("deny", change=full(50))]), "says pass"),
        (rule(warn="x", tests=[case("deny", change=full())]), "says warn"),
        (rule(when="change.nope == 1", tests=[case("pass")]), "has no result"),
        (rule(when="nope == 1", tests=[case("pass")]), "does not compile"),
        (rule(when="change."), "does not compile"),
        (rule(select=["FeatureFlag/acme/*"], tests=[case("pass", change=full())]), "says deny"),
    ],
    ids=str,
)
def test_a_wrong_rule_or_a_wrong_test_fails(offline, written, message):
    """1, with the place of the test or of the expression."""
    offline.write("rules/all.yaml", rules(written, rule("other", "true", tests=[case("deny")])))

    done = offline.run("rules", "test")

    assert 1 == done.code
    assert message in done.err
    assert "error: rules/all.yaml:" in done.err
    assert 1 == sum(line.startswith("error:") for line in done.err.splitlines())


def test_tests_set_what_surrounds_a_change(offline):
    """`plan`, `author` and `now`; keys that are not written have their usual values."""
    when = (
        'plan.summary.delete == 3 && plan.summary.create == 0 && plan.target.name == "eu" && '
        'author == ["alice@acme.test"] && now.getDayOfWeek() == 5 && change.kind == "Role" && '
        'change.action == "update" && change.gate.verdict == "none" && change.cause == "intent" && '
        "change.fields == [] && change.address.startsWith('Role/')"
    )
    test = case(
        "deny",
        change={"kind": "Role"},
        plan={"summary": {"delete": 3}, "target": {"name": "eu"}},
        author=["Alice@acme.test"],
        now="2026-01-02T10:00:00+01:00",
    )
    written = rule(when=when, tests=[test, case("pass")])
    offline.write("rules/all.yaml", rules(written))

    assert 0 == offline.run("rules", "test").code


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2026-01-02T00:30:00+02:00", 4),
        ("2026-01-01T22:59:59Z", 4),
        ("2026-01-01T23:00:00Z", 5),
        ("2026-01-02T22:59:59.999Z", 5),
        ("2026-07-02T22:00:00Z", 5),
        ("2026-01-02", 5),
        ("0999-06-01", 6),
    ],
)
def test_a_time_of_a_test_is_the_same_moment_in_every_zone(offline, now, day):
    """An offset counts; a year has four digits."""
    when = f'now.getDayOfWeek("Europe/Berlin") == {day}'
    offline.write("rules/all.yaml", rules(rule(when=when, tests=[case("deny", now=now)])))

    done = offline.run("rules", "test")

    assert 0 == done.code, done.err


@pytest.mark.parametrize("now", ["0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-02:00"])
def test_a_time_that_does_not_exist_in_utc_is_an_error(offline, now):
    offline.write("rules/all.yaml", rules(rule(tests=[case("deny", now=now)])))

    done = offline.run("rules", "test")

    assert (1, True) == (done.code, "invalid date or time" in done.err)


def test_without_a_time_it_is_a_thursday(offline):
    """Not today: a test says the same on every day."""
    when = 'now == timestamp("2026-01-01T00:00:00Z") && now.getDayOfWeek() == 4'
    offline.write("rules/all.yaml", rules(rule(when=when, tests=[case("deny")])))

    assert 0 == offline.run("rules", "test").code


def test_a_row_of_a_plan_can_be_pasted_as_it_is(offline):
    """All its keys are accepted."""
    approvers = {"users": [], "roles": {"R": []}}
    row = {
        "address": "FeatureFlag/acme/Web/a",
        "kind": "FeatureFlag",
        "action": "update",
        "live_id": "1",
        "fields": [{"path": "x", "base": 1, "live": 1, "desired": 100.5, "cause": "drift"}],
        "gate": {"verdict": "approval", "quorum": 2, "approvers": approvers},
        "warnings": [],
    }
    when = (
        'change.cause == "drift" && change.gate.quorum == 2 && '
        '"R" in change.gate.approvers.roles && change.fields[0].desired == 100.5'
    )
    offline.write("rules/all.yaml", rules(rule(when=when, tests=[case("deny", change=row)])))

    assert 0 == offline.run("rules", "test").code


def test_the_document_counts_and_lists(offline):
    """JSON for programs."""
    tests = [case("deny", change=full()), case("pass", change=full(), name="wrong")]
    offline.write("rules/all.yaml", rules(rule(tests=tests), rule("untested", "true")))

    done = offline.run("rules", "test", "--format", "json")

    document = done.json
    assert 1 == done.code
    assert {
        "rules": 2,
        "tests": 2,
        "passed": 1,
        "failed": 1,
        "not_compiled": 0,
        "untested": ["untested"],
    } == document["summary"]
    assert [True, False] == [row["passed"] for row in document["rules"][0]["tests"]]
    assert ["rule-test-failed"] == [row["code"] for row in document["findings"]]


@pytest.mark.parametrize("format_", ["github", "gitlab", "sarif"])
def test_code_hosts_get_marks_at_lines(offline, format_):
    offline.write("rules/all.yaml", rules(rule(when="change.", tests=[case("deny")])))

    done = offline.run("rules", "test", "--format", format_)
    checked = offline.run("validate", "--format", format_)

    assert (1, 1) == (done.code, checked.code)
    assert "rule-invalid" in done.out
    assert "rule-invalid" in checked.out
    if format_ == "sarif":
        (result,) = json.loads(done.out)["runs"][0]["results"]
        place = result["locations"][0]["physicalLocation"]
        assert ("rules/all.yaml", 3) == (
            place["artifactLocation"]["uri"],
            place["region"]["startLine"],
        )


def test_paths_name_rules_without_settings(offline):
    """A folder or a file; outside of any target."""
    (offline.folder / "reconciler.yaml").unlink()
    offline.write("elsewhere/a.yaml", rules(rule(tests=[case("deny", change=full())])))

    assert 0 == offline.run("rules", "test", "elsewhere").code
    assert "1 rule, 1 test" in offline.run("rules", "test", "elsewhere/a.yaml").out


def test_every_target_is_tested_unless_one_is_named(offline):
    targets = "version: 1\ndefaults: {rules: [rules]}\ntargets:\n  eu: {}\n  us: {rules: [more]}\n"
    offline.write("reconciler.yaml", targets)
    offline.write("rules/all.yaml", rules(rule(tests=[case("deny", change=full())])))
    offline.write("more/all.yaml", rules(rule("more", "true", tests=[case("pass")])))

    assert 1 == offline.run("rules", "test").code
    assert 0 == offline.run("rules", "test", "--target", "eu").code
    assert 1 == offline.run("rules", "test", "--target", "us").code


def test_without_rules_it_says_where_to_name_them(offline):
    offline.write("reconciler.yaml", "version: 1\ntargets:\n  production: {}\n")

    done = offline.run("rules", "test")

    assert 0 == done.code
    assert "`rules` of the target" in done.out


def test_the_list_shows_where_rules_are(offline):
    offline.write("rules/all.yaml", rules(rule(), rule("tell", "true", warn="tell us")))

    shown = offline.run("rules", "list").out.splitlines()
    (first, _) = offline.run("rules", "list", "--format", "json").json

    assert ["no-full", "tell"] == [line.split()[0] for line in shown]
    assert {"file": "rules/all.yaml", "line": 2} == first["source"]
    assert FULL == first["when"]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("rules:\n- id: a\n  when: chnage.x\n  deny: x\n", ["3:9"]),
        ("rules:\n- id: a\n  when: 'true && nope(1)'\n  deny: x\n", ["3:18"]),
        ("rules:\n- id: a\n  when: |\n    true &&\n      chnage.x\n  deny: x\n", ["5:7"]),
        ("rules:\n- id: a\n  when: >-\n    true &&\n    true && chnage.x\n  deny: x\n", ["5:13"]),
        ("rules:\n- id: a\n  when: true &&\n    chnage.x\n  deny: x\n", ["4:5"]),
        ("rules:\n- {id: a, when: x, deny: x}\n- {id: b, when: y, deny: x}\n", ["2:17", "3:17"]),
    ],
)
def test_an_expression_that_does_not_compile_is_found_at_its_place(offline, text, places):
    """`validate` names the line of the expression, however the text is written."""
    offline.write("rules/all.yaml", text)

    done = offline.run("validate", "--format", "json")

    found = [row["source"] for row in done.json]
    assert 1 == done.code
    assert places == [f"{place['line']}:{place['column']}" for place in found]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules:\n- {id: a, wen: x, deny: x}\n", 'did you mean "when"?'),
        ("rules:\n- {id: a, when: x}\n", "neither `deny` nor `warn`"),
        ("rules:\n- {id: a, when: x, deny: x, warn: y}\n", "both `deny` and `warn`"),
        ("rules:\n- {id: a b, when: x, deny: x}\n", "`rules[0].id` cannot be"),
        ("rules:\n- &a {id: a, when: x, deny: x}\n- *a\n", 'two rules have the ID "a"'),
        ("rules:\n- {id: a, when: x, deny: x, select: [Flag/*]}\n", "no address begins with"),
        ("rules:\n- {id: a, when: x, deny: x, tests: [{expect: deny}]}\n", "has no `change`"),
        ("rules:\n- {id: a, when: true, deny: x}\n", 'quote it: "true"'),
        (
            "rules:\n- {id: a, when: x, deny: x, tests: [{change: {}, expect: no}]}\n",
            "one of deny, warn, pass",
        ),
        ("rule: []\n", 'did you mean "rules"?'),
        ("kind: FeatureFlag\n", 'has no field "kind"'),
        ("# nothing\n", "no rules in this file"),
        ("rules: [\n", "rules/all.yaml:"),
    ],
)
def test_what_is_wrong_with_a_file_of_rules_is_said_at_its_line(offline, text, message):
    """Unknown keys with a suggestion; `plan` does not run with such a file."""
    offline.write("rules/all.yaml", text)

    for command in (("validate",), ("rules", "test"), ("plan",)):
        done = offline.run(*command)

        assert 1 == done.code, command
        assert message in done.err, command
        assert "rules/all.yaml:" in done.err


def test_a_missing_or_empty_folder_is_an_error(offline):
    """Else a slip would switch all rules off."""
    missing = offline.run("validate")
    (offline.folder / "rules").mkdir()
    empty = offline.run("validate")

    assert (1, 1) == (missing.code, empty.code)
    assert "reconciler.yaml:4:13: `rules`: no such file or folder: rules" in missing.err
    assert "no YAML file with rules in this folder" in empty.err


def test_validate_takes_the_path_of_rules(offline):
    """A check before a commit may name changed files; other commands refuse the path."""
    offline.write("rules/all.yaml", rules(rule()))

    assert 0 == offline.run("validate", "rules/all.yaml").code
    assert "holds rules" in offline.run("list", "rules").err


def test_the_schema_for_editors_accepts_what_the_program_accepts(offline):
    """`schema rules` prints it; a link in the first line of a file can name it."""
    schema = offline.run("schema", "rules").json

    assert {"id", "when", "deny", "warn", "select", "tests"} == set(
        schema["properties"]["rules"]["items"]["properties"]
    )
    assert schema["examples"][0] == yaml.safe_load(rules(*schema["examples"][0]["rules"]))
