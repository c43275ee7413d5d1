"""Each check, by its code: something that it finds, and what a silence with a reason does to it."""

import pytest

from reconciler.config.documents.target_names import PLAIN_NAMES, TargetNames
from reconciler.config.lint.codes import CHECKS, LIVE, can_be_silenced
from reconciler.errors import ConfigError

OFFLINE = [code for code in CHECKS if code not in LIVE]
SILENCE = ", silence: [{{check: {}, reason: it is meant}}]"
UPDATE = "organization: acme, project: Web, action: feature_flag.update"
FLAG = "organization: acme, project: Web, key: a"
APPROVERS = "{quorum: 1, users: [a@b.c]}"
KEY = "phx_" + "a1B2" * 8


def document(kind, metadata, spec="{}"):
    """One document whose metadata a silence is put into, where `S` stands."""
    return f"kind: {kind}\nmetadata: {{{metadata}S}}\nspec: {spec}\n---\n"


def flag(spec="{}", metadata=FLAG):
    """A flag."""
    return document("FeatureFlag", metadata, spec)


def policy(spec, action="feature_flag.update"):
    """A policy."""
    return document("ApprovalPolicy", UPDATE.replace("feature_flag.update", action), spec)


def plain(kind, metadata, spec="{}"):
    """A document beside it, without a silence."""
    return document(kind, metadata, spec).replace("S}", "}", 1)


FOUND = {
    "R001": flag("[") + "x: [",
    "R002": flag("{name: a, name: b}"),
    "R003": flag().replace("FeatureFlag", "FeatureFlags"),
    "R004": flag("{nome: a}"),
    "R005": flag("{active: no}"),
    "R006": document("FeatureFlag", "organization: acme, key: a"),
    "R007": flag() + plain("FeatureFlag", FLAG),
    "R008": document("Organization", "organization: acme", "{default_role: Engineerz}")
    + plain("Role", "organization: acme, name: Engineers"),
    "R009": flag("{filters: " + "[" * 70 + "]" * 70 + "}"),
    "R010": "# nothing\n",
    "R011": flag("{name: !x a}"),
    "R012": document("Role", 'organization: acme, name: "a\\u200b"'),
    "R013": flag(metadata="organization: acme, projects: ['!Web'], key: a"),
    "R014": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n",
    "R015": document("Role", "organization: acme, name: A, lifecycle: {renamed_from: A}"),
    "R016": document("Role", "organization: acme, name: A, lifecycle: {renamed_from: B}")
    + plain("Role", "organization: acme, name: B"),
    "R017": flag(f"{{name: {KEY}}}"),
    "R018": document("Role", 'organization: acme, name: " A"'),
    "R019": document("Project", "organization: acme, name: A", "{timezone: Mars/Olympus}"),
    "R020": policy(f"{{approvers: {APPROVERS}}}", action="deploy"),
    "R021": policy("{approvers: {quorum: 2, users: [a@b.c]}}"),
    "R022": policy(f"{{approvers: {APPROVERS}, conditions: {{type: odd}}}}"),
    "R023": flag("{active: true, archived: true}"),
    "R024": policy(f"{{approvers: {APPROVERS}, bypass_levels: [member]}}"),
    "R025": flag(metadata=f"{FLAG}, silence: [{{check: R020, reason: x}}]").replace("S}", "}"),
    "R026": policy("{approvers: {quorum: 1, roles: [R]}}"),
    "R027": flag("{filters: {multivariate: {variants: [{key: a, rollout_percentage: 5}]}}}"),
    "R028": flag("{filters: {groups: [{properties: [{key: a, type: person, value: no}]}]}}"),
    "R029": flag(
        "{filters: {groups: [{properties: [{key: id, type: cohort, operator: in, value: 7}]}]}}",
        "organization: acme, projects: ['*'], key: a",
    )
    + plain("Project", "organization: acme, name: Web"),
    "R040": flag("{tags: []}")
    + plain(
        "Project", "organization: acme, name: Web", "{feature_flag_policy: {require_tags: true}}"
    ),
    "R050": document("Role", "organization: other, name: A"),
    "R051": document("Project", "organization: acme, name: Web staging"),
}
OF_A_TARGET = ("R050", "R051")
NAMES = TargetNames("staging", "acme", {"Web": "Web staging"})


def codes(folder, text, names=PLAIN_NAMES):
    """Every code that is said, and how many findings were silenced."""
    folder.write({"a.yaml": text})
    try:
        loaded = folder.load(names=names)
    except ConfigError as error:
        return {finding.code for finding in error.findings}, 0
    return {finding.code for finding in loaded.declared.findings}, loaded.silences.silenced


def test_every_offline_check_is_here():
    """A new one needs its line."""
    assert list(FOUND) == OFFLINE


@pytest.mark.parametrize("code", OFFLINE)
def test_a_check_finds_what_it_is_about(folder, code):
    """Under its own code."""
    names = NAMES if code in OF_A_TARGET else PLAIN_NAMES
    found, silenced = codes(folder, FOUND[code].replace("S}", "}", 1), names)

    assert code in found
    assert silenced == 0


@pytest.mark.parametrize("code", [code for code in OFFLINE if can_be_silenced(code)])
def test_it_is_silent_where_the_resource_says_why(folder, code):
    """Counted, and nothing else is hidden with it."""
    found, silenced = codes(folder, FOUND[code].replace("S}", SILENCE.format(code) + "}", 1))

    assert found == set()
    assert silenced >= 1


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("R004", policy("{approvers: {quorum: 1, users: [a@b.c], role: [R]}}")),
        (
            "R013",
            flag(metadata="organization: acme, projects: [Wep], key: a")
            + plain("Project", "organization: acme, name: Web"),
        ),
    ],
)
def test_a_check_that_is_an_error_elsewhere_is_silent_where_it_warns(folder, code, text):
    """What is only odd may be meant; nobody is told that it cannot be silenced."""
    assert codes(folder, text.replace("S}", SILENCE.format(code) + "}", 1)) == (set(), 1)


@pytest.mark.parametrize("code", [code for code in OFFLINE if not can_be_silenced(code)])
def test_what_makes_a_document_unusable_is_never_silent(folder, code):
    """Whatever it says."""
    names = NAMES if code in OF_A_TARGET else PLAIN_NAMES
    text = FOUND[code].replace("S}", SILENCE.format(code) + "}", 1)
    found, silenced = codes(folder, text, names)

    assert code in found
    assert silenced == 0
