"""Roles, role memberships, members (contract 8)."""

import pytest

from .conftest import FLAGS, MANAGERS, ORG, POLICIES

ROLES, MEMBERS = f"{ORG}/roles", f"{ORG}/members"
HELD = f"{ROLES}/{MANAGERS}/role_memberships"


def uuid(api, who):
    return next(
        one["user"]["uuid"]
        for one in api.results(f"{MEMBERS}/")
        if one["user"]["email"] == f"{who}@acme.test"
    )


def test_a_new_role_has_no_author(api):
    """Contract 8.1."""
    assert api.post(f"{ROLES}/", {"name": "New"}).body["created_by"] is None


def test_a_role_is_shown_with_its_members(api):
    """Contract 8.1."""
    body = api.get(f"{ROLES}/{MANAGERS}/").body

    assert body.keys() == {"id", "name", "created_at", "created_by", "members", "is_default"}
    assert (body["name"], body["created_by"], body["is_default"]) == (
        "Release managers",
        None,
        False,
    )
    assert [one["user"]["email"] for one in body["members"]] == ["mia@acme.test"]


def test_roles_are_created_renamed_and_deleted(api):
    """Contract 8.1."""
    made = api.post(f"{ROLES}/", {"name": "New"})
    assert made.status == 201
    path = f"{ROLES}/{made.body['id']}/"

    assert api.patch(path, {"name": "NEW"}).body["name"] == "NEW"
    assert api.call("PUT", path, {"name": "Newer"}).body["name"] == "Newer"
    assert api.delete(path).status == 204
    assert api.get(path).status == 404
    entries = api.results(f"{ORG}/advanced_activity_logs/?scopes=Role")
    assert [one["activity"] for one in entries] == ["deleted", "updated", "updated", "created"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "required"),
        ({"name": ""}, "blank"),
        ({"name": None}, "null"),
        ({"name": "x" * 201}, "max_length"),
        ({"name": "RELEASE managers"}, "unique"),
    ],
    ids=str,
)
def test_invalid_role_names_are_refused(api, body, code):
    """Contract 8.1."""
    reply = api.post(f"{ROLES}/", body)

    assert (reply.status, reply.body["code"], reply.body["attr"]) == (400, code, "name")


def test_the_default_role_is_that_of_the_organization(api):
    """Contract 8.1."""
    api.patch(f"{ORG}/", {"default_role_id": MANAGERS})

    assert api.get(f"{ROLES}/{MANAGERS}/").body["is_default"] is True


def test_a_deleted_role_keeps_its_id_only_in_approver_lists(api):
    """Contract 8.1."""
    config = {"quorum": 1, "roles": [MANAGERS]}
    policy = api.policy(approver_config=config, bypass_roles=[MANAGERS])
    api.patch(f"{ORG}/", {"default_role_id": MANAGERS})

    assert api.delete(f"{ROLES}/{MANAGERS}/").status == 204

    read = api.get(f"{POLICIES}/{policy['id']}/").body
    assert (read["approver_config"], read["bypass_roles"]) == (config, [])
    assert api.get(f"{ORG}/").body["default_role_id"] is None
    assert api.patch(f"{FLAGS}/2/", {"active": True}, who="mia").status == 409
    api.sandbox.reset(api.sandbox.state())
    assert api.get(f"{POLICIES}/{policy['id']}/").body["approver_config"] == config


def test_members_are_added_to_and_removed_from_a_role(api):
    """Contract 8.2."""
    made = api.post(f"{HELD}/", {"user_uuid": uuid(api, "abe")})

    assert made.status == 201
    assert made.body.keys() == {
        "id",
        "role_id",
        "organization_member",
        "user",
        "joined_at",
        "updated_at",
    }
    assert made.body["user"]["email"] == "abe@acme.test"
    assert made.body["organization_member"]["level"] == 8
    listed = [one["id"] for one in api.results(f"{HELD}/")]
    assert made.body["id"] in listed
    assert listed == sorted(listed)  # joined at the same instant, so by id
    path = f"{HELD}/{made.body['id']}/"
    assert api.get(path).body == made.body
    assert api.delete(path).status == 204
    assert api.get(path).status == 404


