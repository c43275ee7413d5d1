"""Approval policies (contract 3)."""

import pytest

from .conftest import FLAGS, MANAGERS, POLICIES

CONFIG = {"quorum": 2, "users": [12, 12], "roles": [MANAGERS], "note": "kept"}


def make(api, **more):
    body = {"action_key": "feature_flag.update", "approver_config": CONFIG, **more}
    return api.post(f"{POLICIES}/", body)


def refused(reply):
    assert reply.status == 400, reply.body
    assert reply.body["type"] == "validation_error"
    return reply.body["code"], reply.body["attr"]


def test_a_policy_reads_back_with_its_twelve_fields_and_defaults(api):
    """Contract 3.1."""
    reply = make(api)

    assert reply.status == 201
    body = dict(reply.body)
    assert body.pop("created_by")["email"] == "olga@acme.test"
    assert body == {
        "id": body["id"],
        "action_key": "feature_flag.update",
        "conditions": {},
        "approver_config": CONFIG,
        "allow_self_approve": False,
        "bypass_org_membership_levels": [],
        "bypass_roles": [],
        "expires_after": "14 00:00:00",
        "enabled": True,
        "created_at": "2026-01-05T09:00:00Z",
        "updated_at": "2026-01-05T09:00:00Z",
    }
    assert api.get(f"{POLICIES}/{body['id']}/").body == reply.body


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"action_key": ""}, ("blank", "action_key")),
        ({"action_key": "x" * 129}, ("max_length", "action_key")),
        ({"action_key": None}, ("null", "action_key")),
        ({"conditions": None}, ("null", "conditions")),
        ({"approver_config": None}, ("null", "approver_config")),
        ({"approver_config": {}}, ("invalid_input", "approver_config")),
        ({"approver_config": {"quorum": 0}}, ("invalid_input", "approver_config")),
        ({"approver_config": {"quorum": "two"}}, ("invalid_input", "approver_config")),
        ({"approver_config": [1]}, ("invalid_input", "approver_config")),
        ({"allow_self_approve": "perhaps"}, ("invalid_input", "allow_self_approve")),
        ({"bypass_org_membership_levels": None}, ("null", "bypass_org_membership_levels")),
        (
            {"bypass_org_membership_levels": ["x"]},
            ("invalid_input", "bypass_org_membership_levels"),
        ),
        ({"bypass_roles": ["x"]}, ("invalid_input", "bypass_roles__0")),
        ({"bypass_roles": "x"}, ("not_a_list", "bypass_roles")),
        ({"bypass_roles": None}, ("null", "bypass_roles")),
        ({"expires_after": None}, ("null", "expires_after")),
        ({"enabled": None}, ("null", "enabled")),
    ],
    ids=str,
)
def test_invalid_policies_are_refused_on_create(api, change, expected):
    """Contract 3.1."""
    assert refused(make(api, **change)) == expected


def test_missing_fields_are_required(api):
    """Contract 3.1."""
    assert refused(api.post(f"{POLICIES}/", {})) == ("required", "action_key")
    body = {"action_key": "feature_flag.update"}
    assert refused(api.post(f"{POLICIES}/", body)) == ("required", "approver_config")


def test_the_quorum_has_its_own_message(api):
    """Contract 3.1."""
    reply = make(api, approver_config={"users": []})
    assert reply.body["detail"] == "Quorum must be at least 1"


def test_levels_are_converted_and_any_integer_passes(api):
    """Contract 3.1."""
    reply = make(api, bypass_org_membership_levels=["8", "15", 99])

    assert reply.body["bypass_org_membership_levels"] == [8, 15, 99]
    reply = make(api, action_key="other", bypass_org_membership_levels=["admin"])
    assert reply.body["detail"] == "All membership levels must be integers"


def test_bypass_roles_must_exist_in_this_organization(api):
    """Contract 3.1."""
    unknown = "b0000000-0000-4000-8000-00000000ffff"
    reply = make(api, bypass_roles=[unknown])
    assert refused(reply) == ("invalid_input", "bypass_roles")
    assert reply.body["detail"] == f"Roles do not exist: {unknown}"

    foreign = "b0000000-0000-4000-8000-000000000003"
    reply = make(api, bypass_roles=[foreign])
    assert refused(reply) == ("invalid_input", "bypass_roles")
    assert reply.body["detail"] == "Roles must belong to the same organization: Foreign"

    assert make(api, bypass_roles=[MANAGERS.upper()]).body["bypass_roles"] == [MANAGERS]


@pytest.mark.parametrize("key", ["experiment.launch", "experiment.pause", "experiment.update"])
def test_experiment_keys_are_not_available_yet(api, key):
    """Contract 3.1."""
    reply = make(api, action_key=key)

    assert refused(reply) == ("invalid_input", "action_key")
    assert reply.body["detail"] == "This approval action isn't available yet."


def test_any_other_action_key_is_allowed_and_has_no_effect(api):
    """Contract 3.1."""
    assert make(api, action_key="feature_flag.delete").status == 201
    assert api.patch(f"{FLAGS}/1/", {"deleted": True}, who="max").status == 200


