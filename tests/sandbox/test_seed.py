"""Seeds: defaults, references by name, refusals."""

import copy
import re

import pytest
import yaml

from reconciler.sandbox.protocol.errors import SeedError
from reconciler.sandbox.seed import document

from .conftest import FLAGS, FULL, ORG, POLICIES, REQUESTS, SEED

INTERFACE = """
now: "2026-01-05T09:00:00Z"            # optional
cloud: false
rate_limit: {per_minute: 480, per_hour: 4800}   # optional; absent: none
users:
  - {email: alice@acme.test, first_name: Alice, id: 11, tokens: [{token: phx_alice, scopes: ["*"]}]}
  - {email: ci@acme.test, first_name: CI, tokens: [{token: phx_ci, scopes: ["approvals:write"]}]}
organizations:
  - name: Acme
    slug: acme
    features: [approvals, audit_logs, organizations_projects]
    settings: {enforce_2fa: false}
    members: [{email: alice@acme.test, level: owner}, {email: ci@acme.test, level: admin}]
    roles: [{name: Release managers, members: [alice@acme.test]}]
    approval_policies: []
    projects:
      - name: Web
        id: 1
        approval_policies:
          - action_key: feature_flag.enable
            conditions: {}
            approver_config: {quorum: 1, users: [alice@acme.test], roles: [Release managers]}
            allow_self_approve: false
            bypass_org_membership_levels: [15]
            bypass_roles: [Release managers]
            expires_after: "14 00:00:00"
            enabled: true
        feature_flags:
          - {key: new-checkout, name: New checkout, active: false, version: 1,
             created_by: alice@acme.test,
             filters: {groups: [{properties: [], rollout_percentage: 10}]}}
        change_requests: []
        cohorts: [{id: 7, name: Beta testers, is_static: true}]
        experiment_holdouts:
          - {id: 3, name: Global holdout, filters: [{properties: [], rollout_percentage: 10}]}
        experiments:
          - {id: 5, name: Checkout test, feature_flag: new-checkout, holdout: Global holdout,
             start_date: null}
        surveys: [{name: NPS, linked_flag: null, targeting_flag: nps-targeting}]
        product_tours:
          - {name: Welcome, linked_flag: null, internal_targeting_flag: welcome-targeting}
        session_replay_flag: null
        early_access_features: [{name: Beta, feature_flag: beta, stage: beta}]
        scheduled_changes:
          - {flag: new-checkout, scheduled_at: "2026-01-10T09:00:00Z",
             payload: {operation: update_status, value: true}}
        access_controls:
          - {resource: feature_flag, role: Release managers, access_level: editor}
          - {resource: project, access_level: member}
    evaluation_contexts_enabled: true
    owner_scoping: false
    uses_most_specific_access_resolution: false
    domains: [{domain: acme.test, is_verified: true}]
    activity: []
"""


def refused(api, seed):
    with pytest.raises(ValueError, match=r".") as caught:
        api.sandbox.reset(seed)
    return str(caught.value)


def spoilt(*path, to):
    """A copy of the seed with one thing changed."""
    seed = copy.deepcopy(SEED)
    place = seed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return seed


WEB = ("organizations", 0, "projects", 0)


def test_the_seed_of_the_interface_loads(api):
    api.sandbox.reset(INTERFACE)

    policy = api.results(f"{POLICIES}/", who="alice")[0]
    role = api.results("/api/organizations/@current/roles/", who="alice")[0]
    assert policy["approver_config"] == {"quorum": 1, "users": [11], "roles": [role["id"]]}
    assert policy["bypass_roles"] == [role["id"]]
    assert policy["created_by"] is None
    beta, flag = api.results(f"{FLAGS}/", who="alice")
    assert (flag["key"], flag["created_by"]["id"], flag["version"]) == ("new-checkout", 11, 1)
    assert (beta["key"], beta["filters"]["feature_enrollment"]) == ("beta", True)
    assert api.get("/api/users/@me/", who="ci").status == 403


