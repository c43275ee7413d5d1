"""Each cause of a refusal, and edge cases of policies (contract 1.3, 3)."""

import pytest

from .conftest import FLAGS, MANAGERS, ORG, POLICIES

NOBODY = "00000000-0000-4000-8000-000000000000"
CONFIG = {"quorum": 1, "users": [12]}
TAKEN = "A policy for this action already exists. You can edit the existing policy instead."


def make(api, **fields):
    return api.post(f"{POLICIES}/", {"action_key": "a.b", "approver_config": CONFIG, **fields})


def envelope(reply):
    body = reply.body
    assert body.keys() == {"type", "code", "detail", "attr"}
    return reply.status, body["type"], body["code"], body["attr"]


def invalid(code, attr):
    return 400, "validation_error", code, attr


CAUSES = [
    ({"action_key": None}, "null", "action_key"),
    ({"action_key": ""}, "blank", "action_key"),
    ({"action_key": "   "}, "blank", "action_key"),
    ({"action_key": "x" * 129}, "max_length", "action_key"),
    ({"action_key": ["a"]}, "invalid_input", "action_key"),
    ({"conditions": None}, "null", "conditions"),
    ({"approver_config": None}, "null", "approver_config"),
    ({"approver_config": []}, "invalid_input", "approver_config"),
    ({"approver_config": "x"}, "invalid_input", "approver_config"),
    ({"approver_config": {}}, "invalid_input", "approver_config"),
    ({"approver_config": {"quorum": 0}}, "invalid_input", "approver_config"),
    ({"approver_config": {"quorum": -1}}, "invalid_input", "approver_config"),
    ({"approver_config": {"quorum": "2"}}, "invalid_input", "approver_config"),
    ({"approver_config": {"quorum": None}}, "invalid_input", "approver_config"),
    ({"allow_self_approve": None}, "null", "allow_self_approve"),
    ({"allow_self_approve": "perhaps"}, "invalid_input", "allow_self_approve"),
    ({"bypass_org_membership_levels": None}, "null", "bypass_org_membership_levels"),
    (
        {"bypass_org_membership_levels": ["admin"]},
        "invalid_input",
        "bypass_org_membership_levels",
    ),
    ({"bypass_roles": None}, "null", "bypass_roles"),
    ({"bypass_roles": "x"}, "not_a_list", "bypass_roles"),
    ({"bypass_roles": {}}, "not_a_list", "bypass_roles"),
    ({"bypass_roles": ["x"]}, "invalid_input", "bypass_roles__0"),
    ({"bypass_roles": [MANAGERS, "x"]}, "invalid_input", "bypass_roles__1"),
    ({"bypass_roles": [None]}, "null", "bypass_roles__0"),
    ({"bypass_roles": [NOBODY]}, "invalid_input", "bypass_roles"),
    ({"expires_after": None}, "null", "expires_after"),
    ({"expires_after": "abc"}, "invalid_input", "expires_after"),
    ({"enabled": None}, "null", "enabled"),
    ({"enabled": 3}, "invalid_input", "enabled"),
]


@pytest.mark.parametrize(("fields", "code", "attr"), CAUSES, ids=str)
def test_every_refusal_has_its_code_and_attribute(api, fields, code, attr):
    """Contract 1.3."""
    assert envelope(make(api, **fields)) == invalid(code, attr)
    made = make(api).body

    patched = api.patch(f"{POLICIES}/{made['id']}/", fields)

    assert envelope(patched) == invalid(code, attr)
    assert api.get(f"{POLICIES}/{made['id']}/").body == made


