"""What people read when files are wrong: golden texts, one a code."""

import pytest

from reconciler.config.lint.codes import CHECKS
from reconciler.errors import ConfigError
from reconciler.files import text

KEY = "phx_" + "a1B2" * 8
GOLDEN = {
    "R001": (
        "kind: Role\nmetadata: {organization: acme, name: A\n",
        """\
R001 a.yaml:2:11: not YAML: did not find expected ',' or '}'
| metadata: {organization: acme, name: A
|           ^
why: while parsing a flow mapping
fix: close the bracket""",
    ),
    "R002": (
        "kind: Role\nmetadata: {organization: acme, name: A}\nspec: {}\nspec: {members: []}\n",
        """\
R002 a.yaml:4:1: the key "spec" is written twice
| spec: {members: []}
| ^^^^
why: it is on line 3 (column 1) already
fix: remove one of the two""",
    ),
    "R003": (
        "kind: Rolle\nmetadata: {organization: acme, name: A}\n",
        """\
R003 a.yaml:1:7: unknown kind "Rolle"
| kind: Rolle
|       ^^^^^
fix: did you mean "Role"?""",
    ),
    "R003 missing": (
        "metadata: {organization: acme, name: A}\n",
        """\
R003 a.yaml:1:1: the document has no `kind`
| metadata: {organization: acme, name: A}
| ^^^^^^^^
fix: add `kind:` with one of Organization, Project, Role, Member, ProjectAccess, ApprovalPolicy, \
ExperimentHoldout, FeatureFlag""",
    ),
    "R004": (
        """\
kind: ApprovalPolicy
metadata: {organization: acme, project: Web, action: feature_flag.update}
spec:
  aprovers: {quorum: 1, users: [a@acme.test]}
""",
        """\
R004 a.yaml:4:3: `spec` has no field "aprovers"
|   aprovers: {quorum: 1, users: [a@acme.test]}
|   ^^^^^^^^
fix: did you mean "approvers"?""",
    ),
    "R004 API name": (
        """\
kind: ApprovalPolicy
metadata: {organization: acme, project: Web, action: feature_flag.update}
spec: {bypass_org_membership_levels: [owner]}
""",
        """\
R004 a.yaml:3:8: `spec` has no field "bypass_org_membership_levels"
| spec: {bypass_org_membership_levels: [owner]}
|        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
fix: did you mean "bypass_levels"?""",
    ),
    "R004 elsewhere": (
        "kind: FeatureFlag\nmetadata: {organization: acme, project: Web, name: a}\n",
        """\
R006 a.yaml:2:11: `metadata` has no `key`
| metadata: {organization: acme, project: Web, name: a}
|           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
why: Key of the flag (API: `key`): what code asks for. Unique in the project.
fix: add `key: …`
R004 a.yaml:2:46: `metadata` has no field "name"
| metadata: {organization: acme, project: Web, name: a}
|                                              ^^^^
fix: move it under `spec`""",
    ),
    "R005": (
        """\
kind: ApprovalPolicy
metadata: {organization: acme, project: Web, action: feature_flag.update}
spec:
  enabled: no  # off
""",
        """\
R005 a.yaml:4:12: `spec.enabled` needs true or false, not the text "no"
|   enabled: no  # off
|            ^^
why: In YAML 1.2 only `true` and `false` are booleans
fix: write `false`""",
    ),
    "R005 choice": (
        "kind: Member\nmetadata: {organization: acme, email: a@acme.test}\nspec: {level: Admin}\n",
        """\
R005 a.yaml:3:15: `spec.level` cannot be "Admin"
| spec: {level: Admin}
|               ^^^^^
why: allowed: member, admin, owner
fix: did you mean "admin"?""",
    ),
    "R005 duration": (
        """\
kind: ApprovalPolicy
metadata: {organization: acme, project: Web, action: feature_flag.update}
spec: {expires_after: 14}
""",
        """\
R005 a.yaml:3:23: `spec.expires_after` needs text, not the number 14
| spec: {expires_after: 14}
|                       ^^
fix: write a duration such as `14d`, `36h`, `90m`, `1d12h`: a number with w, d, h, m or s""",
    ),
    "R006": (
        "kind: FeatureFlag\nmetadata:\n  organization: acme\n  key: a\n",
        """\
R006 a.yaml:3:3: `metadata` has neither `project` nor `projects`
|   organization: acme
|   ^^^^^^^^^^^^
fix: write `project: NAME`, or `projects: ["*"]` for all of them""",
    ),
    "R007": (
        """\
kind: Role
metadata: {organization: acme, name: A}
---
kind: Role
metadata: {organization: acme, name: a}
""",
        """\
R007 a.yaml:4:1: Role/acme/a is declared twice
| kind: Role
| ^^^^
why: it is declared at a.yaml:1:1 already
fix: remove one of the two, or give one another name""",
    ),
    "R008": (
        """\
kind: Role
metadata: {organization: acme, name: Release managers}
---
kind: ApprovalPolicy
metadata: {organization: acme, project: Web, action: feature_flag.update}
spec:
  approvers:
    quorum: 1
    users: [a@acme.test]
    roles: [Release manager]
""",
        """\
R008 a.yaml:10:13: no role is called "Release manager"
|     roles: [Release manager]
|             ^^^^^^^^^^^^^^^
why: the files declare no role of this name
fix: did you mean "Release managers" (a.yaml:1:1)?""",
    ),
    "R009": (
        "a: " + "[" * 70 + "]" * 70 + "\n",
        f"""\
R009 a.yaml:1:67: nested deeper than {text.MAX_DEPTH} levels
| a: {"[" * 70}{"]" * 70}
|    {" " * 63}^
fix: flatten it""",
    ),
    "R010": (
        "# nothing yet\n",
        """\
R010 a.yaml:1:1: no document in this file
| # nothing yet
| ^
fix: remove the file, or write a document into it""",
    ),
    "R011": (
        "kind: !!str Role\nmetadata: {organization: acme, name: A}\n",
        """\
R011 a.yaml:1:7: the tag !!str is not allowed
| kind: !!str Role
|       ^^^^^^^^^^
why: values are plain text, numbers, true, false, null, lists and mappings
fix: remove the tag; quote the value to make it text""",
    ),
    "R012": (
        'kind: Role\nmetadata: {organization: acme, name: "A\\u200b"}\n',
        """\
R012 a.yaml:2:38: the name 'A\\u200b' has the character U+200B, which cannot be seen
| metadata: {organization: acme, name: "A\\u200b"}
|                                      ^^^^^^^^^
fix: type the name again""",
    ),
    "R013": (
        'kind: FeatureFlag\nmetadata: {organization: acme, projects: ["!Web"], key: a}\n',
        """\
R013 a.yaml:2:42: `projects` only excludes, and includes nothing
| metadata: {organization: acme, projects: ["!Web"], key: a}
|                                          ^^^^^^^^
fix: put "*" first""",
    ),
    "R014": (
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        """\
R014 a.yaml:1:1: a pointer of Git LFS, not the file itself
| version https://git-lfs.github.com/spec/v1
| ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
fix: run `git lfs pull`, or keep configuration out of LFS""",
    ),
    "R015": (
        """\
kind: Role
metadata: {organization: acme, name: A, lifecycle: {renamed_from: B}}
---
kind: Role
metadata: {organization: acme, name: B, lifecycle: {renamed_from: A}}
""",
        """\
R015 a.yaml:1:1: renamed into each other: A → B → A
| kind: Role
| ^^^^
why: each needs the other to exist first
fix: break the cycle""",
    ),
    "R016": (
        """\
kind: Role
metadata: {organization: acme, name: Captains, lifecycle: {renamed_from: Pilots}}
---
kind: Role
metadata: {organization: acme, name: pilots}
""",
        """\
R016 a.yaml:2:74: "Pilots" is renamed to "Captains", and declared again
| metadata: {organization: acme, name: Captains, lifecycle: {renamed_from: Pilots}}
|                                                                          ^^^^^^
why: until the rename is applied, the document at a.yaml:4:1 means the same object
fix: apply the rename first; where it is applied, remove `renamed_from`""",
    ),
    "R017": (
        f"kind: Project\nmetadata: {{organization: acme, name: A}}\nspec: {{}} # {KEY}\n",
        f"""\
R017 a.yaml:3:12: this looks like a secret key of PostHog (phx_…)
| spec: {{}} # {KEY}
|            {"^" * len(KEY)}
why: everybody who can read the repository can use it, even after it is removed
fix: revoke it in PostHog, and keep the new one in an environment variable""",
    ),
    "R018": (
        'kind: Role\nmetadata: {organization: acme, name: "Reviewers "}\n',
        """\
R018 a.yaml:2:38: the name "Reviewers\\u0020" starts or ends with a space
| metadata: {organization: acme, name: "Reviewers "}
|                                      ^^^^^^^^^^^^
why: PostHog cuts it off, so nothing ever has this name
fix: write Reviewers""",
    ),
    "R019": (
        "kind: Project\nmetadata: {organization: acme, name: A}\nspec: {timezone: europe/berlin}\n",
        """\
R019 a.yaml:3:18: unknown time zone "europe/berlin"
| spec: {timezone: europe/berlin}
|                  ^^^^^^^^^^^^^
why: PostHog takes the names of the tz database, in their exact spelling
fix: did you mean "Europe/Berlin"?""",
    ),
    "R019 text": (
        """\
kind: FeatureFlag
metadata: {organization: acme, project: Web, key: a}
spec: {name: "a\\0"}
""",
        """\
R019 a.yaml:3:14: the text has the character U+0000, which no server can store
| spec: {name: "a\\0"}
|              ^^^^^
why: PostHog refuses it
fix: remove the character""",
    ),
}