def test_invalid_role_members_are_refused(api):
    """Contract 8.2."""
    again = api.post(f"{HELD}/", {"user_uuid": uuid(api, "mia")})
    assert again.status == 400
    assert _error(again) == ("invalid_input", None, "User is already part of the role.")

    otto = api.get("/api/users/@me/", who="otto").body["uuid"]
    for stranger in (otto, "b0000000-0000-4000-8000-00000000ffff"):
        reply = api.post(f"{HELD}/", {"user_uuid": stranger})
        assert _error(reply) == ("invalid_input", None, "User does not exist.")
    missing = f"{ROLES}/b0000000-0000-4000-8000-00000000ffff/role_memberships/"
    reply = api.post(missing, {"user_uuid": uuid(api, "mia")})
    assert _error(reply) == ("invalid_input", None, "Role does not exist.")
    assert api.get(missing).status == 404
    assert api.post(f"{HELD}/", {}).body["attr"] == "user_uuid"
    assert api.post(f"{HELD}/", {"user_uuid": "x"}).body["attr"] == "user_uuid"


def _error(reply):
    return reply.body["code"], reply.body["attr"], reply.body["detail"]


def test_members_are_listed_latest_first_without_the_inactive(api):
    """Contract 8.3."""
    found = api.results(f"{MEMBERS}/")

    assert [one["user"]["first_name"] for one in found] == ["Mia", "Max", "Abe", "Ada", "Olga"]
    assert found[0].keys() == {
        "id",
        "user",
        "level",
        "joined_at",
        "updated_at",
        "is_2fa_enabled",
        "has_social_auth",
        "last_login",
        "search_match_type",
    }
    assert {one["search_match_type"] for one in found} == {None}
    assert api.results(f"{MEMBERS}/?email=max@acme.test")[0]["search_match_type"] is None
    assert api.results(f"{MEMBERS}/?search=max")[0]["search_match_type"] == "exact"
    oldest = api.results(f"{MEMBERS}/?order=joined_at")
    assert oldest[0]["user"]["first_name"] == "Olga"
    assert len(api.results(f"{MEMBERS}/?email=max@acme.test")) == 1
    assert len(api.results(f"{MEMBERS}/?search=MA")) == 1
    assert api.results(f"{MEMBERS}/?updated_after=2026-01-05T09:00:00Z") == []
    assert api.get(f"{MEMBERS}/?updated_after=moon").status == 400


OWN = "You can't change your own access level."
ONLY_ADMINS = "You can only edit others if you are an admin."


@pytest.mark.parametrize(
    ("who", "target", "level", "expected"),
    [
        ("olga", "max", 8, 200),
        ("olga", "max", 15, 200),
        ("olga", "olga", 8, OWN),
        ("ada", "max", 8, 200),
        ("ada", "abe", 1, 200),
        ("ada", "ada", 1, OWN),
        ("ada", "max", 15, "owner"),
        ("ada", "olga", 8, "level lower or equal"),
        ("max", "mia", 8, "equal to your current"),
        ("max", "mia", 1, ONLY_ADMINS),
        ("max", "max", 8, OWN),
    ],
    ids=str,
)
def test_who_may_give_which_level(api, who, target, level, expected):
    """Contract 8.3."""
    reply = api.patch(f"{MEMBERS}/{uuid(api, target)}/", {"level": level}, who=who)

    if expected == 200:
        assert (reply.status, reply.body["level"]) == (200, level)
    else:
        assert (reply.status, reply.body["code"]) == (403, "permission_denied")
        assert expected in reply.body["detail"]


def test_an_owner_may_appoint_another_owner_and_stays_owner(api):
    """Contract 8.3."""
    api.patch(f"{MEMBERS}/{uuid(api, 'max')}/", {"level": 15})

    assert api.get(f"{ORG}/").body["membership_level"] == 15


