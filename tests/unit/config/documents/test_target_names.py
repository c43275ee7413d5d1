"""The names of one target: there and back, and for documents that are not well-formed."""

import pytest

from reconciler.config.documents.target_names import TargetNames
from reconciler.model import Address

NAMES = TargetNames("staging", "acme", {"Web": "Web staging", "A": "B", "B": "A"})


@pytest.mark.parametrize(
    ("document_name", "live_name"),
    [("Web", "Web staging"), ("A", "B"), ("B", "A"), ("Mobile", "Mobile")],
)
def test_a_name_leads_to_a_project_and_back(document_name, live_name):
    """Also where two projects have exchanged their names."""
    assert NAMES.find_live_name(document_name) == live_name
    assert NAMES.find_document_name(live_name) == document_name


def test_a_live_project_whose_name_means_another_one_has_no_name():
    """Documents write `Web` for `Web staging`."""
    assert NAMES.find_document_name("Web") is None


def test_exchanged_names_are_read_as_they_are_mapped(folder):
    """Each document means the other project, and neither is an error."""
    text = "".join(
        f"kind: FeatureFlag\nmetadata: {{project: {project}, key: of-{project.lower()}}}\n---\n"
        for project in "AB"
    )
    found = folder.write({"a.yaml": text}).load(names=NAMES).declared.resources

    assert sorted(found) == [
        Address("FeatureFlag", ("acme", "A", "of-b")),
        Address("FeatureFlag", ("acme", "B", "of-a")),
    ]


@pytest.mark.parametrize("former", ["Web", "Mobile"])
def test_a_former_name_is_one_of_the_documents_too(folder, former):
    """So a project is renamed in every target under its own names."""
    names = TargetNames("staging", "acme", {"Web": "Web staging", "Shop": "Shop staging"})
    lifecycle = f"lifecycle: {{renamed_from: {former}}}"
    folder.write({"a.yaml": f"kind: Project\nmetadata: {{name: Shop, {lifecycle}}}\n"})
    (resource,) = folder.load(names=names).declared.resources.values()

    assert resource.address == Address("Project", ("acme", "Shop staging"))
    assert resource.lifecycle.renamed_from == names.find_live_name(former)


@pytest.mark.parametrize("kind", ["Organization", "Project", "FeatureFlag"])
@pytest.mark.parametrize(
    "metadata",
    [
        "5",
        "organization",
        "[organization]",
        "{organization: 5}",
        "{organization: null}",
        "{organization: [acme]}",
        "{name: {a: 1}, project: [Web], key: 1, projects: [1, {a: 2}, null]}",
        "{name: Web, project: Web, projects: Web, key: a, lifecycle: 7}",
        "{name: Web, project: Web, key: a, lifecycle: {renamed_from: [Web]}}",
        "{name: 1, project: 2, key: [3]}",
    ],
)
def test_odd_metadata_ends_in_findings(folder, kind, metadata):
    """The schema explains it; reading it for a target raises nothing else."""
    folder.write({"a.yaml": f"kind: {kind}\nmetadata: {metadata}\n"})
    found = folder.errors(names=NAMES)

    assert all(finding.source.file == "a.yaml" for finding in found)