def test_put_clears_bypass_roles_and_patch_keeps_them(api):
    """Contract 3.1."""
    policy = make(api, bypass_roles=[MANAGERS]).body
    path = f"{POLICIES}/{policy['id']}/"

    assert api.patch(path, {"enabled": False}).body["bypass_roles"] == [MANAGERS]
    body = {"action_key": "feature_flag.update", "approver_config": CONFIG}
    put = api.call("PUT", path, body).body
    assert (put["bypass_roles"], put["enabled"]) == ([], False)
    assert refused(api.call("PUT", path, {})) == ("required", "action_key")


DURATIONS = [
    ("14 00:00:00", "14 00:00:00"),
    ("P14D", "14 00:00:00"),
    ("PT36H", "1 12:00:00"),
    ("PT1H30M", "01:30:00"),
    (86400, "1 00:00:00"),
    ("86400", "1 00:00:00"),
    ("14", "00:00:14"),
    ("00:30", "00:00:30"),
    ("7 12:00", "7 00:12:00"),
    ("1 day", "1 00:00:00"),
    ("1 days, 0:00:00", "1 00:00:00"),
    ("01:30:00", "01:30:00"),
    ("", "00:00:00"),
    (0, "00:00:00"),
    ("-1 00:00:00", "-1 00:00:00"),
    (1.5, "00:00:01.500000"),
]


@pytest.mark.parametrize(("sent", "read"), DURATIONS, ids=str)
def test_durations_read_back_in_one_form(api, sent, read):
    """Contract 3.2."""
    assert make(api, expires_after=sent).body["expires_after"] == read


@pytest.mark.parametrize("sent", ["P1W", "P2W", "P1M", "abc", True, [], "9" * 300])
def test_invalid_durations_are_refused(api, sent):
    """Contract 3.2."""
    reply = make(api, expires_after=sent)

    assert refused(reply) == ("invalid_input", "expires_after")
    assert reply.body["detail"].startswith("Duration has wrong format.")


def test_one_policy_per_action_and_project(api):
    """Contract 3.3."""
    first = make(api)
    assert first.status == 201

    again = make(api)
    assert (again.status, again.body) == (
        400,
        {
            "type": "validation_error",
            "code": "invalid_input",
            "detail": "A policy for this action already exists."
            " You can edit the existing policy instead.",
            "attr": None,
        },
    )
    other = "/api/projects/2/approval_policies/"
    body = {"action_key": "feature_flag.update", "approver_config": CONFIG}
    assert api.post(other, body).status == 201
    second = make(api, action_key="feature_flag.enable").body
    reply = api.patch(f"{POLICIES}/{second['id']}/", {"action_key": "feature_flag.update"})
    assert reply.status == 400
    same = {"action_key": "feature_flag.enable"}
    assert api.patch(f"{POLICIES}/{second['id']}/", same).status == 200


def test_organization_wide_policies_are_never_listed(api):
    """Contract 3.3."""
    wide = {"action_key": "feature_flag.enable", "approver_config": {"quorum": 1}}
    identity = "c0000000-0000-4000-8000-000000000001"
    api.reset(
        lambda seed: seed["organizations"][0].update(approval_policies=[{**wide, "id": identity}])
    )

    assert api.results(f"{POLICIES}/") == []
    assert api.get(f"{POLICIES}/{identity}/").status == 404
    assert api.file()["policy_snapshot"]["quorum"] == 1


def test_lists_are_newest_first_and_filtered(api):
    """Contract 3.4."""
    for key in ("feature_flag.update", "feature_flag.enable", "feature_flag.disable"):
        make(api, action_key=key, enabled=key != "feature_flag.enable")

    def keys(query=""):
        return [one["action_key"].split(".")[1] for one in api.results(f"{POLICIES}/{query}")]

    assert keys() == ["disable", "enable", "update"]
    assert keys("?action_key=feature_flag.enable") == ["enable"]
    assert keys("?enabled=TRUE") == ["disable", "update"]
    assert keys("?enabled=no") == ["enable"]
    assert keys("?limit=1&offset=1") == ["enable"]


def test_policy_writes_are_not_logged_and_do_not_change_requests(api):
    """Contract 3.7."""
    policy = api.policy()
    request = api.file()
    path = f"{POLICIES}/{policy['id']}/"

    assert api.patch(path, {"enabled": False}).status == 200
    assert api.patch(f"{FLAGS}/1/", {"active": False}, who="max").status == 200
    assert api.delete(path).status == 204
    assert api.get(path).status == 404
    assert api.get(f"/api/projects/1/change_requests/{request['id']}/").body["state"] == "pending"
    scopes = {one["scope"] for one in api.results("/api/projects/1/advanced_activity_logs/")}
    assert scopes == {"FeatureFlag"}


def test_a_policy_of_another_project_is_not_found_here(api):
    """Contract 3."""
    policy = make(api).body

    assert api.get(f"/api/projects/2/approval_policies/{policy['id']}/").status == 404
    assert api.get(f"{POLICIES}/not-a-uuid/").status == 404
