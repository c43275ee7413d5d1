"""Organizations (contract 6)."""

import pytest

from .conftest import MANAGERS, ORG

FIELDS = {
    "id",
    "name",
    "slug",
    "logo_media_id",
    "created_at",
    "updated_at",
    "membership_level",
    "plugins_access_level",
    "teams",
    "projects",
    "available_product_features",
    "is_member_join_email_enabled",
    "metadata",
    "customer_id",
    "enforce_2fa",
    "members_can_invite",
    "members_can_use_personal_api_keys",
    "allow_publicly_shared_resources",
    "member_count",
    "members_can_create_projects",
    "members_can_see_org_members",
    "enforce_verified_domains",
    "uses_most_specific_access_resolution",
    "is_ai_data_processing_approved",
    "is_ai_training_opted_in",
    "is_ai_training_locked",
    "is_ai_training_cta_shown",
    "is_hipaa",
    "default_experiment_stats_method",
    "default_anonymize_ips",
    "default_role_id",
    "is_active",
    "is_not_active_reason",
    "is_pending_deletion",
}


def test_an_organization_has_these_fields(api):
    """Contract 6.1."""
    body = api.get(f"{ORG}/").body

    assert body.keys() == FIELDS
    assert (body["membership_level"], body["member_count"]) == (15, 5)
    assert body["projects"] == [
        {"id": 1, "organization_id": body["id"], "name": "Web"},
        {"id": 2, "organization_id": body["id"], "name": "Mobile"},
    ]
    assert [one["id"] for one in body["teams"]] == [1, 2]
    assert body["available_product_features"][0] == {"key": "approvals", "name": "Approvals"}
    assert (body["enforce_2fa"], body["members_can_invite"]) == (None, True)


def test_a_list_contains_only_the_callers_organizations(api):
    """Contract 6."""
    assert [one["slug"] for one in api.results("/api/organizations/")] == ["acme"]
    assert [one["slug"] for one in api.results("/api/organizations/", who="otto")] == ["other"]


def test_a_foreign_or_unknown_organization_is_404(api):
    """Contract 6."""
    assert api.get(f"{ORG}/", who="otto").status == 404
    assert api.patch(f"{ORG}/", {}, who="otto").status == 404
    assert api.get("/api/organizations/a0000000-0000-4000-8000-00000000ffff/").status == 404


def test_the_creator_becomes_owner_and_moves_to_the_new_organization(api):
    """Contract 6."""
    reply = api.post("/api/organizations/", {"name": "Größe & Co"}, who="max")

    assert reply.status == 201
    assert (reply.body["slug"], reply.body["membership_level"]) == ("groe-co", 15)
    assert [one["name"] for one in reply.body["projects"]] == ["Default project"]
    me = api.get("/api/users/@me/", who="max").body
    assert me["organization"]["id"] == reply.body["id"]
    assert me["team"]["id"] == reply.body["projects"][0]["id"]
    assert api.get("/api/organizations/@current/", who="max").body["id"] == reply.body["id"]


def test_slugs_are_unique_and_do_not_follow_renames(api):
    """Contract 6.1."""
    first = api.post("/api/organizations/", {"name": "Acme"}).body
    assert first["slug"] == "acme-2"
    path = f"/api/organizations/{first['id']}/"

    renamed = api.patch(path, {"name": "Brand new"}).body
    assert (renamed["name"], renamed["slug"]) == ("Brand new", "acme-2")


@pytest.mark.parametrize(
    ("change", "code", "attr"),
    [
        ({"name": "x" * 65}, "max_length", "name"),
        ({"name": " "}, "blank", "name"),
        ({"name": None}, "null", "name"),
        (
            {"default_experiment_stats_method": "moon"},
            "invalid_choice",
            "default_experiment_stats_method",
        ),
        ({"default_role_id": "moon"}, "invalid_input", "default_role_id"),
        (
            {"default_role_id": "b0000000-0000-4000-8000-000000000003"},
            "invalid_input",
            "default_role_id",
        ),
        (
            {"logo_media_id": "b0000000-0000-4000-8000-000000000003"},
            "does_not_exist",
            "logo_media_id",
        ),
        ({"enforce_2fa": "perhaps"}, "invalid_input", "enforce_2fa"),
        ({"members_can_use_personal_api_keys": None}, "null", "members_can_use_personal_api_keys"),
    ],
    ids=str,
)
def test_invalid_settings_are_refused(api, change, code, attr):
    """Contract 6.1."""
    reply = api.patch(f"{ORG}/", change)

    assert (reply.status, reply.body["code"], reply.body["attr"]) == (400, code, attr)


def test_every_writable_setting(api):
    """Contract 6.1."""
    change = {
        "name": "Acme 2",
        "enforce_2fa": True,
        "members_can_invite": None,
        "allow_publicly_shared_resources": False,
        "is_ai_data_processing_approved": True,
        "is_ai_training_opted_in": False,
        "default_experiment_stats_method": "frequentist",
        "default_anonymize_ips": True,
        "default_role_id": MANAGERS,
        "logo_media_id": None,
    }
    body = api.patch(f"{ORG}/", change).body

    assert {name: body[name] for name in change} == change


def test_read_only_and_unknown_fields_are_ignored(api):
    """Contract 6.1."""
    before = api.get(f"{ORG}/").body

    change = {"slug": "x", "is_hipaa": True, "is_member_join_email_enabled": False, "moon": 1}
    assert api.patch(f"{ORG}/", change).body == before


def test_a_locked_training_choice_is_refused(api):
    """Contract 6.1."""
    settings = {"is_ai_training_locked": True}
    api.reset(lambda seed: seed["organizations"][0].update(settings=settings))

    assert api.patch(f"{ORG}/", {"is_ai_training_opted_in": True}).status == 400


def test_deleting_an_organization_deletes_everything_in_it(api):
    """Contract 6."""
    assert api.delete(f"{ORG}/").status == 204

    assert api.get(f"{ORG}/").status == 404
    assert api.get("/api/projects/1/").status == 404
    assert api.results("/api/organizations/") == []
    assert api.get("/api/users/@me/").body["organization"] is None


def test_changes_are_logged_field_by_field(api):
    """Contract 6.3."""
    api.patch(f"{ORG}/", {"name": "Acme 2", "enforce_2fa": True})

    entry = api.results(f"{ORG}/advanced_activity_logs/")[0]
    assert (entry["scope"], entry["activity"]) == ("Organization", "updated")
    assert entry["team_id"] is None
    assert entry["item_id"] == ORG.rsplit("/", 1)[1]
    assert entry["detail"]["changes"] == [
        {
            "type": "Organization",
            "action": "changed",
            "field": "name",
            "before": "Acme",
            "after": "Acme 2",
        },
        {
            "type": "Organization",
            "action": "created",
            "field": "enforce_2fa",
            "before": None,
            "after": True,
        },
    ]
