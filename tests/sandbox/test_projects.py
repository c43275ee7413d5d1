"""Projects (contract 10)."""

import pytest

from .conftest import FLAGS, ORG

FIELDS = {
    "id",
    "uuid",
    "organization",
    "project_id",
    "api_token",
    "name",
    "completed_snippet_onboarding",
    "has_completed_onboarding_for",
    "ingested_event",
    "is_demo",
    "timezone",
    "access_control",
}


def test_projects_are_listed_for_the_caller_and_for_an_organization(api):
    """Contract 10."""
    found = api.results("/api/projects/")

    assert [(one["id"], one["name"]) for one in found] == [(1, "Web"), (2, "Mobile")]
    assert found[0].keys() == FIELDS
    assert api.results(f"{ORG}/projects/") == found
    assert [one["id"] for one in api.results("/api/projects/", who="otto")] == [3]


def test_a_new_project_becomes_the_current_one(api):
    """Contract 10."""
    reply = api.post(f"{ORG}/projects/", {"name": "New", "timezone": "Europe/Berlin"})

    assert reply.status == 201
    assert (reply.body["id"], reply.body["timezone"]) == (4, "Europe/Berlin")
    assert api.get("/api/projects/@current/").body["id"] == 4
    assert api.post(f"{ORG}/projects/", {}).body["name"] == "Default project"
    entry = api.results(f"{ORG}/advanced_activity_logs/?scopes=Project")[-1]
    assert (entry["activity"], entry["team_id"], entry["detail"]["name"]) == ("created", 4, "New")


@pytest.mark.parametrize("path", ["/api/projects/2/", f"{ORG}/projects/2/"])
def test_a_project_is_read_changed_and_deleted(api, path):
    """Contract 10."""
    assert api.get(path).body["name"] == "Mobile"
    assert api.patch(path, {"name": "Phone", "timezone": "Asia/Tokyo"}).body["name"] == "Phone"
    assert api.get(path).body["timezone"] == "Asia/Tokyo"
    assert api.delete(path).status == 204
    assert api.get(path).status == 404
    assert [one["id"] for one in api.results("/api/projects/")] == [1]


@pytest.mark.parametrize(
    ("change", "code", "attr"),
    [
        ({"name": ""}, "blank", "name"),
        ({"name": "x" * 201}, "max_length", "name"),
        ({"timezone": "Moon/Crater"}, "invalid_choice", "timezone"),
        ({"timezone": None}, "null", "timezone"),
    ],
    ids=str,
)
def test_invalid_projects_are_refused(api, change, code, attr):
    """Contract 10."""
    reply = api.patch("/api/projects/1/", change)

    assert (reply.status, reply.body["code"], reply.body["attr"]) == (400, code, attr)


def test_a_project_of_another_organization_is_not_found_below_this_one(api):
    """Contract 10."""
    assert api.get(f"{ORG}/projects/3/").status == 404
    assert api.get(f"{ORG}/projects/moon/").status == 404


def test_deleting_a_project_deletes_its_flags_and_requests(api):
    """Contract 10."""
    api.policy()
    api.file()
    assert api.delete("/api/projects/1/").status == 204

    assert api.get(FLAGS).status == 404
    assert api.get("/api/projects/@current/").body["id"] == 2
    state = api.sandbox.state()
    assert [one["id"] for one in state["organizations"][0]["projects"]] == [2]
