"""Paths become resources: addresses, normal forms, duplicates, references, warnings."""

import gc
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.config import loader
from reconciler.files import working_tree
from reconciler.model import Address, Lifecycle, Severity, Source

ACME = """\
kind: Organization
metadata:
  organization: acme
spec:
  name: Acme
  default_role: Release managers
---
kind: Project
metadata: {organization: acme, name: Web}
---
kind: Role
metadata: {organization: acme, name: Release managers}
spec:
  members: [bob@acme.test, alice@acme.test, bob@acme.test]
---
kind: Member
metadata: {organization: acme, email: alice@acme.test}
spec: {level: admin}
---
kind: ApprovalPolicy
metadata: {organization: acme, project: Web, action: feature_flag.update}
spec:
  approvers:
    quorum: 1
    users: [alice@acme.test]
    roles: [Release managers]
  expires_after: 336h
---
kind: FeatureFlag
metadata: {organization: acme, project: Web, key: new-checkout}
spec:
  tags: [b, a]
  filters:
    groups:
      - rollout_percentage: 50
"""


def test_each_kind_gets_its_address(folder):
    """Kind/organization[/project]/name."""
    declared = folder.write({"a.yaml": ACME}).load().declared

    assert [
        "Organization/acme",
        "Project/acme/Web",
        "Role/acme/Release managers",
        "Member/acme/alice@acme.test",
        "ApprovalPolicy/acme/Web/feature_flag.update",
        "FeatureFlag/acme/Web/new-checkout",
    ] == [str(address) for address in declared.resources]
    assert declared.origin == "working tree"
    assert declared.findings == ()


def test_specs_are_in_normal_form_and_what_was_written_is_kept_with_places(folder):
    """Sets sorted, durations in one spelling; places are those of the file."""
    declared = folder.write({"a.yaml": ACME}).load().declared
    policy = declared.resources[Address.parse("ApprovalPolicy/acme/Web/feature_flag.update")]
    role = declared.resources[Address.parse("Role/acme/Release managers")]

    assert policy.spec["expires_after"] == "14d"
    assert role.spec["members"] == ["alice@acme.test", "bob@acme.test"]
    assert policy.written["expires_after"] == "336h"
    assert policy.source == Source("a.yaml", 20, 1)
    assert policy.locate(("approvers", "roles", 0)) == Source("a.yaml", 26, 13)
    assert policy.locate(("enabled",)) == policy.source


def test_a_spec_may_be_missing_or_empty(folder):
    """Then nothing but the resource's existence is managed."""
    content = """\
        kind: Project
        metadata: {organization: acme, name: Web}
        ---
        kind: Project
        metadata: {organization: acme, name: Mobile}
        spec:
        ---
        """
    declared = folder.write({"a.yaml": content}).load().declared

    assert [{}, {}] == [resource.spec for resource in declared.resources.values()]


def test_lifecycle_and_id_are_read(folder):
    """And are no part of the spec."""
    content = """\
        kind: FeatureFlag
        metadata:
          organization: acme
          project: Web
          key: new
          id: 42
          lifecycle:
            prevent_destroy: true
            ignore: ["filters.groups[0].rollout_percentage", tags]
            state: absent
            renamed_from: old
        """
    (resource,) = folder.write({"a.yaml": content}).load().declared.resources.values()

    assert resource.id == "42"
    assert (
        Lifecycle(
            prevent_destroy=True,
            ignore=("filters.groups[0].rollout_percentage", "tags"),
            absent=True,
            renamed_from="old",
        )
        == resource.lifecycle
    )


def test_ignoring_a_field_that_there_is_not_is_an_error(folder, shown):
    """A typo there would silently manage the field."""
    content = """\
        kind: FeatureFlag
        metadata:
          organization: acme
          project: Web
          key: new
          lifecycle: {ignore: [filter.groups, tags]}
        """
    assert shown(folder.write({"a.yaml": content}).errors()).splitlines() == [
        'R004 a.yaml:6:24: `spec` has no field "filter"',
        "|   lifecycle: {ignore: [filter.groups, tags]}",
        "|                        ^^^^^^^^^^^^^",
        'fix: did you mean "filters"?',
    ]


