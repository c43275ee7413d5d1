"""Answers of odd shapes to every call that a command makes: an error that says so, never a defect.

A field at a time is replaced in the real answers of a rich world, and whole bodies are.
"""

import itertools
from random import Random

import pytest

from tests import acme
from tests.effort import effort
from tests.harness.driver import Driver

VALUES = [None, True, 0, -1.5, "", "odd", [], [None], ["odd"], {}, {"odd": None}, [[{}]]]
ROUTES = {  # of what is read: commands that read it, and the parts of the answer
    "users.retrieve": ("organization", "id", "uuid", "email", "organization.membership_level"),
    "personal_api_keys.retrieve": ("scopes", "scopes[0]", "id"),
    "organizations.list": (
        "results", "count", "next", "results[0]", "results[0].id", "results[0].slug",
        "results[0].name", "results[0].teams", "results[0].teams[0]", "results[0].teams[0].id",
        "results[0].teams[0].name", "results[0].membership_level",
        "results[0].available_product_features", "results[0].available_product_features[0]",
        "results[0].available_product_features[0].key", "results[0].default_role_id",
        "results[0].members_can_invite",
    ),
    "projects.list": ("results[0]", "results[0].id", "results[0].name", "results[0].timezone"),
    "members.list": (
        "results", "results[0]", "results[0].level", "results[0].user", "results[0].user.id",
        "results[0].user.uuid", "results[0].user.email", "results[0].id",
    ),
    "roles.list": (
        "results", "results[0]", "results[0].id", "results[0].name", "results[0].members",
        "results[0].members[0]", "results[0].members[0].user", "results[0].members[0].user.email",
        "results[0].members[0].user.uuid", "results[0].members[0].user.id",
        "results[0].members[0].joined_at", "results[0].members[0].id",
    ),
    "approval_policies.list": (
        "results", "results[0]", "results[0].id", "results[0].action_key",
        "results[0].approver_config", "results[0].approver_config.users",
        "results[0].approver_config.users[0]", "results[0].approver_config.roles",
        "results[0].approver_config.quorum", "results[0].conditions",
        "results[0].conditions.field", "results[0].conditions.operator",
        "results[0].conditions.value", "results[0].enabled", "results[0].bypass_roles",
        "results[0].bypass_org_membership_levels", "results[0].allow_self_approve",
        "results[0].expires_after", "results[0].updated_at",
    ),
    "feature_flags.list": (
        "results", "results[0]", "results[0].id", "results[0].key", "results[0].version",
        "results[0].active", "results[0].tags", "results[0].filters", "results[0].filters.groups",
        "results[0].filters.groups[0]", "results[0].filters.groups[0].properties",
        "results[0].filters.groups[0].properties[0]",
        "results[0].filters.groups[0].properties[0].key",
        "results[0].filters.groups[0].properties[0].value",
        "results[0].filters.groups[0].rollout_percentage", "results[0].filters.multivariate",
        "results[0].filters.multivariate.variants", "results[0].filters.payloads",
        "results[0].name", "results[0].archived", "results[0].updated_at",
        "results[0].last_modified_by", "results[0].evaluation_contexts",
    ),
    "change_requests.list": (
        "results", "results[0]", "results[0].id", "results[0].state", "results[0].action_key",
        "results[0].resource_id", "results[0].intent", "results[0].intent.flag_key",
        "results[0].intent.full_request_data", "results[0].intent.full_request_data.filters",
        "results[0].intent.full_request_data.tags", "results[0].intent.gated_changes",
        "results[0].intent.current_state", "results[0].intent.preconditions",
        "results[0].intent.preconditions.version", "results[0].policy_snapshot",
        "results[0].policy_snapshot.users", "results[0].policy_snapshot.roles",
        "results[0].policy_snapshot.quorum", "results[0].approvals", "results[0].approvals[0]",
        "results[0].approvals[0].created_by", "results[0].approvals[0].decision",
        "results[0].approvals[0].created_at", "results[0].created_by",
        "results[0].created_by.email", "results[0].created_by.id", "results[0].created_at",
        "results[0].expires_at", "results[0].updated_at", "results[0].result_data",
        "results[0].apply_error", "results[0].intent_display", "results[0].validation_status",
    ),
    "change_requests.retrieve": (
        "id", "state", "intent", "intent.current_state", "intent.gated_changes", "approvals",
        "approvals[0]", "policy_snapshot", "policy_snapshot.users", "policy_snapshot.roles",
        "created_by", "created_at", "validation_errors", "intent_display", "apply_error",
    ),
    "activity_logs.list": (
        "results", "results[0]", "results[0].id", "results[0].user", "results[0].user.email",
        "results[0].detail", "results[0].detail.changes", "results[0].detail.changes[0]",
        "results[0].detail.changes[0].field", "results[0].detail.name", "results[0].created_at",
        "results[0].team_id", "results[0].item_id", "results[0].client", "results[0].scope",
        "next",
    ),
    "activity_logs.available_filters": (
        "static_filters", "static_filters.users", "static_filters.users[0]", "detail_fields",
    ),
}  # fmt: skip
COMMANDS = {
    "plan": ("plan",),
    "apply": ("apply", "--yes"),
    "drift": ("drift",),
    "list": ("requests", "list", "--state", "all"),
    "inbox": ("requests", "inbox"),
    "remind": ("requests", "remind", "--before", "30d", "--notify", "http://127.0.0.1:9/"),
    "show": ("requests", "show", "REQUEST"),
    "doctor": ("doctor",),
    "activity": ("activity", "list", "--user", "bob@acme.test"),
    "filters": ("activity", "filters"),
    "pull": ("pull", "--out", "pulled"),
    "validate": ("validate", "--live"),
}
CASES = [
    (command, route, path, value)
    for route, paths in ROUTES.items()
    for path, value, command in itertools.product(("", *paths), range(len(VALUES)), COMMANDS)
]
SAMPLE = effort(Random(16).sample(CASES, 40), CASES)  # noqa: S311  no secret


