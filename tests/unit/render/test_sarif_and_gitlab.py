"""Reports that code hosts keep from run to run: SARIF, and GitLab's code quality."""

import json
from dataclasses import replace

from reconciler.model import Address, Finding, Severity, Source
from reconciler.render import gitlab, sarif
from reconciler.render.shared.findings import compute_fingerprints

ONE = Finding(
    "R004",
    Severity.ERROR,
    "wrong",
    why="because",
    fix="mend it",
    source=Source("config/ä b.yaml", 3, 8),
    address=Address("Role", ("acme", "A")),
    width=5,
)
OTHER = Finding("R020", Severity.WARNING, "odd", source=Source("b.yaml", 1))
RULES = {"R004": "a field", "R020": "gates nothing", "R030": "nobody"}


def log(*found):
    """The only run of a report."""
    return json.loads(sarif.findings(found, RULES))["runs"][0]


def test_a_sarif_log_has_what_code_scanning_needs():
    """Version, rules with an index, place, fingerprint."""
    whole = json.loads(sarif.findings([OTHER, ONE], RULES))
    (run,) = whole["runs"]
    first, second = run["results"]
    rules = run["tool"]["driver"]["rules"]
    place = first["locations"][0]

    assert whole["version"] == "2.1.0"
    assert "sarif-2.1.0" in whole["$schema"]
    assert [rule["id"] for rule in rules] == ["R004", "R020", "R030"]
    assert (first["ruleId"], rules[first["ruleIndex"]]["id"], first["level"]) == (
        "R004",
        "R004",
        "error",
    )
    assert second["level"] == "warning"
    assert first["message"]["text"] == "wrong. because. mend it"
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "config/%C3%A4%20b.yaml"
    assert place["physicalLocation"]["region"] == {
        "startLine": 3,
        "startColumn": 8,
        "endColumn": 13,
    }
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "Role/acme/A"


def test_the_worst_results_are_kept_and_the_rest_is_counted():
    """GitHub keeps 5,000."""
    many = [replace(OTHER, message=f"odd {number}") for number in range(sarif.MAX_RESULTS)]
    run = log(*many, ONE)

    assert len(run["results"]) == sarif.MAX_RESULTS
    assert run["results"][0]["ruleId"] == "R004"
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "1 more finding left out"


def test_a_finding_without_a_place_is_a_result_without_one():
    """Not one at line 0."""
    (result,) = log(replace(ONE, source=None, address=None))["results"]

    assert "locations" not in result


def test_a_rule_that_nobody_described_is_listed_all_the_same():
    """An index that leads nowhere would refuse the whole upload."""
    (result,) = log(replace(ONE, code="new-one"))["results"]

    assert result["ruleId"] == "new-one"


def test_a_code_quality_report_is_an_array_of_rows():
    """As GitLab reads it."""
    rows = json.loads(gitlab.findings([OTHER, ONE]))

    assert rows[1] == {
        "description": "wrong. mend it",
        "check_name": "R004",
        "fingerprint": rows[1]["fingerprint"],
        "severity": "major",
        "location": {"path": "config/ä b.yaml", "lines": {"begin": 3}},
    }
    assert rows[0]["severity"] == "minor"
    assert json.loads(gitlab.findings([replace(ONE, source=None)]))[0]["location"]["path"]


def test_a_fingerprint_stays_when_the_line_moves_and_nothing_else():
    """Otherwise every commit brings every finding anew."""
    (mark,) = compute_fingerprints([ONE])

    assert compute_fingerprints([replace(ONE, source=Source("config/ä b.yaml", 90, 2))]) == [mark]
    for other in (
        replace(ONE, code="R005"),
        replace(ONE, message="other"),
        replace(ONE, address=None),
        replace(ONE, source=Source("c.yaml", 3, 8)),
    ):
        assert compute_fingerprints([other]) != [mark]


def test_equal_findings_have_fingerprints_of_their_own():
    """GitLab drops doubles without a word."""
    assert len(set(compute_fingerprints([ONE, ONE, OTHER]))) == 3
    assert log(ONE, ONE)["results"][0]["partialFingerprints"] == {
        "reconciler/v1": compute_fingerprints([ONE])[0]
    }


def test_nothing_foreign_is_sent_as_it_is():
    """Keys out, control characters shown."""
    bad = replace(ONE, message="a phx_abcdefghijklmnopqrstuvwxyz0123456789 \x1b[0m \ud800")
    for text in (sarif.findings([bad], RULES), gitlab.findings([bad])):
        assert "phx_abcdefghijkl" not in text
        assert "\\u001b" not in text
        text.encode("ascii")