def test_names_with_slashes_are_encoded_in_addresses_only(folder):
    """`/` and `%` in a name."""
    content = "kind: Role\nmetadata: {organization: acme, name: A/B 50%}\n"
    (resource,) = folder.write({"a.yaml": content}).load().declared.resources.values()

    assert resource.address.name == "A/B 50%"
    assert str(resource.address) == "Role/acme/A%2FB 50%25"


def test_files_are_found_at_any_depth_in_a_stable_order(folder):
    """Hidden ones, other suffixes and reconciler.yaml are passed over."""
    role = "kind: Role\nmetadata: {{organization: acme, name: {}}}\n"
    names = ["b/c/d.yml", "a.yaml", "b/a.yaml", "z.yaml"]
    skipped = [".hidden.yaml", ".github/workflows/x.yaml", "b/.x/y.yml", "notes.md", "a.yaml.bak"]
    folder.write({name: role.format(name.replace("/", "-")) for name in names})
    folder.write(dict.fromkeys(skipped, "not: ours"))
    folder.write({"reconciler.yaml": "version: 1", "b/reconciler.yaml": "version: 1"})

    found = folder.load().declared.resources

    assert ["a.yaml", "b-a.yaml", "b-c-d.yml", "z.yaml"] == [address.name for address in found]


def test_a_file_that_is_named_outright_is_read_whatever_its_name(folder):
    """Hidden, or with another suffix."""
    folder.write({".x/role.txt": "kind: Role\nmetadata: {organization: acme, name: A}\n"})

    assert folder.load(".x/role.txt").declared.resources


def test_a_file_is_read_once_however_often_it_is_named(folder):
    """Overlapping paths are no duplicates."""
    folder.write({"a/b.yaml": "kind: Role\nmetadata: {organization: acme, name: A}\n"})

    assert len(folder.load("a", "a/b.yaml", ".").declared.resources) == 1


@pytest.mark.parametrize(
    ("contents", "path", "said"),
    [
        ({}, "config", "config:1:1: no such file or folder"),
        ({"config/x.md": ""}, "config", "config:1:1: no YAML file in this folder"),
        ({"a.yaml": ""}, ".", "a.yaml:1:1: no document in this file"),
        ({"a.yaml": "\n  \n"}, ".", "a.yaml:1:1: no document in this file"),
        ({"a.yaml": "# kind: Role\n\n  # - x\n"}, ".", "a.yaml:1:1: no document in this file"),
        ({"a.yaml": "# x\n---\n---\n"}, ".", "a.yaml:1:1: no document in this file"),
        ({"reconciler.yaml": "version: 1"}, ".", ".:1:1: no YAML file in this folder"),
    ],
)
def test_nothing_is_never_taken_for_an_empty_configuration(folder, contents, path, said):
    """What cannot be read must not delete anything."""
    (finding,) = folder.write(contents).errors(path)

    assert finding.code == "R010"
    assert said == f"{finding.source}: {finding.message}"


def test_one_unusable_path_does_not_hide_the_errors_of_others(folder):
    """All are told."""
    folder.write({"a.yaml": "kind: Nope\n", "b/c.yaml": ""})

    assert ["R003", "R010", "R010"] == [f.code for f in folder.errors("a.yaml", "b", "nowhere")]


def test_documents_that_are_no_mappings_are_errors(folder):
    """Lists, text, numbers, and a null that was written out."""
    findings = folder.write({"a.yaml": "- a\n---\ntext\n---\n1\n---\nnull\n"}).errors()

    assert [("R005", 1), ("R005", 3), ("R005", 5), ("R005", 7)] == [
        (finding.code, finding.source.line) for finding in findings
    ]


