"""Access rules of projects (contract 20)."""

import pytest

from .conftest import ORG

OWN = "/api/projects/1/access_controls/"
REST = "/api/projects/1/resource_access_controls/"


def put(api, path, level, who="olga", **body):
    """Set or remove a rule."""
    return api.call("PUT", path, {"access_level": level, **body}, who=who)


def rows(api, path):
    """Return the rules that a project shows."""
    found = api.get(path).body["access_controls"]
    return [(row["resource"], row["access_level"]) for row in found]


def test_a_rule_is_set_replaced_and_removed_by_its_subject(api):
    """The tuple is the identity; null removes, also what is not there."""
    assert put(api, REST, "viewer", resource="survey").status == 200
    assert put(api, REST, "editor", resource="survey").status == 200
    assert put(api, OWN, "member").body["resource_id"] == "1"
    assert rows(api, REST) == [("survey", "editor")]
    assert rows(api, "/api/projects/1/global_access_controls/") == [("survey", "editor")]
    assert rows(api, OWN) == [("project", "member")]
    for _ in range(2):
        assert put(api, REST, None, resource="survey").status == 204
    assert rows(api, REST) == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (OWN, {"access_level": "editor"}),
        (REST, {"access_level": "admin", "resource": "survey"}),
        (REST, {"access_level": "none", "resource": "action"}),
        (REST, {"access_level": "editor", "resource": "toolbar"}),
        (REST, {"access_level": "viewer", "resource": "cohort"}),
        (REST, {"resource": "survey"}),
    ],
    ids=str,
)
def test_levels_out_of_bounds_and_unknown_resources_are_refused(api, path, body):
    """With 400, and nothing is stored."""
    assert api.call("PUT", path, body).status == 400
    assert rows(api, path) == []


def test_rules_for_roles_need_the_feature(api):
    """403, not 402."""
    role = api.post(f"{ORG}/roles/", {"name": "Guests"}).body["id"]

    assert put(api, REST, "viewer", resource="survey", role=role).status == 403


def test_a_project_without_access_is_closed_to_members(api):
    """Admins and owners are above all rules."""
    assert put(api, OWN, "none").status == 200
    assert api.get("/api/projects/1/", who="max").status == 403
    assert api.get("/api/projects/1/").status == 200
    assert put(api, OWN, "member").status == 200
    assert put(api, REST, "viewer", who="max", resource="survey").status == 403


def test_the_new_resolution_is_accepted_once_and_shown(api):
    """By organization admins only."""
    accept = "/api/projects/1/access_control_resolution_accept/"

    assert api.post(accept, {}, who="max").status == 403
    assert api.post(accept, {}).body == {"uses_most_specific_access_resolution": True}
    assert api.get(f"{ORG}/").body["uses_most_specific_access_resolution"] is True
