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
    """Rules do not bind admins and owners."""
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


ROLE = "b0000000-0000-4000-8000-000000000001"
PLACES = ["/api/projects/1/", f"{ORG}/projects/1/"]
FLAG = {"key": "a", "filters": {"groups": [{"properties": [], "rollout_percentage": 1}]}}


def find_member(api, email):
    """Return the id of a membership."""
    found = api.get(f"{ORG}/members/").body["results"]
    return next(one["id"] for one in found if one["user"]["email"] == email)


def find_entry(api, path, name, resource="survey"):
    """Return what a list of members or roles says about a resource type."""
    found = api.get(path).body["results"]
    (row,) = [
        one for one in found if name in (one.get("role_name"), one.get("user", {}).get("email"))
    ]
    return row["project"] if resource == "project" else row["resources"][resource]


@pytest.mark.parametrize("place", PLACES)
def test_the_newer_calls_write_the_same_rules(api, place):
    """One call per kind of subject: 201 if new, 200 if changed, 204 if removed."""
    member = find_member(api, "max@acme.test")
    survey = {"resource": "survey", "access_level": "viewer"}
    made = api.call("PUT", f"{place}access_control_default_rules/", survey)
    assert (made.status, made.body) == (
        201,
        {**survey, "resource_id": None, "member_id": None, "role_id": None},
    )
    changed = {**survey, "access_level": "editor"}
    assert api.call("PUT", f"{place}access_control_default_rules/", changed).status == 200
    own = {**survey, "access_level": "none", "member_id": member}
    assert api.call("PUT", f"{place}access_control_member_rules/", own).body["member_id"] == member
    assert rows(api, REST) == [("survey", "editor"), ("survey", "none")]
    for _ in range(2):
        gone = {**own, "access_level": None}
        assert api.call("PUT", f"{place}access_control_member_rules/", gone).status == 204
    assert rows(api, REST) == [("survey", "editor")]
    shown = api.get(f"{place}access_control_defaults/").body
    assert shown["resource_access_levels"]["survey"]["access_level"] == "editor"
    assert shown["project_access_level"] == "admin"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("default", {"resource": "project", "access_level": "none"}, 400),
        ("default", {"resource": "project", "resource_id": "2", "access_level": "none"}, 400),
        ("default", {"resource": "cohort", "access_level": "none"}, 400),
        ("default", {"resource": "action", "access_level": "none"}, 400),
        ("default", {"resource": "survey", "resource_id": "7", "access_level": "none"}, 400),
        ("default", {"resource": "feature_flag", "resource_id": "99", "access_level": "none"}, 404),
        ("default", {"resource": "survey"}, 400),
        ("role", {"resource": "survey", "access_level": "none", "role_id": ROLE}, 403),
        ("member", {"resource": "survey", "access_level": "none"}, 400),
        (
            "member",
            {"resource": "survey", "access_level": "none", "member_id": ORG.rpartition("/")[2]},
            404,
        ),
        ("default", {"resource": "project", "resource_id": "1", "access_level": "member"}, 201),
    ],
    ids=str,
)
def test_the_newer_calls_check_scope_and_subject(api, path, body, status):
    """A project rule has the project's own id; of an object, the object has to be there."""
    url = f"/api/projects/1/access_control_{path}_rules/"

    assert api.call("PUT", url, body).status == status


@pytest.mark.parametrize("narrow", [False, True])
def test_the_newer_lists_say_which_rule_decides(api, narrow):
    """For all but admins: the highest level, or that of the most specific rule."""
    if narrow:
        api.post("/api/projects/1/access_control_resolution_accept/", {})
    member = find_member(api, "max@acme.test")
    assert put(api, REST, "manager", resource="survey").status == 200
    assert put(api, REST, "viewer", resource="survey", organization_member=member).status == 200
    members = "/api/projects/1/access_control_members/"
    entry = find_entry(api, members, "max@acme.test")

    assert entry["access_level"] == "viewer"
    assert entry["effective_access_level"] == ("viewer" if narrow else "manager")
    assert entry["inherited_access"] == {
        "access_level": "manager",
        "source": "default",
        "role_id": None,
    }
    above = find_entry(api, members, "olga@acme.test")
    assert above["inherited_access"]["source"] == "organization_admin"
    assert find_entry(api, members, "max@acme.test", "project")["effective_access_level"] == "admin"


def test_rules_of_one_object_bind_all_but_its_creator_and_admins(api):
    """Its creator also writes its rules, and so does whoever has the highest level on it."""
    flag = api.post("/api/projects/1/feature_flags/", FLAG, who="max").body["id"]
    other = api.post("/api/projects/1/feature_flags/", {**FLAG, "key": "b"}).body["id"]
    assert put(api, OWN, "member").status == 200
    own, theirs = (f"/api/projects/1/feature_flags/{id_}/access_controls/" for id_ in (flag, other))
    assert put(api, own, "viewer", who="max").status == 200
    assert put(api, theirs, "viewer", who="max").status == 403
    assert put(api, theirs, "viewer").body["resource_id"] == str(other)
    assert rows(api, theirs) == [("feature_flag", "viewer")]
    assert rows(api, REST) == []

    assert (
        api.patch(f"/api/projects/1/feature_flags/{flag}/", {"name": "x"}, who="max").status == 200
    )
    path = f"/api/projects/1/feature_flags/{other}/"
    assert api.patch(path, {"name": "x"}, who="max").status == 403
    assert api.get(path, who="max").body["can_edit"] is False
    assert api.patch(path, {"name": "x"}).status == 200
    member = find_member(api, "max@acme.test")
    assert put(api, theirs, "manager", organization_member=member).status == 200
    assert put(api, theirs, None, who="max").status == 204


def test_rules_of_a_deleted_object_can_only_be_removed(api):
    """And an object that does not exist has none."""
    flag = api.post("/api/projects/1/feature_flags/", FLAG).body["id"]
    path = f"/api/projects/1/feature_flags/{flag}/access_controls/"
    assert put(api, path, "viewer").status == 200
    api.patch(f"/api/projects/1/feature_flags/{flag}/", {"deleted": True})

    assert put(api, path, "none").status == 400
    assert put(api, path, None).status == 204
    assert put(api, "/api/projects/1/feature_flags/99/access_controls/", "none").status == 404


def test_rules_for_flags_bind_members(api):
    """A viewer neither creates nor changes them."""
    assert put(api, REST, "viewer", resource="feature_flag").status == 200

    assert api.post("/api/projects/1/feature_flags/", FLAG, who="max").status == 403
    assert api.post("/api/projects/1/feature_flags/", FLAG).status == 201