def test_the_state_has_everything_of_the_interface(api):
    """Flags that products own are made with them; those of surveys and tours are hidden."""
    api.sandbox.reset(INTERFACE)

    state = api.sandbox.state()
    organization = state["organizations"][0]
    project = organization["projects"][0]
    assert organization["domains"] == [{"domain": "acme.test", "is_verified": True}]
    assert organization["uses_most_specific_access_resolution"] is False
    assert project["access_controls"] == [
        {"resource": "feature_flag", "role": "Release managers", "access_level": "editor"},
        {"resource": "project", "access_level": "member"},
    ]
    keys = [flag["key"] for flag in project["feature_flags"]]
    assert keys == ["new-checkout", "nps-targeting", "welcome-targeting", "beta"]
    api.sandbox.reset(state)
    assert api.sandbox.state() == state


RULES = [
    {"resource": "project", "member": "max@acme.test", "access_level": "admin"},
    {"resource": "feature_flag", "resource_id": "1", "role": "Nobody", "access_level": "none"},
    {"resource": "feature_flag", "access_level": "viewer"},
]


def test_access_rules_go_with_their_role_or_member(api):
    api.reset(lambda seed: seed["organizations"][0]["projects"][0].update(access_controls=RULES))
    roles = {role["name"]: role["id"] for role in api.results(f"{ORG}/roles/")}
    uuid = api.results(f"{ORG}/members/?email=max@acme.test")[0]["user"]["uuid"]

    def rules():
        return api.sandbox.state()["organizations"][0]["projects"][0]["access_controls"]

    assert rules() == RULES
    assert api.delete(f"{ORG}/roles/{roles['Nobody']}/").status == 204
    assert rules() == [RULES[0], RULES[2]]
    assert api.delete(f"{ORG}/members/{uuid}/").status == 204
    assert rules() == [RULES[2]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"role": "Nobody", "member": "max@acme.test"}, "not for both"),
        ({"role": "Moon"}, "no role of this organization is called 'Moon'"),
        ({"member": "otto@acme.test"}, "is not a member of the organization"),
        ({"access_level": "boss"}, "access_level"),
        ({}, "a rule for this resource and subject exists"),
    ],
    ids=str,
)
def test_wrong_access_rules_are_refused(api, change, message):
    rule = {"resource": "feature_flag", "access_level": "viewer"}
    seed = spoilt(*WEB, "access_controls", to=[rule, {**rule, **change}])

    refusal = refused(api, seed)

    assert refusal.startswith("organizations[0].projects[0].access_controls[1]")
    assert message in refusal


def test_times_without_quotes_are_times_too(api):
    api.sandbox.reset("now: 2026-01-05T09:00:00Z\nusers: [{email: a@b, created_at: 2026-01-01}]")

    assert api.sandbox.control("GET", "clock") == {"now": "2026-01-05T09:00:00Z"}
    assert api.sandbox.state()["users"][0]["created_at"] == "2026-01-01T00:00:00Z"


def test_an_empty_seed_is_valid(api):
    for empty in ("{}", "users:\norganizations:\n", {"users": [], "organizations": None}):
        api.sandbox.reset(empty)
        assert api.get(FLAGS).status == 401


def test_users_need_no_organization_and_organizations_no_project(api):
    seed = {
        "users": [
            {"email": "a@b.test", "tokens": [{"token": "phx_a"}]},
            {"email": "c@b.test", "tokens": [{"token": "phx_c"}]},
        ],
        "organizations": [{"name": "Solo Ltd", "members": [{"email": "c@b.test"}]}],
    }
    api.sandbox.reset(seed)

    assert api.results("/api/organizations/", who="a") == []
    assert api.get("/api/projects/@current/", who="c").status == 404
    (found,) = api.results("/api/organizations/", who="c")
    assert (found["slug"], found["membership_level"], found["projects"]) == ("solo-ltd", 1, [])
    assert found["available_product_features"] == []


def test_the_first_project_is_the_current_one(api):
    assert api.get("/api/users/@me/", who="mia").body["team"]["id"] == 1


def test_given_ids_are_kept_and_new_ids_follow_them(api):
    identity = "c0000000-0000-4000-8000-000000000001"
    flags = [{"key": "a", "filters": FULL}, {"key": "b", "filters": FULL, "id": 40}]
    rule = {"action_key": "x", "approver_config": {}, "id": identity}
    seed = spoilt(*WEB, to={"name": "Web", "feature_flags": flags, "approval_policies": [rule]})
    api.sandbox.reset(seed)

    project = api.results("/api/projects/")[0]["id"]
    assert project == 4
    listed = api.results(f"/api/projects/{project}/feature_flags/")
    assert [(one["key"], one["id"]) for one in listed] == [("b", 40), ("a", 41)]
    assert api.results(f"/api/projects/{project}/approval_policies/")[0]["id"] == identity