@pytest.mark.parametrize(("content", "golden"), GOLDEN.values(), ids=GOLDEN)
def test_a_message_says_what_where_why_and_what_to_do(folder, shown, content, golden):
    """With the line, and a caret under what is wrong."""
    folder.write({"a.yaml": content})

    assert golden == shown(folder.errors())


def test_every_code_that_refuses_files_has_a_golden_message():
    """And every code is registered with a line about it."""
    refusals = {code for code in CHECKS if code < "R020"}

    assert refusals == {name.split()[0] for name in GOLDEN}
    assert all(CHECKS.values())


def test_all_errors_of_all_files_come_together_sorted_by_place(folder):
    """Ten bad documents are one run, not ten."""
    folder.write(
        {
            "b.yaml": "kind: Role\nmetadata: {organization: acme}\nspec: {x: 1, members: a}\n",
            "a.yaml": "kind: Nothing\n---\nkind: Role\nkind: Role\n",
            "c/d.yaml": "a: [",
        }
    )
    with pytest.raises(ConfigError) as caught:
        folder.load()
    found = [(finding.code, str(finding.source)) for finding in caught.value.findings]

    assert [
        ("R003", "a.yaml:1:7"),
        ("R006", "a.yaml:3:1"),
        ("R002", "a.yaml:4:1"),
        ("R006", "b.yaml:2:11"),
        ("R004", "b.yaml:3:8"),
        ("R005", "b.yaml:3:23"),
        ("R001", "c/d.yaml:1:4"),
    ] == found
    assert caught.value.what == "7 errors in the files"


