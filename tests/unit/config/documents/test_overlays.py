"""Overlays: the same address, field by field, with places that stay true."""

import pytest

from reconciler.config import loaded as config_loaded
from reconciler.model import Address, Source

BASE = """\
kind: FeatureFlag
metadata: {organization: acme, project: Web, key: a}
spec:
  name: A
  tags: [one, two]
  filters:
    groups:
      - properties: [{key: plan, type: person, value: [pro]}]
        rollout_percentage: 10
    multivariate:
      variants:
        - {key: x, name: X, rollout_percentage: 40}
        - {key: y, rollout_percentage: 60}
"""
FLAG = Address.parse("FeatureFlag/acme/Web/a")


def load(folder, *overlays):
    """The flag with overlays over it."""
    names = [f"over{n}" for n in range(len(overlays))]
    folder.write({"base/a.yaml": BASE})
    folder.write({f"{name}/a.yaml": text for name, text in zip(names, overlays, strict=True)})
    return folder.load("base", overlays=names).declared.resources[FLAG]


HEAD = "kind: FeatureFlag\nmetadata: {organization: acme, project: Web, key: a}\n"


def test_mappings_are_merged_and_everything_else_is_replaced(folder):
    """Fields that the overlay lacks stay."""
    flag = load(folder, HEAD + "spec: {tags: [three], filters: {payloads: {x: '1'}}}\n")

    assert flag.spec["name"] == "A"
    assert flag.spec["tags"] == ["three"]
    assert flag.spec["filters"]["payloads"] == {"x": "1"}
    assert flag.spec["filters"]["groups"][0]["rollout_percentage"] == 10


def test_items_of_lists_that_have_names_are_merged_by_name(folder):
    """Variants: changed in place, new ones last."""
    flag = load(
        folder,
        HEAD
        + """\
spec:
  filters:
    multivariate:
      variants:
        - {key: z, rollout_percentage: 20}
        - {key: x, rollout_percentage: 20}
""",
    )
    variants = flag.spec["filters"]["multivariate"]["variants"]

    assert [
        {"key": "x", "name": "X", "rollout_percentage": 20},
        {"key": "y", "rollout_percentage": 60},
        {"key": "z", "rollout_percentage": 20},
    ] == variants
    path = ("filters", "multivariate", "variants")
    assert flag.locate((*path, 0, "rollout_percentage")) == Source("over0/a.yaml", 8, 40)
    assert flag.locate((*path, 0, "name")) == Source("base/a.yaml", 12, 26)
    assert flag.locate((*path, 1)) == Source("base/a.yaml", 13, 11)
    assert flag.locate((*path, 2)) == Source("over0/a.yaml", 7, 11)


def test_later_overlays_win_and_places_point_into_the_file_that_won(folder):
    """Each field keeps its own."""
    flag = load(folder, HEAD + "spec: {name: B, active: false}\n", HEAD + "spec: {name: C}\n")

    assert flag.spec["name"] == "C"
    assert flag.locate(("name",)) == Source("over1/a.yaml", 3, 14)
    assert flag.locate(("active",)) == Source("over0/a.yaml", 3, 25)
    assert flag.locate(("tags", 1)) == Source("base/a.yaml", 5, 15)
    assert flag.source == Source("base/a.yaml", 1, 1)


def test_null_in_an_overlay_sets_null(folder):
    """It does not remove the field."""
    flag = load(folder, HEAD + "spec: {ensure_experience_continuity: null}\n")

    assert flag.spec["ensure_experience_continuity"] is None


def test_what_an_overlay_adds_is_declared(folder):
    """A resource of one target only."""
    folder.write({"base/a.yaml": BASE, "over/b.yaml": HEAD.replace("key: a", "key: b")})

    assert len(folder.load("base", overlays=["over"]).declared.resources) == 2


def test_an_overlay_inside_the_paths_is_no_resource_of_its_own(folder):
    """It is not read."""
    folder.write({"base/a.yaml": BASE, "base/over/a.yaml": HEAD + "spec: {name: B}\n"})

    assert folder.load("base", overlays=["base/over"]).declared.resources[FLAG].spec["name"] == "B"
    assert folder.load(".", overlays=["base/over"]).declared.resources[FLAG].spec["name"] == "B"


def test_an_error_in_an_overlay_is_shown_in_the_overlay(folder, shown):
    """Checked after the merge, placed before it."""
    folder.write({"base/a.yaml": BASE, "over/a.yaml": HEAD + "spec:\n  nme: B\n  active: no\n"})

    assert [
        'R004 over/a.yaml:4:3: `spec` has no field "nme"',
        'R005 over/a.yaml:5:11: `spec.active` needs true or false, not the text "no"',
    ] == [
        line
        for line in shown(folder.errors("base", overlays=["over"])).splitlines()
        if line.startswith("R")
    ]


