"""`metadata.projects`: the same in every project that matches."""

import pytest

from reconciler.config import loaded as config_loaded
from reconciler.config.documents.templates import is_selected
from reconciler.errors import ConfigError

PROJECT = "kind: Project\nmetadata: {{organization: acme, name: {}}}\n---\n"
FLAG = "kind: FeatureFlag\nmetadata: {{organization: acme, projects: {}, key: a}}\n---\n"
CONCRETE = "kind: FeatureFlag\nmetadata: {{organization: acme, project: {}, key: a}}\n---\n"


def flags(declared):
    """Projects that have the flag."""
    return [address.project for address in declared.resources if address.kind == "FeatureFlag"]


@pytest.mark.parametrize(
    ("selectors", "names"),
    [
        (["*"], ["Mobile", "Sandbox", "Web", "Web 2"]),
        (["*", "!Sandbox"], ["Mobile", "Web", "Web 2"]),
        (["!Sandbox", "*"], ["Mobile", "Web", "Web 2"]),
        (["Web"], ["Web"]),
        (["Web*"], ["Web", "Web 2"]),
        (["*eb*"], ["Web", "Web 2"]),
        (["W*b*2"], ["Web 2"]),
        (["web"], []),
        (["!*", "*"], []),
        (["W[e]b", "W?b"], []),
    ],
)
def test_a_star_is_any_text_and_a_mark_leaves_out(selectors, names):
    """Nothing else is special."""
    everything = ["Mobile", "Sandbox", "Web", "Web 2"]

    assert names == [name for name in everything if is_selected(selectors, name)]


@pytest.mark.parametrize(
    ("pattern", "name", "like"),
    [
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*a*b", "ab", True),
        ("ab*ba", "aba", False),
        ("**", "", True),
    ],
)
def test_parts_of_a_pattern_do_not_overlap(pattern, name, like):
    """`a*a` needs two."""
    assert like is is_selected([pattern], name)


def test_projects_of_the_files_and_live_ones_are_filled(folder):
    """Each once, sorted; other organizations are another matter."""
    folder.write({"a.yaml": PROJECT.format("Web") + FLAG.format('["*"]')})
    loaded = folder.load()

    assert flags(loaded.declared) == []
    assert flags(config_loaded.expand_templates(loaded)) == ["Web"]
    assert flags(
        config_loaded.expand_templates(loaded, {"acme": ["Web", "Mobile"], "umbrella": ["X"]})
    ) == [
        "Mobile",
        "Web",
    ]
    assert loaded.organizations == ("acme",)


def test_an_absent_project_and_a_former_name_are_left_out(folder):
    """They are about to go."""
    gone = PROJECT.format("Old, lifecycle: {state: absent}")
    renamed = PROJECT.format("New, lifecycle: {renamed_from: Former}")
    folder.write({"a.yaml": gone + renamed + FLAG.format('["*"]')})

    assert flags(
        config_loaded.expand_templates(folder.load(), {"acme": ["Old", "Former", "Web"]})
    ) == [
        "New",
        "Web",
    ]


def test_an_instance_knows_its_document(folder):
    """Same spec, same place, its own address."""
    folder.write({"a.yaml": FLAG.format('["*"]')})
    (resource,) = config_loaded.expand_templates(
        folder.load(), {"acme": ["Web"]}
    ).resources.values()

    assert str(resource.address) == "FeatureFlag/acme/Web/a"
    assert str(resource.source) == "a.yaml:1:1"


def test_a_template_and_a_document_of_the_same_resource_are_a_duplicate(folder, shown):
    """Found offline, also where the project is in no file."""
    folder.write({"a.yaml": CONCRETE.format("Web") + FLAG.format('["*"]')})

    assert shown(folder.errors()).splitlines()[0] == (
        "R007 a.yaml:1:1: FeatureFlag/acme/Web/a is declared twice"
    )


def test_a_template_that_leaves_the_project_out_is_none(folder):
    """The fix that the message names."""
    folder.write({"a.yaml": CONCRETE.format("Web") + FLAG.format('["*", "!Web"]')})

    assert flags(config_loaded.expand_templates(folder.load(), {"acme": ["Web", "Mobile"]})) == [
        "Web",
        "Mobile",
    ]


def test_two_templates_for_one_project_are_a_duplicate(folder):
    """Offline for declared projects, later for live ones."""
    content = FLAG.format('["W*"]') + FLAG.format('["*b"]')
    folder.write({"a.yaml": PROJECT.format("Web") + content})
    assert ["R007"] == [finding.code for finding in folder.errors()]

    folder.write({"a.yaml": content})
    with pytest.raises(ConfigError) as caught:
        config_loaded.expand_templates(folder.load(), {"acme": ["Web", "Mobile"]})

    assert ["R007"] == [finding.code for finding in caught.value.findings]


@pytest.mark.parametrize(
    ("selectors", "said"),
    [
        ("[Wep]", [('"Wep" matches no project of the files', 'did you mean "Web"?', 43)]),
        ("[Web, Mobil]", [('"Mobil" matches no project of the files', "", 48)]),
        (
            '["*", "!Sandbx"]',
            [('"!Sandbx" matches no project of the files', 'did you mean "!Sandbox"?', 48)],
        ),
        ('["*", "!Sand*"]', []),
        (
            '["*", "X*", "!Y*"]',
            [
                ('"X*" matches no project of the files', "", 48),
                ('"!Y*" matches no project of the files', "", 54),
            ],
        ),
        ('["W*", "!*b"]', [("`projects` matches no project of the files", "", 42)]),
        ('["*"]', []),
    ],
)
def test_each_selector_that_matches_no_declared_project_is_a_warning(folder, selectors, said):
    """A live one may match; a `!` with a slip in it would keep nothing out."""
    declared = PROJECT.format("Web") + PROJECT.format("Sandbox")
    folder.write({"a.yaml": declared + FLAG.format(selectors)})
    findings = folder.load().declared.findings

    assert {("R013", "warning")} >= {(one.code, one.severity.value) for one in findings}
    assert said == [(one.message, one.fix, one.source.column) for one in findings]


def test_nothing_is_said_where_the_files_declare_no_project(folder):
    """All may be live."""
    folder.write({"a.yaml": FLAG.format('["Web", "!Sandbox"]')})

    assert folder.load().declared.findings == ()


@pytest.mark.parametrize("selectors", ['["!Web"]', '["*", "!*"]', '["Web", "!Web"]'])
def test_selectors_that_can_never_pick_anything_are_an_error(folder, selectors):
    """Whatever projects there are."""
    (finding,) = folder.write({"a.yaml": FLAG.format(selectors)}).errors()

    assert finding.code == "R013"