def test_the_same_resource_in_two_files_is_an_error_that_names_both(folder):
    """Where the server folds case, so do we."""
    flag = "kind: FeatureFlag\nmetadata: {{organization: acme, project: Web, key: {}}}\n"
    member = "kind: Member\nmetadata: {{organization: acme, email: {}}}\n"
    folder.write(
        {
            "a.yaml": flag.format("one") + "---\n" + member.format("a@acme.test"),
            "b.yaml": flag.format("one") + "---\n" + member.format("A@acme.test"),
            "c.yaml": flag.format("ONE"),
        }
    )
    findings = folder.errors()

    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    assert ["b.yaml:1:1", "b.yaml:4:1"] == [str(finding.source) for finding in errors]
    assert findings[0].why == "it is declared at a.yaml:1:1 already"


REFERENCE = """\
kind: Organization
metadata: {{organization: acme-corp}}
spec: {{default_role: {role}}}
---
kind: Project
metadata: {{organization: acme-corp, name: Website}}
---
kind: Role
metadata:
  organization: acme-corp
  name: Release managers
  lifecycle: {{renamed_from: Releasers}}
spec: {{members: [alise@acme.test]}}
---
kind: Member
metadata: {{organization: acme-corp, email: alice@acme.test}}
---
kind: FeatureFlag
metadata: {{organization: {organization}, project: {project}, key: a}}
"""


@pytest.mark.parametrize(
    ("changed", "meant"),
    [
        ({}, None),
        ({"role": "Release manager"}, "Release managers"),
        ({"role": "release managers"}, None),  # the server folds case
        ({"role": "Releasers"}, None),  # the name it is renamed from
        ({"role": "Anyone else"}, None),  # may be live without being declared
        ({"project": "Wbesite"}, "Website"),
        ({"project": "Mobile"}, None),
        ({"organization": "acme-crop"}, "acme-corp"),
        ({"organization": "umbrella"}, None),
    ],
)
def test_only_a_slip_of_a_declared_name_is_an_error_offline(folder, changed, meant):
    """Whatever else is named may be live; people are never guessed at."""
    names = {"role": "Release managers", "project": "Website", "organization": "acme-corp"}
    folder.write({"a.yaml": REFERENCE.format(**(names | changed))})

    if meant is None:
        assert folder.load().declared.findings == ()
    else:
        (finding,) = folder.errors()
        assert finding.code == "R008"
        assert f'did you mean "{meant}"' in finding.fix


def test_names_that_differ_in_digits_only_are_no_slips(folder):
    """Team 1 and Team 2 are two teams."""
    content = """\
        kind: Role
        metadata: {organization: acme, name: Team 1}
        ---
        kind: Organization
        metadata: {organization: acme}
        spec: {default_role: Team 2}
        """
    assert folder.write({"a.yaml": content}).load().declared.findings == ()


def test_no_slip_is_seen_while_something_cannot_be_read(folder):
    """The name may be declared in what is missing."""
    content = """\
        kind: Role
        metadata: {organization: acme, name: Release managers}
        ---
        kind: Organization
        metadata: {organization: acme}
        spec: {default_role: Release manager}
        """
    findings = folder.write({"a.yaml": content, "b.yaml": "kind: [\n"}).errors()

    assert ["R001"] == [finding.code for finding in findings]


def test_a_role_that_has_errors_is_declared_all_the_same(folder):
    """One mistake is one error."""
    content = """\
        kind: Role
        metadata: {organization: acme, name: Release managers}
        spec: {members: nobody}
        ---
        kind: Role
        metadata: {organization: acme, name: Release manager}
        ---
        kind: Organization
        metadata: {organization: acme}
        spec: {default_role: Release managers}
        """
    findings = folder.write({"a.yaml": content}).errors()

    assert ["R005"] == [finding.code for finding in findings]


ROLE = 'kind: Role\nmetadata: {{organization: acme, name: "{}"}}\n'