def test_an_overlay_may_hold_less_than_a_whole_document(folder):
    """Required fields may come from below."""
    action = "action: feature_flag.update"
    policy = f"kind: ApprovalPolicy\nmetadata: {{organization: acme, project: Web, {action}}}\n"
    folder.write(
        {
            "base/a.yaml": policy + "spec: {approvers: {quorum: 1, users: [a@acme.test]}}\n",
            "over/a.yaml": policy + "spec: {approvers: {users: [b@acme.test]}}\n",
        }
    )
    (resource,) = folder.load("base", overlays=["over"]).declared.resources.values()

    assert resource.spec["approvers"] == {"quorum": 1, "users": ["b@acme.test"], "roles": []}


def test_lifecycle_can_be_overlaid(folder):
    """Absent in one target only."""
    over = HEAD.replace("key: a", "key: a, lifecycle: {state: absent}")

    assert load(folder, over).lifecycle.absent


def test_two_documents_of_one_address_in_one_overlay_are_a_duplicate(folder):
    """Across overlays they are layers."""
    over = HEAD + "spec: {name: B}\n"
    folder.write({"base/a.yaml": BASE, "over/a.yaml": over + "---\n" + over})

    assert ["R007"] == [finding.code for finding in folder.errors("base", overlays=["over"])]


TEMPLATE = HEAD.replace("project: Web", 'projects: ["*"]') + "spec: {name: T, tags: [x]}\n"


def test_an_overlay_on_one_project_goes_over_the_template(folder):
    """And the template leaves that project alone."""
    project = "kind: Project\nmetadata: {{organization: acme, name: {}}}\n---\n"
    folder.write(
        {
            "base/a.yaml": project.format("Web") + project.format("Mobile") + TEMPLATE,
            "over/a.yaml": HEAD + "spec: {name: W}\n",
        }
    )
    declared = config_loaded.expand_templates(folder.load("base", overlays=["over"]))
    names = {
        address.project: (resource.spec["name"], resource.spec["tags"])
        for address, resource in declared.resources.items()
        if address.kind == "FeatureFlag"
    }

    assert {"Web": ("W", ["x"]), "Mobile": ("T", ["x"])} == names


def test_an_overlay_with_the_same_selectors_goes_over_the_template(folder):
    """Then for every project."""
    folder.write({"base/a.yaml": TEMPLATE, "over/a.yaml": TEMPLATE.replace("name: T", "name: U")})
    (template,) = folder.load("base", overlays=["over"]).templates

    assert template.resource.spec["name"] == "U"


def expanded(folder, **overlays):
    """Name and tags of the flag in each project, with overlays over the template."""
    project = "kind: Project\nmetadata: {{organization: acme, name: {}}}\n---\n"
    folder.write({"base/a.yaml": project.format("Web") + project.format("Mobile") + TEMPLATE})
    folder.write({f"{name}/a.yaml": text for name, text in overlays.items()})
    declared = config_loaded.expand_templates(folder.load("base", overlays=list(overlays)))
    return {
        address.project: (resource.spec["name"], resource.spec["tags"])
        for address, resource in declared.resources.items()
        if address.kind == "FeatureFlag"
    }


def for_all(spec):
    """A document for every project."""
    return TEMPLATE.replace("name: T, tags: [x]", spec)


def test_a_later_overlay_for_all_goes_over_what_an_earlier_one_made_of_one_project(folder):
    """Later ones win, whatever they are for; fields that only the earlier one has stay."""
    one = HEAD + "spec: {name: W, tags: [w]}\n"

    assert expanded(folder, first=one, second=for_all("name: U")) == {
        "Web": ("U", ["w"]),
        "Mobile": ("U", ["x"]),
    }


@pytest.mark.parametrize("order", [1, -1])
def test_within_one_overlay_what_is_for_one_project_goes_over_what_is_for_all(folder, order):
    """In whatever order they stand."""
    texts = [HEAD + "spec: {name: W}\n", for_all("name: U, tags: [u]")]

    assert expanded(folder, only="---\n".join(texts[::order])) == {
        "Web": ("W", ["u"]),
        "Mobile": ("U", ["u"]),
    }


def test_an_empty_spec_in_an_overlay_takes_nothing_away(folder):
    """It says nothing."""
    over = HEAD.replace("key: a", "key: a, lifecycle: {prevent_destroy: true}")
    flag = load(folder, f"{over}spec:\n")

    assert flag.lifecycle.prevent_destroy
    assert flag.spec["name"] == "A"


def test_silences_of_an_overlay_join_those_below(folder):
    """Each check is silenced by its code."""
    odd = BASE.replace("key: a}", "key: a, silence: [{check: R004, reason: x}]}")
    odd = odd.replace("    groups:", "    payload: {}\n    groups:")
    over = HEAD.replace("key: a", "key: a, silence: [{check: R028, reason: y}]")
    over += "spec: {filters: {groups: [{properties: [{key: a, type: person, value: no}]}]}}\n"
    folder.write({"base/a.yaml": odd, "over/a.yaml": over})
    loaded = folder.load("base", overlays=["over"])

    assert loaded.declared.findings == ()
    assert loaded.silences.silenced == 2