def test_a_change_request_has_defaults(api):
    change_request = {
        "action_key": "feature_flag.enable",
        "intent": {"flag_key": "off", "gated_changes": {"active": True}},
        "policy_snapshot": {"quorum": 2, "users": ["ada@acme.test"], "roles": ["Nobody"]},
        "created_by": {"email": "max@acme.test"},
        "approvals": [{"created_by": "abe@acme.test", "decision": "approved"}],
        "can_approve": True,
    }
    api.sandbox.reset(spoilt(*WEB, "change_requests", to=[change_request]))

    (found,) = api.results(f"{REQUESTS}/", who="ada")
    assert (found["state"], found["resource_id"]) == ("pending", "2")
    assert found["intent"]["preconditions"]["version"] == 1
    assert found["policy_snapshot"]["users"] == [12]
    assert found["expires_at"] == "2026-01-19T09:00:00Z"
    assert api.post(f"{REQUESTS}/{found['id']}/approve/", who="ada").body["status"] == "applied"
    assert api.get(f"{FLAGS}/2/").body["active"] is True


def test_approvers_may_be_outsiders_and_roles_may_be_deleted(api):
    gone = "b0000000-0000-4000-8000-00000000ffff"
    config = {"quorum": 1, "users": [99], "roles": [gone], "extra": 1}
    rule = {"action_key": "feature_flag.enable", "approver_config": config}
    api.sandbox.reset(spoilt(*WEB, "approval_policies", to=[rule]))

    assert api.results(f"{POLICIES}/")[0]["approver_config"] == config


def test_roles_may_differ_only_in_case(api):
    roles = [{"name": "Admins"}, {"name": "admins"}]
    api.sandbox.reset(spoilt("organizations", 0, "roles", to=roles))

    assert [one["name"] for one in api.results(f"{ORG}/roles/")] == ["Admins", "admins"]