@pytest.fixture(scope="module")
def repo(shared_sandbox, tmp_path_factory):
    """A world with something of everything that is read, and a change of every kind."""
    group = {"properties": [{"key": "plan", "type": "person", "value": ["pro"]}],
             "rollout_percentage": 10}  # fmt: skip
    flags = [
        acme.live_flag("a", 10),
        acme.live_flag("b", filters={"groups": [group]}, tags=["ui"]),
    ]
    condition = {
        "type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 5
    }  # fmt: skip
    policies = [
        acme.policy("feature_flag.update", conditions=condition),
        acme.policy("feature_flag.enable"),
    ]
    web = {"name": "Web", "id": 1, "feature_flags": flags, "approval_policies": policies}
    roles = [{"name": "Team", "members": ["bob@acme.test"]}]
    shared_sandbox.reset(acme.seed(projects=[web], roles=roles))
    repo = Driver(tmp_path_factory.mktemp("odd"), shared_sandbox)
    before = (acme.flag("a", 10), acme.flag("b", name="b"))
    repo.write("all.yaml", *before)
    repo.write("reconciler.yaml", "version: 1\ntargets:\n  default: {paths: [all.yaml]}\n")
    repo.commit()
    shared_sandbox.call(
        "PATCH", "/api/projects/1/feature_flags/1/", {"name": "moved"}, token="phx_bob"
    )
    status, filed = shared_sandbox.call(
        "PATCH", "/api/projects/1/feature_flags/1/", {"active": True}, token="phx_carol"
    )
    assert 409 == status, filed
    repo.request = filed["change_request_id"]
    path = f"/api/projects/1/change_requests/{repo.request}/reject/"
    shared_sandbox.call("POST", path, {"reason": "no"}, token="phx_alice")
    shared_sandbox.call(
        "PATCH", "/api/projects/1/feature_flags/2/", {"active": True}, token="phx_ci"
    )
    repo.write(
        "all.yaml",
        acme.flag("a", 50, active=True),
        acme.flag("b", 10, active=True, tags=["web"]),
        acme.document("Role", {"members": ["alice@acme.test", "bob@acme.test"]}, name="Team"),
        acme.document("Member", {"level": "admin"}, email="bob@acme.test"),
        acme.document("Organization", {"members_can_invite": True, "default_role": "Team"}),
        acme.document("Project", {"timezone": "UTC"}, name="Web"),
        acme.document(
            "ApprovalPolicy",
            {"approvers": {"quorum": 2, "roles": ["Team"]}, "conditions": condition},
            project="Web",
            action="feature_flag.update",
        ),
    )
    repo.commit()
    return repo


def go(repo, command, route, path, value):
    """Run a command while one part of one answer is odd; its end, and what it said."""
    new = VALUES[value]
    effect = {"mutate": {"set": {path: new}}} if path else {"status": {"code": 200, "body": new}}
    # No write gets through: the world is the same for each case.
    match = {"route": "*", "hit": "every"}
    stopped = {"status": {"code": 403}}
    repo.faults(
        [
            {
                "match": {**match, "method": "GET", "route": route},
                "point": "after",
                "effect": effect,
            },
            *(
                {"match": {**match, "method": method}, "point": "before", "effect": stopped}
                for method in ("POST", "PATCH", "DELETE")
            ),
        ]
    )
    words = [repo.request if one == "REQUEST" else one for one in COMMANDS[command]]
    return repo.go(*words)


@pytest.mark.parametrize("part", range(2))
def test_an_odd_answer_is_an_error_that_names_the_call(repo, part):
    """Neither a traceback nor a defect, and who reads the error knows which answer it is."""
    faults = []
    for case in SAMPLE[part::2]:
        try:
            done = go(repo, *case)
        except AssertionError as error:
            faults.append((case, str(error)[:2000]))
            continue
        said = done.out + done.err
        if done.code == 1 and command_failed(done) and "/api/" not in said:
            faults.append((case, said[:800]))
    assert not faults, "\n\n".join(f"{case}\n{said}" for case, said in faults[:5])


def command_failed(done):
    return done.err.startswith("error:")