OTHERS = [
    ("POST", f"{FLAGS}/", {"key": "on", "filters": {"groups": [{}]}}, "unique", "key"),
    ("POST", f"{FLAGS}/", {"key": "n o"}, "invalid_key", "key"),
    ("POST", f"{FLAGS}/", {}, "required", "key"),
    ("POST", f"{FLAGS}/", {"key": "x" * 401}, "max_length", "key"),
    ("PATCH", f"{FLAGS}/1/", {"tags": "x"}, "not_a_list", "tags"),
    ("PATCH", f"{FLAGS}/1/", {"tags": [[]]}, "invalid_input", "tags__0"),
    (
        "PATCH",
        f"{FLAGS}/1/",
        {"evaluation_runtime": "moon"},
        "invalid_choice",
        "evaluation_runtime",
    ),
    ("POST", f"{ORG}/roles/", {"name": "release MANAGERS"}, "unique", "name"),
    ("POST", f"{ORG}/roles/", {"name": "x" * 201}, "max_length", "name"),
    (
        "POST",
        f"{ORG}/roles/{MANAGERS}/role_memberships/",
        {},
        "required",
        "user_uuid",
    ),
    ("PATCH", f"{ORG}/", {"name": "x" * 65}, "max_length", "name"),
    (
        "PATCH",
        f"{ORG}/",
        {"default_experiment_stats_method": "moon"},
        "invalid_choice",
        "default_experiment_stats_method",
    ),
    ("PATCH", f"{ORG}/", {"default_role_id": NOBODY}, "invalid_input", "default_role_id"),
    ("POST", "/api/organizations/", {}, "required", "name"),
]


@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_other_resources_have_the_same_codes(api, case):
    """Contract 1.3."""
    method, path, body, code, attr = case

    assert envelope(api.call(method, path, body)) == invalid(code, attr)


def test_a_taken_action_key_is_refused_before_anything_else(api):
    """Contract 3.3."""
    make(api)

    for body in ({"action_key": "a.b"}, {"action_key": "a.b", "approver_config": None}):
        reply = api.post(f"{POLICIES}/", body)
        assert (reply.status, reply.body) == (
            400,
            {
                "type": "validation_error",
                "code": "invalid_input",
                "detail": TAKEN,
                "attr": None,
            },
        )


def test_an_action_key_may_be_kept_but_not_changed_to_a_taken_one(api):
    """Contract 3.3."""
    first, second = make(api).body, make(api, action_key="c.d").body

    onto = api.patch(f"{POLICIES}/{second['id']}/", {"action_key": "a.b"})
    assert (onto.status, onto.body["detail"], onto.body["attr"]) == (400, TAKEN, None)
    own = api.patch(f"{POLICIES}/{first['id']}/", {"action_key": "a.b"})
    assert own.status == 200
    assert api.post("/api/projects/2/approval_policies/", {**own.body}).status == 201


def test_the_approver_config_is_returned_unchanged(api):
    """Contract 3.1."""
    config = {"users": [44, 12, 12, "x"], "moon": {"a": [1]}, "quorum": 2, "roles": ["no uuid"]}

    made = make(api, approver_config=config).body

    assert list(made["approver_config"].items()) == list(config.items())


@pytest.mark.parametrize("conditions", [{}, [], "", 0, False, "x", [1], {"type": "moon"}])
def test_conditions_may_be_any_json_except_null(api, conditions):
    """Contract 3.1."""
    assert make(api, conditions=conditions).body["conditions"] == conditions


def test_read_only_and_unknown_fields_are_ignored(api):
    """Contract 3.1."""
    made = make(api, id=NOBODY, created_by=99, created_at="x", updated_at="x", moon=1).body

    assert made["id"] != NOBODY
    assert (made["created_by"]["id"], made["created_at"]) == (11, "2026-01-05T09:00:00Z")
    assert "moon" not in made


def test_an_empty_key_matches_nothing(api):
    """Contract 3.4."""
    make(api)
    make(api, action_key="c.d", enabled=False)

    def keys(query):
        return [one["action_key"] for one in api.results(f"{POLICIES}/?{query}")]

    assert keys("") == ["c.d", "a.b"]
    assert keys("action_key=a.b") == ["a.b"]
    assert keys("action_key=A.B") == []
    assert keys("enabled=TRUE") == ["a.b"]
    assert keys("enabled=1") == keys("enabled=") == keys("enabled=false") == ["c.d"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("ref", ["1", "moon", NOBODY])
def test_an_unknown_policy_is_404(api, method, ref):
    """Contract 3."""
    reply = api.call(method, f"{POLICIES}/{ref}/", None if method == "GET" else {})

    assert envelope(reply) == (404, "invalid_request", "not_found", None)


def test_delete_answers_204_once(api):
    """Contract 3."""
    path = f"{POLICIES}/{make(api).body['id']}/"

    reply = api.delete(path)

    assert (reply.status, reply.body) == (204, None)
    assert api.delete(path).status == 404