VOTE = {"created_by": 12, "decision": "approved"}
FLAG = {"key": "x", "filters": FULL}
BAD = [
    ("users", [{"email": "a"}, {"email": "a"}], "users[1].email: 'a' is used twice"),
    ("users", [{"email": "a", "id": 1}, {"email": "b", "id": 1}], "users[1].id: 1 is used twice"),
    ("users", [{"email": "a", "id": 0}], "users[0].id:"),
    ("users", [{"email": "a", "uuid": "x"}], "users[0].uuid:"),
    ("users", [{"email": "a", "tokens": [{}]}], "users[0].tokens[0]:"),
    ("users", [{"email": "a", "tokens": [{"token": "t"}, {"token": "t"}]}], "users[0].tokens[1]"),
    ("users", [{"email": "a", "created_at": "yesterday"}], "users[0].created_at:"),
    ("users", "x", "users: 'x' is not of type"),
    ("now", "soon today", "now: 'soon today' is not a time"),
    ("cloud", "yes", "cloud: 'yes' is not of type 'boolean'"),
    ("rate_limit", {}, "rate_limit:"),
    ("rate_limit", {"per_minute": 0}, "rate_limit.per_minute:"),
    ("moon", 1, "unknown field 'moon'"),
    ("organisations", [], "unknown field 'organisations' (did you mean \"organizations\"?)"),
]
DEEP = [
    (("organizations", 0, "slug"), "other", "organizations[1].slug: 'other' is used twice"),
    (("organizations", 0, "members", 0, "email"), "x", "organizations[0].members[0].email: no"),
    (("organizations", 0, "members", 0, "level"), "king", "organizations[0].members[0].level:"),
    (("organizations", 0, "roles", 0, "members"), ["otto@acme.test"],
     "organizations[0].roles[0].members[0]: 'otto@acme.test' is not a member"),
    (("organizations", 0, "roles", 1, "name"), "Release managers",
     "organizations[0].roles[1].name: 'Release managers' is used twice"),
    (("organizations", 0, "settings"), {"enforce_2fa": "x"},
     "organizations[0].settings.enforce_2fa:"),
    (("organizations", 0, "settings"), {"default_role": "x"},
     "organizations[0].settings.default_role: no role"),
    ((*WEB, "id"), 2, "organizations[0].projects[1].id: 2 is used twice"),
    ((*WEB, "feature_flags", 1, "filters"), {"groups": [{"rollout_percentage": 101}]},
     "organizations[0].projects[0].feature_flags[1].filters: Filters are not valid"),
    ((*WEB, "feature_flags"), [{"key": "x"}],
     "organizations[0].projects[0].feature_flags[0]: 'filters' is a required property"),
    ((*WEB, "feature_flags"), [FLAG, FLAG],
     "organizations[0].projects[0].feature_flags[1].key: a live flag 'x' already exists"),
    ((*WEB, "approval_policies"),
     [{"action_key": "x", "approver_config": {"users": ["x@y"]}}],
     "organizations[0].projects[0].approval_policies[0].approver_config.users[0]: no user"),
    ((*WEB, "approval_policies"), [{"action_key": "x", "approver_config": {"roles": ["x"]}}],
     "organizations[0].projects[0].approval_policies[0].approver_config.roles[0]: no role"),
    ((*WEB, "approval_policies"),
     [{"action_key": "x", "approver_config": {}, "bypass_roles": ["x"]}],
     "organizations[0].projects[0].approval_policies[0].bypass_roles[0]: no role"),
    ((*WEB, "approval_policies"),
     [{"action_key": "x", "approver_config": {}, "expires_after": "P1W"}],
     "organizations[0].projects[0].approval_policies[0].expires_after:"),
    ((*WEB, "approval_policies"), [{"action_key": "x", "approver_config": {}}] * 2,
     "organizations[0].projects[0].approval_policies[1].action_key:"),
    ((*WEB, "change_requests"), [{"action_key": "x"}],
     "organizations[0].projects[0].change_requests[0]: 'intent' is a required property"),
    ((*WEB, "change_requests"), [{"action_key": "x", "intent": {}, "state": "moon"}],
     "organizations[0].projects[0].change_requests[0].state:"),
    ((*WEB, "change_requests"),
     [{"action_key": "x", "intent": {}, "approvals": [VOTE, VOTE]}],
     "organizations[0].projects[0].change_requests[0].approvals[1].created_by: voted twice"),
    (("organizations", 0, "activity"), [{"scope": "x"}], "organizations[0].activity[0]:"),
    (("users", 0, "tokens", 0, "scoped_teams"), ["Moon"], "users[0].tokens[0].scoped_teams[0]:"),
    (("users", 0, "tokens", 0, "scopes"), ["moon"], "users[0].tokens[0].scopes[0]:"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "expected"), BAD, ids=[one[2][:40] for one in BAD])
def test_an_invalid_seed_is_refused_with_its_place(api, name, value, expected):
    assert expected in refused(api, {name: value})


@pytest.mark.parametrize(("path", "value", "expected"), DEEP, ids=[one[2][:70] for one in DEEP])
def test_a_nested_error_in_a_seed_is_refused_with_its_place(api, path, value, expected):
    assert expected in refused(api, spoilt(*path, to=value))


@pytest.mark.parametrize("text", ["a: [", "{", "- x", "5", "!!python/object:x {}", "a: &x [*x]"])
def test_other_documents_are_refused(api, text):
    assert refused(api, text)


def test_deep_nesting_is_refused():
    with pytest.raises(SeedError):
        document.parse_seed("[" * 5000 + "]" * 5000)


def test_every_type_of_object_can_be_in_a_seed(api):
    """The schema knows every field that the state writes."""
    form = document.load_schema()
    state = api.sandbox.state()

    assert state["users"][0].keys() <= form["$defs"]["user"]["properties"].keys()
    organization = state["organizations"][0]
    assert organization["settings"].keys() <= form["$defs"]["settings"]["properties"].keys()
    document.validate_seed(yaml.safe_load(yaml.safe_dump(state)))


