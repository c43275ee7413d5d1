"""Names that people would misread: in documents, and where documents name people and roles."""

import json

import pytest

from reconciler.files.text import find_hidden_character

ROLE = "kind: Role\nmetadata: {{organization: acme, name: {}}}\nspec: {{members: {}}}\n---\n"
MEMBER = "kind: Member\nmetadata: {{organization: acme, email: {}}}\n---\n"
PROJECT = "kind: Project\nmetadata: {{organization: acme, name: {}}}\n---\n"
FLAG = "kind: FeatureFlag\nmetadata: {{organization: acme, project: {}, key: {}}}\n---\n"
POLICY = """\
kind: ApprovalPolicy
metadata: {{organization: acme, project: Web, action: feature_flag.update}}
spec:
  approvers: {{quorum: 1, users: [{users}], roles: [{roles}]}}
  bypass_roles: [{bypass}]
---
"""


def said(folder, text):
    """Code, severity and message of everything that is said."""
    folder.write({"a.yaml": text})
    try:
        found = folder.load().declared.findings
    except Exception as error:  # noqa: BLE001  a ConfigError; anything else has no findings
        found = error.findings
    return [(one.code, one.severity.value, one.message) for one in found]


@pytest.mark.parametrize(
    "text", ["🛡️ Admins", "👩‍💻 Devs", "1️⃣", "⚠️", "👨🏽‍💻", "👨‍👩‍👧", "❤️", "日本語", "Café", ""]
)
def test_what_shows_is_not_hidden(text):
    """Emoji are made of characters that hide elsewhere."""
    assert find_hidden_character(text) == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a\ufe0f", "U+FE0F"),
        ("1\ufe0f", "U+FE0F"),
        ("🛡\ufe0f\ufe0f", "U+FE0F"),
        ("a\u200db", "U+200D"),
        ("💻\u200d", "U+200D"),
        ("\u200d💻", "U+200D"),
        ("🛡️\u200b", "U+200B"),
        ("a\x07", "U+0007"),
        ("a\u202eb", "U+202E"),
    ],
)
def test_what_does_not_show_is_hidden(text, found):
    """Also beside an emoji."""
    assert find_hidden_character(text) == found


@pytest.mark.parametrize(
    "text",
    [
        ROLE.format("A", '["alice@acme.test\\u200b"]'),
        POLICY.format(users='"a\\u202e@acme.test"', roles="", bypass=""),
        POLICY.format(users="a@acme.test", roles='"R\\u200b"', bypass=""),
        POLICY.format(users="a@acme.test", roles="", bypass='"R\\u0007"'),
        'kind: Organization\nmetadata: {organization: acme}\nspec: {default_role: "R\\u202e"}\n',
    ],
)
def test_a_name_that_is_referred_to_hides_nothing(folder, text):
    """People and roles, wherever they are named."""
    (found,) = said(folder, text)

    assert found[:2] == ("R012", "error")
    assert "which cannot be seen" in found[2]


@pytest.mark.parametrize(
    "text",
    [
        MEMBER.format("alice@acme.test") + ROLE.format("A", '["\\u0430lice@acme.test"]'),
        ROLE.format("A", '[alice@acme.test, "\\u0430lice@acme.test"]'),
        ROLE.format("Keepers", "[]")
        + POLICY.format(users="a@b.c", roles='"\\u041aeepers"', bypass=""),
        ROLE.format('"\\u041aeepers"', "[]")
        + POLICY.format(users="a@b.c", roles="Keepers", bypass="")
        + ROLE.format("Keepers", "[]"),
        ROLE.format("🛡 A", "[]") + ROLE.format("🛡️ A", "[]"),
        ROLE.format("Night  watch", "[]") + ROLE.format("Night watch", "[]"),
        ROLE.format('"caf\\u00e9"', "[]") + ROLE.format('"cafe\\u0301"', "[]"),
        PROJECT.format('"Web\\u00a0Shop"') + PROJECT.format("Web Shop"),
    ],
)
def test_a_name_that_looks_like_another_is_an_error(folder, text):
    """Declared, or named beside it: nobody could see who is meant."""
    found = said(folder, text)

    assert ("R012", "error") in {one[:2] for one in found}
    assert any("looks like another one" in one[2] for one in found)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        (ROLE.format('" A"', "[]"), 38),
        (ROLE.format('"A\\u00a0"', "[]"), 38),
        (PROJECT.format('"Web "'), 38),
        (FLAG.format('" Web"', "a"), 41),
        (POLICY.format(users="a@b.c", roles='"Keepers "', bypass=""), 50),
        ('kind: Organization\nmetadata: {organization: acme}\nspec: {default_role: " R"}\n', 22),
        ("kind: Organization\nmetadata: {organization: Acme}\n", 26),
        (FLAG.replace("acme", "ACME").format("Web", "a"), 26),
        (f"kind: Organization\nmetadata: {{organization: {'a' * 49}}}\n", 26),
    ],
)
def test_a_name_that_posthog_would_not_keep_is_an_error(folder, text, column):
    """PostHog trims names, and its slugs are short and in lower case."""
    (found,) = folder.write({"a.yaml": text}).errors()

    assert (found.code, found.severity.value, found.source.column) == ("R018", "error", column)


def test_the_same_person_in_another_case_is_the_same_person(folder):
    """Also beyond ASCII."""
    assert said(folder, MEMBER.format("É@acme.test") + ROLE.format("A", "[é@acme.test]")) == []


@pytest.mark.parametrize(
    "text",
    [
        FLAG.format("Web", "beta") + FLAG.format("Web", "Beta"),
        PROJECT.format("Web") + PROJECT.format("web"),
    ],
)
def test_names_that_differ_in_case_only_are_a_warning(folder, text):
    """PostHog keeps them apart; a person who types one does not."""
    ((code, severity, message),) = said(folder, text)

    assert (code, severity) == ("R012", "warning")
    assert "differ in case only" in message
    assert said(folder, FLAG.format("Web", "beta") + FLAG.format("Mobile", "Beta")) == []


@pytest.mark.parametrize("project", ['"*"', '"!Sandbox"', '"We*"'])
def test_a_selector_where_one_project_is_named_is_a_warning(folder, project):
    """It is not what it looks like."""
    folder.write({"a.yaml": FLAG.format(project, "a")})
    (finding,) = folder.load().declared.findings

    assert (finding.code, finding.source.column) == ("R013", 41)
    assert f"projects: [{json.dumps(json.loads(project))}]" in finding.fix
