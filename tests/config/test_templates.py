"""`metadata.projects`: the same in every project that matches."""

import pytest

from reconciler.config import loader
from reconciler.config.templates import selected
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

    assert names == [name for name in everything if selected(selectors, name)]


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
    assert like is selected([pattern], name)


def test_projects_of_the_files_and_live_ones_are_filled(folder):
    """Each once, sorted; other organizations are another matter."""
    folder.write({"a.yaml": PROJECT.format("Web") + FLAG.format('["*"]')})
    loaded = folder.load()

    assert flags(loaded.declared) == []
    assert flags(loader.expand(loaded)) == ["Web"]
    assert flags(loader.expand(loaded, {"acme": ["Web", "Mobile"], "umbrella": ["X"]})) == [
        "Mobile",
        "Web",
    ]
    assert loaded.organizations == ("acme",)


def test_an_absent_project_and_a_former_name_are_left_out(folder):
    """They are about to go."""
    gone = PROJECT.format("Old, lifecycle: {state: absent}")
    renamed = PROJECT.format("New, lifecycle: {renamed_from: Former}")
    folder.write({"a.yaml": gone + renamed + FLAG.format('["*"]')})

    assert flags(loader.expand(folder.load(), {"acme": ["Old", "Former", "Web"]})) == ["New", "Web"]


def test_an_instance_knows_its_document(folder):
    """Same spec, same place, its own address."""
    folder.write({"a.yaml": FLAG.format('["*"]')})
    (resource,) = loader.expand(folder.load(), {"acme": ["Web"]}).resources.values()

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

    assert flags(loader.expand(folder.load(), {"acme": ["Web", "Mobile"]})) == ["Web", "Mobile"]


def test_two_templates_for_one_project_are_a_duplicate(folder):
    """Offline for declared projects, later for live ones."""
    content = FLAG.format('["W*"]') + FLAG.format('["*b"]')
    folder.write({"a.yaml": PROJECT.format("Web") + content})
    assert ["R007"] == [finding.code for finding in folder.errors()]

    folder.write({"a.yaml": content})
    with pytest.raises(ConfigError) as caught:
        loader.expand(folder.load(), {"acme": ["Web", "Mobile"]})

    assert ["R007"] == [finding.code for finding in caught.value.findings]


def test_selectors_that_match_no_declared_project_are_a_warning(folder):
    """A live one may match."""
    folder.write({"a.yaml": PROJECT.format("Web") + FLAG.format("[Wep]")})
    (finding,) = folder.load().declared.findings

    assert (finding.code, finding.severity.value) == ("R013", "warning")