PRODUCTS = {
    "feature_flags": [
        {"key": key, "id": number, "filters": {"groups": []}, "deleted": key == "gone"}
        for number, key in enumerate(("a", "b", "c", "d", "gone"), start=1)
    ],
    "experiment_holdouts": [
        {"name": "Global", "id": 3, "filters": [{"rollout_percentage": 2.5}], "description": "D"},
        {"name": "Same", "id": 4, "filters": [{"rollout_percentage": 1}]},
        {"name": "Same", "id": 5, "filters": [{"rollout_percentage": 1}]},
    ],
    "experiments": [
        {
            "name": "E",
            "id": 9,
            "feature_flag": "a",
            "holdout": "Global",
            "start_date": "2026-01-01",
        },
        {"name": "F", "feature_flag": 5, "holdout": 4, "deleted": True, "conclusion": "won"},
    ],
    "surveys": [
        {
            "name": "S",
            "linked_flag": "b",
            "targeting_flag": "a",
            "internal_targeting_flag": "c",
            "internal_response_sampling_flag": "d",
            "archived": True,
        }
    ],
    "product_tours": [{"name": "T", "linked_flag": "a", "internal_targeting_flag": "b"}],
    "early_access_features": [{"name": "X", "feature_flag": "d", "stage": "alpha"}],
    "session_replay_flag": "b",
    "change_requests": [
        {
            "id": "d0000000-0000-4000-8000-000000000001",
            "action_key": "experiment_holdout.update",
            "resource_type": "experiment_holdout",
            "intent": {"holdout_id": 3, "current_state": {}, "gated_changes": {}},
            "owner_kind": None,
        },
        {
            "id": "d0000000-0000-4000-8000-000000000002",
            "action_key": "feature_flag.enable",
            "resource_id": None,
            "intent": {"flag_key": "a", "http_method": "POST"},
            "owner_kind": "experiment",
        },
    ],
    "scheduled_changes": [
        {
            "flag": "b",
            "id": 2,
            "scheduled_at": "2026-02-01T00:00:00Z",
            "payload": {"operation": "update_status", "value": False},
            "change_request": "d0000000-0000-4000-8000-000000000002",
            "is_recurring": True,
            "recurrence_interval": "weekly",
            "end_date": "2027-01-01T00:00:00Z",
        }
    ],
}


def with_products(**changes):
    """A seed of one project with one of everything that owns or changes flags."""
    organization = {
        "name": "Acme",
        "slug": "acme",
        "owner_scoping": True,
        "projects": [{"name": "Web", "id": 1, **PRODUCTS, **changes}],
    }
    world = {"now": "2026-01-05T09:00:00Z", "profile": "g3", "withhold_payloads": True}
    return {**world, "organizations": [organization]}


def test_whatever_owns_flags_is_restored_from_the_state(api):
    api.sandbox.reset(with_products())
    state = api.sandbox.state()

    api.sandbox.reset(state)

    assert api.sandbox.state() == state
    project = state["organizations"][0]["projects"][0]
    assert [one["feature_flag"] for one in project["experiments"]] == ["a", 5]
    assert project["surveys"][0]["targeting_flag"] == "a"
    assert (project["session_replay_flag"], state["profile"]) == ("b", "g3")
    assert project["change_requests"][1]["resource_id"] is None
    assert state["organizations"][0]["owner_scoping"] is True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"experiments": [{"name": "E", "feature_flag": "moon"}]}, "no flag has the key 'moon'"),
        ({"experiments": [{"name": "E", "feature_flag": 99}]}, "no flag has the id 99"),
        ({"experiments": [{"name": "E", "feature_flag": None}]}, "a flag is needed"),
        (
            {"experiments": [{"name": "E", "feature_flag": "a", "holdout": "Same"}]},
            "no holdout, or several",
        ),
        ({"session_replay_flag": "moon"}, "session_replay_flag: no flag has the key 'moon'"),
        ({"surveys": [{"name": "S", "linked_flag": "gone"}]}, "surveys[0].linked_flag"),
        (
            {
                "scheduled_changes": [
                    {
                        "flag": "a",
                        "scheduled_at": "2026-01-09",
                        "payload": {},
                        "change_request": "d0000000-0000-4000-8000-000000000009",
                    }
                ]
            },
            "no change request has the id",
        ),
    ],
    ids=str,
)
def test_a_wrong_reference_is_named_with_its_place(api, change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        api.sandbox.reset(with_products(**change))
