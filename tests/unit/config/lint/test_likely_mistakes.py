"""Legal but odd: a warning each, and nothing of it stops anything."""

# ruff: noqa: E501  tables of texts read better in one line each

import pytest

POLICY = """\
kind: ApprovalPolicy
metadata: {{organization: acme, project: Web, action: {action}}}
spec: {spec}
"""
FLAG = """\
kind: FeatureFlag
metadata: {{organization: acme, project: Web, key: a}}
spec: {spec}
"""
UPDATE = "feature_flag.update"


def warnings(folder, content):
    """Codes, places and messages of what loads all the same."""
    declared = folder.write({"a.yaml": content}).load().declared

    assert all(finding.severity.value == "warning" for finding in declared.findings)
    return [(f.code, f.source.line, f.source.column, f.message) for f in declared.findings]


@pytest.mark.parametrize(
    ("action", "spec", "code", "column", "message"),
    [
        ("survey.launch", "{}", "R020", None, "a policy for `survey.launch` gates nothing"),
        ("feature_flag.delete", "{}", "R020", None, "a policy for `feature_flag.delete` gates nothing"),
        (UPDATE, "{approvers: {quorum: 1}}", "R021", 19, "nobody can approve"),
        (UPDATE, "{approvers: {quorum: 2, users: [a@b.c, A@B.C]}}", "R021", 28, "2 approvals are needed, but only 1 can be given"),
        (UPDATE, "{approvers: {quorum: 1, roles: [A]}}", "R026", 38, "only roles may approve"),
        (UPDATE, "{approvers: {quorum: 1, users: [a@b.c], role: [A]}}", "R004", 53, '"role" is unknown here'),
        (UPDATE, "{approvers: {quorum: 1, users: [a@b.c], x_y: 1}}", "R004", 52, '"x_y" means nothing here'),
        (UPDATE, "{conditions: {type: change}}", "R022", 27, "unknown condition type `change`"),
        (UPDATE, "{conditions: {field: rollout_percentage}}", "R022", 20, "the condition has no `type`"),
        (UPDATE, "{conditions: {type: any_change}}", "R022", 20, "the condition has no `field`"),
        (UPDATE, "{conditions: {type: any_change, field: active}}", "R022", 46, "a condition on `active`"),
        (UPDATE, "{conditions: {type: before_after, field: rollout_percentage, operator: '=>', value: 1}}", "R022", 78, "unknown operator `=>`"),
        (UPDATE, "{conditions: {type: before_after, field: rollout_percentage, operator: '>', value: '1'}}", "R022", 90, "`value` is not a number"),
        (UPDATE, "{conditions: {type: before_after, field: release_conditions, operator: '>', value: 1}}", "R022", 27, "`release_conditions` cannot be compared"),
        ("feature_flag.enable", "{conditions: {type: any_change, field: rollout_percentage}}", "R022", 20, "a condition works with `feature_flag.update` and `experiment.update` only"),
        (UPDATE, "{bypass_levels: [member]}", "R024", 23, "the policy gates nobody"),
        (UPDATE, "{expires_after: 0s}", "R024", 23, "change requests expire at once"),
        (UPDATE, "{expires_after: -1d}", "R024", 23, "change requests expire at once"),
    ],
)  # fmt: skip
def test_policies(folder, action, spec, code, column, message):  # noqa: PLR0917  a table
    """What gates otherwise than it looks."""
    ((found, line, at, said),) = warnings(folder, POLICY.format(action=action, spec=spec))

    assert (code, message) == (found, said)
    assert (line, at) == ((3, column) if column else (1, 1))


VARIANTS = (
    "multivariate: {variants: [{key: x, rollout_percentage: 50}, {key: y, rollout_percentage: 50}]}"
)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{filters: {group: []}}", '"group" is unknown here'),
        ("{filters: {groups: [{rollout_precentage: 5}]}}", '"rollout_precentage" is unknown here'),
        ("{filters: {groups: [{properties: [{key: a, type: person, valu: 1}]}]}}", '"valu" is unknown here'),
    ],
)  # fmt: skip
def test_flags(folder, spec, message):
    """What PostHog reads otherwise than it looks."""
    ((_, line, _, said),) = warnings(folder, FLAG.format(spec=spec))

    assert (3, message) == (line, said)


@pytest.mark.parametrize(
    "content",
    [
        POLICY.format(action=UPDATE, spec="{conditions: {}, expires_after: 1d12h, bypass_levels: [admin, 4]}"),
        POLICY.format(action=UPDATE, spec="{conditions: {type: any_change, field: release_conditions}}"),
        POLICY.format(action=UPDATE, spec="{approvers: {quorum: 2, users: [a@b.c], roles: [A]}}"),
        FLAG.format(spec="{filters: {groups: [{variant: x, sort_key: 1, users_affected: 3}], " + VARIANTS + "}}"),
        FLAG.format(spec="{filters: {super_groups: [], holdout_groups: null, feature_enrollment: true}}"),
        FLAG.format(spec="{filters: {payloads: {true: {a: 1}}, multivariate: null}}"),
        FLAG.format(spec="{filters: {multivariate: {variants: [{key: a, rollout_percentage: 33.33}, {key: b, rollout_percentage: 33.33}, {key: c, rollout_percentage: 33.34}]}}}"),
    ],
)  # fmt: skip
def test_what_is_neither_odd_nor_wrong_is_silent(folder, content):
    """Also keys that we do not know."""
    assert warnings(folder, content) == []


VALUE = "{{filters: {{groups: [{{properties: [{{key: a, type: person, value: {}}}]}}]}}}}"


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ("no", 'quote it: "no", or write `false`'),
        ("On", 'quote it: "On", or write `true`'),
        ("010", 'quote it: "010", or write the intended number'),
        ("1_000", 'quote it: "1_000", or write the intended number'),
        ("[5, 12:30]", 'quote it: "12:30", or write the intended number'),
    ],
)
def test_text_that_older_readers_read_otherwise_is_reported_in_free_values(folder, value, fix):
    """It could be meant as either; elsewhere the type of the field decides."""
    folder.write({"a.yaml": FLAG.format(spec=VALUE.format(value))})
    (finding,) = folder.load().declared.findings

    assert (finding.code, finding.fix) == ("R028", fix)


@pytest.mark.parametrize(
    "value", ['"no"', "['on', \"010\"]", "yesterday", "5", "true", "2026-01-01"]
)
def test_text_that_is_quoted_is_meant(folder, value):
    """And what nobody misreads is not told."""
    assert warnings(folder, FLAG.format(spec=VALUE.format(value))) == []


def test_a_warning_shows_the_line_and_names_the_resource(folder):
    """Like an error."""
    content = FLAG.format(spec="{filters: {group: []}}")
    (finding,) = folder.write({"a.yaml": content}).load().declared.findings

    assert str(finding.address) == "FeatureFlag/acme/Web/a"
    assert finding.excerpt == "spec: {filters: {group: []}}"