@pytest.mark.parametrize(
    ("one", "other", "twins"),
    [
        ("admin", "\u0430dmin", True),  # Cyrillic a
        ("Caf\u00e9", "Cafe\u0301", True),  # composed and not
        ("Ops", "\uff2fps", True),  # full width
        ("\u0410\u0434\u043c\u0438\u043d", "Admin", False),  # plainly another script
        ("\u03bb team", "L team", False),
        ("\u65e5\u672c", "\u65e5\u672c\u8a9e", False),
    ],
)
def test_names_that_look_alike_are_an_error(folder, one, other, twins):
    """Letters of other scripts, composed and decomposed, full width."""
    folder.write({"a.yaml": ROLE.format(one) + "---\n" + ROLE.format(other)})

    if twins:
        assert ["R012"] == [finding.code for finding in folder.errors()]
    else:
        assert len(folder.load().declared.resources) == 2


@pytest.mark.parametrize("name", ["a\\u200bb", "a\\u202eb", "a\\u0007b", "a\\tb", "a\\u00adb"])
def test_names_with_characters_that_cannot_be_seen_are_errors(folder, name):
    """Zero width, direction marks, controls, soft hyphens."""
    (finding,) = folder.write({"a.yaml": ROLE.format(name)}).errors()

    assert finding.code == "R012"


def test_names_in_any_language_are_fine(folder):
    """Emoji as well."""
    names = ["Freigabe für Käufe", "リリース管理者", "Équipe 🚀", "مدراء"]
    folder.write({"a.yaml": "---\n".join(ROLE.format(name) for name in names)})

    assert folder.load().declared.findings == ()


def test_too_many_files_are_refused(folder, monkeypatch):
    """10,000, or 64 MiB in all."""
    monkeypatch.setattr(loader, "MAX_FILES", 2)
    folder.write({f"{n}.yaml": ROLE.format(n) for n in range(3)})
    (finding,) = folder.errors()

    assert (finding.code, finding.source.file) == ("R009", "2.yaml")


def test_loading_leaves_the_garbage_collector_as_it_was(folder):
    """Also when it fails."""
    folder.write({"a.yaml": "kind: Nope\n"})
    folder.errors()

    assert gc.isenabled()


def test_without_a_tree_the_current_folder_is_read(folder, monkeypatch):
    """As the commands call it."""
    folder.write({"config/a.yaml": ROLE.format("A")})
    monkeypatch.chdir(folder.path)
    (resource,) = loader.load_files([Path("config")]).declared.resources.values()

    assert str(resource.source) == "config/a.yaml:1:1"


def test_a_path_outside_the_current_folder_is_shown_as_it_is(folder, tmp_path):
    """Absolute, where nothing relative would say it."""
    folder.write({"config/a.yaml": ROLE.format("A"), "elsewhere/x": ""})
    tree = working_tree.WorkingTree(tmp_path / "elsewhere")
    (resource,) = loader.load_files([tmp_path / "config"], tree=tree).declared.resources.values()

    assert resource.source.file == str(tmp_path / "config" / "a.yaml")


def test_places_are_not_looked_for_where_nothing_is_wrong(folder):
    """They would cost more than all the rest: a file is read for them when there is a finding."""
    folder.write(
        {
            "a.yaml": "kind: Role\nmetadata: {organization: acme, name: A}\n---\n"
            "kind: FeatureFlag\nmetadata: {organization: acme, project: Web, key: a}\n"
            "spec: {filters: {groups: [{properties: [], rollout_percentage: 5}]}}\n"
        }
    )

    loaded = folder.load()

    (flag,) = (one for one in loaded.declared.resources.values() if one.spec)
    assert flag.written.places._rows is None
    assert flag.locate(("filters", "groups", 0)).line == 6
    assert flag.written.places._rows is not None


def test_only_what_names_nothing_else_is_passed_over_in_the_search_for_references(folder):
    """The note does not outlive the spec: a copy with another one may name something."""
    role = "kind: Role\nmetadata: {organization: acme, name: %s}\nspec: {members: [%s]}\n"
    folder.write({"a.yaml": f"{role % ('A', '')}---\n{role % ('B', 'a@acme.test')}"})

    empty, full = folder.load().declared.resources.values()

    assert (empty.may_refer, full.may_refer) == (False, True)
    assert replace(empty, spec=full.spec).may_refer