def test_errors_of_a_document_name_its_address(folder):
    """As far as it has one."""
    folder.write({"a.yaml": "kind: Role\nmetadata: {organization: acme, name: A}\nspec: {x: 1}\n"})
    (finding,) = folder.errors()

    assert str(finding.address) == "Role/acme/A"


def test_what_two_validators_see_differently_is_refused_all_the_same(folder):
    """Python's `$` lets a line end pass, the quick validator does not."""
    content = 'kind: FeatureFlag\nmetadata: {organization: acme, project: Web, key: "a\\n"}\n'
    (finding,) = folder.write({"a.yaml": content}).errors()

    assert (finding.code, str(finding.source)) == ("R005", "a.yaml:2:51")


def test_a_long_line_is_cut_and_a_caret_stays_within_it(folder):
    """A value of a megabyte does not flood the terminal."""
    folder.write(
        {"a.yaml": f"kind: Role\nmetadata: {{organization: acme, name: A}}\nx: {'a' * 2000}\n"}
    )
    (finding,) = folder.errors()

    assert len(finding.excerpt) == 400
    assert finding.width == 1


ODD = [
    ("version: 1\ntargets: {}\n", "R003", "settings are read from a file reconciler.yaml above"),
    ("kind: [Role]\n", "R003", "write one of Organization, Project"),
    ("kind:\n", "R003", "write one of Organization, Project"),
    ("kind: Role\n<<<<<<< HEAD\nspec: {}\n=======\n", "R001", "keep one side, and remove"),
    ('kind: "\\ud83d\\ude00"\n', "R001", "write the character itself"),
    ("[" * 5000, "R009", "flatten it"),
    ("kind: Role\nmetadata: {organization: acme, name: !!int 5}\n", "R005", 'quote it: "5"'),
    ("kind: Role\n".encode("utf-16-le"), "R001", "save it as UTF-8"),
    ("kind: Role\n".encode("utf-16-be"), "R001", "save it as UTF-8"),
]


@pytest.mark.parametrize(("content", "code", "fix"), ODD)
def test_what_is_often_seen_has_a_message_of_its_own(folder, content, code, fix):
    """Each with what to do."""
    findings = folder.write({"a.yaml": content}).errors()

    assert code in {finding.code for finding in findings}
    assert any(fix in finding.fix for finding in findings)


def test_a_thousand_refused_documents_are_explained_and_no_more(folder):
    """The rest is counted in one line."""
    folder.write({"a.yaml": "kind: Role\n---\n" * 1200})
    findings = folder.errors()

    assert len(findings) == 1001
    assert findings[-1].code == "R009"