@pytest.mark.parametrize("level", [7, "admin", None, True])
def test_other_levels_are_refused(api, level):
    """Contract 8.3."""
    reply = api.patch(f"{MEMBERS}/{uuid(api, 'max')}/", {"level": level})

    assert reply.status == 400
    assert reply.body["code"] in {"invalid_choice", "null"}


@pytest.mark.parametrize(
    ("who", "target", "status"),
    [
        ("max", "max", 204),
        ("max", "mia", 403),
        ("ada", "abe", 204),
        ("ada", "olga", 403),
        ("olga", "ada", 204),
    ],
)
def test_who_may_remove_whom(api, who, target, status):
    """Contract 8.3."""
    identity = "@me" if who == target else uuid(api, target)

    assert api.delete(f"{MEMBERS}/{identity}/", who=who).status == status


def test_a_member_who_leaves_loses_their_roles(api):
    """Contract 8.3."""
    api.delete(f"{MEMBERS}/{uuid(api, 'mia')}/")

    assert api.results(f"{HELD}/") == []
    assert api.get(FLAGS, who="mia").status == 403
    assert api.get("/api/users/@me/", who="mia").body["organization"] is None


def test_unknown_and_inactive_members_are_404(api):
    """Contract 8.3."""
    unknown = "b0000000-0000-4000-8000-00000000ffff"
    gone = next(one for one in api.sandbox.state()["users"] if one["email"] == "gone@acme.test")

    for identity in (unknown, gone["uuid"], "moon"):
        assert api.patch(f"{MEMBERS}/{identity}/", {"level": 1}).status == 404


def test_membership_changes_are_logged(api):
    """Contract 8.3."""
    api.patch(f"{MEMBERS}/{uuid(api, 'max')}/", {"level": 8})
    api.delete(f"{MEMBERS}/{uuid(api, 'mia')}/")

    entries = api.results(f"{ORG}/advanced_activity_logs/?scopes=OrganizationMembership")
    assert [one["activity"] for one in entries] == ["deleted", "updated"]
    (change,) = entries[1]["detail"]["changes"]
    assert (change["field"], change["before"], change["after"]) == ("level", 1, 8)


def test_some_members_are_hidden_below_admin(api):
    """Every list is short, and only `member_count` tells (contract 8.4)."""
    setting = {"members_can_see_org_members": False}
    shown = api.patch(f"{ORG}/", setting, who="ada").body
    assert shown["members_can_see_org_members"] is False
    role = api.post(f"{ROLES}/", {"name": "Seen"}, who="ada").body["id"]
    for who in ("max", "mia"):
        api.post(f"{ROLES}/{role}/role_memberships/", {"user_uuid": uuid(api, who)}, who="ada")

    def seen(who):
        members = api.get(f"{MEMBERS}/", who=who).body
        held = api.get(f"{ROLES}/{role}/role_memberships/", who=who).body
        found = api.get(f"{ROLES}/{role}/", who=who).body
        return (
            members["count"],
            [one["user"]["email"] for one in members["results"]],
            [one["user"]["email"] for one in found["members"]],
            held["count"],
            found["created_by"] and found["created_by"]["email"],
            api.get(f"{ORG}/", who=who).body["member_count"],
        )

    mine = ["max@acme.test"]
    assert seen("max") == (1, mine, mine, 1, None, 5)
    assert seen("ada")[0] == 5
    assert seen("ada")[3:] == (2, None, 5)  # PostHog never says who made a role (contract 8.1)
    other = api.get(f"{ROLES}/{MANAGERS}/role_memberships/", who="ada").body["results"][0]["id"]
    assert api.get(f"{ROLES}/{MANAGERS}/role_memberships/{other}/", who="max").status == 404


def test_members_create_projects_where_the_organization_allows_it(api):
    """Null and false do not (contract 8.4)."""
    assert api.post(f"{ORG}/projects/", {"name": "A"}, who="max").status == 403
    assert api.patch(f"{ORG}/", {"members_can_create_projects": True}, who="ada").status == 200
    assert api.post(f"{ORG}/projects/", {"name": "A"}, who="max").status == 201
