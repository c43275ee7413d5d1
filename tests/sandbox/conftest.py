"""Fixtures: one server per worker, a fresh world per test, and callers with their own keys."""

import copy
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from reconciler.sandbox.server.server import background
from reconciler.sandbox.server.testing import Sandbox

FULL = {"groups": [{"properties": [], "rollout_percentage": 50}]}
NOW = "2026-01-05T09:00:00Z"
RULE = {"approver_config": {"quorum": 1, "users": ["ada@acme.test"]}}

SEED = {
    "now": NOW,
    "users": [
        {
            "email": f"{name}@acme.test",
            "first_name": name.title(),
            "id": number,
            "tokens": [{"token": f"phx_{name}", "scopes": ["*"]}],
        }
        for number, name in enumerate(
            ("olga", "ada", "abe", "max", "mia", "otto", "gone"), start=11
        )
    ],
    "organizations": [
        {
            "name": "Acme",
            "slug": "acme",
            "id": "a0000000-0000-4000-8000-000000000001",
            "features": ["approvals", "audit_logs", "organizations_projects"],
            "members": [
                {"email": "olga@acme.test", "level": "owner"},
                {"email": "ada@acme.test", "level": "admin"},
                {"email": "abe@acme.test", "level": "admin"},
                {"email": "max@acme.test", "level": "member"},
                {"email": "mia@acme.test", "level": "member"},
                {"email": "gone@acme.test", "level": "member"},
            ],
            "roles": [
                {
                    "name": "Release managers",
                    "id": "b0000000-0000-4000-8000-000000000001",
                    "members": ["mia@acme.test"],
                },
                {"name": "Nobody", "id": "b0000000-0000-4000-8000-000000000002"},
            ],
            "projects": [
                {
                    "name": "Web",
                    "id": 1,
                    "cohorts": [
                        {"name": "Beta testers", "id": 5, "is_static": True},
                        {"name": "Gone", "id": 6, "deleted": True},
                    ],
                    "feature_flags": [
                        {"key": "on", "id": 1, "filters": FULL, "created_by": "ada@acme.test"},
                        {"key": "off", "id": 2, "active": False, "filters": FULL},
                    ],
                },
                {"name": "Mobile", "id": 2, "cohorts": [{"name": "Beta testers", "id": 7}]},
            ],
        },
        {
            "name": "Other",
            "slug": "other",
            "id": "a0000000-0000-4000-8000-000000000002",
            "features": ["approvals", "audit_logs"],
            "members": [{"email": "otto@acme.test", "level": "owner"}],
            "roles": [{"name": "Foreign", "id": "b0000000-0000-4000-8000-000000000003"}],
            "projects": [{"name": "Theirs", "id": 3}],
        },
    ],
}
SEED["users"][6]["is_active"] = False

ORG = "/api/organizations/a0000000-0000-4000-8000-000000000001"
FLAGS = "/api/projects/1/feature_flags"
POLICIES = "/api/projects/1/approval_policies"
REQUESTS = "/api/projects/1/change_requests"
MANAGERS = "b0000000-0000-4000-8000-000000000001"
LEVELS = {"member": "max", "admin": "ada", "owner": "olga"}


@dataclass(frozen=True)
class Api:
    """The sandbox, asked by one of the people of the seed."""

    sandbox: Sandbox

    def call(self, method, path, body=None, who="olga"):
        token = f"phx_{who}" if who else None
        return self.sandbox.call(method, path, token=token, body=body)

    def get(self, path, who="olga"):
        return self.call("GET", path, who=who)

    def post(self, path, body=None, who="olga"):
        return self.call("POST", path, body if body is not None else {}, who=who)

    def patch(self, path, body, who="olga"):
        return self.call("PATCH", path, body, who=who)

    def delete(self, path, who="olga"):
        return self.call("DELETE", path, who=who)

    def results(self, path, who="olga"):
        reply = self.get(path, who=who)
        assert reply.status == 200, reply.body
        return reply.body["results"]

    def reset(self, change=None, **top):
        """Reset to the seed; `change` may modify a copy of it."""
        seed = copy.deepcopy(SEED) | top
        if change is not None:
            change(seed)
        self.sandbox.reset(seed)

    def policy(self, action="feature_flag.enable", **more):
        """An approval policy of project 1, made over the API by the owner."""
        config = {"quorum": 1, "users": [12]}
        body = {"action_key": action, "approver_config": config, **more}
        reply = self.post(f"{POLICIES}/", body)
        assert reply.status == 201, reply.body
        return reply.body

    def file(self, who="max", flag=2, **change):
        """A change request of its own, from a write that the gate holds back."""
        reply = self.patch(f"{FLAGS}/{flag}/", change or {"active": True}, who=who)
        assert reply.status == 409, reply.body
        assert reply.body["code"] == "approval_required"
        return reply.body["change_request"]


@pytest.fixture(scope="session")
def server():
    with background(seed=SEED) as running:
        yield Sandbox(running.url)


@pytest.fixture
def api(server):
    found = Api(server)
    found.reset()
    return found


@pytest.fixture
def world_of():
    """make(**options) -> an Api over a sandbox of its own, for other starts than the usual."""
    with ExitStack() as stack:

        def make(**options):
            running = stack.enter_context(background(**{"seed": SEED, **options}))
            return Api(Sandbox(running.url))

        yield make


@pytest.fixture(scope="session")
def g2_server():
    with background(seed=SEED, profile="g2") as running:
        yield Sandbox(running.url)


@pytest.fixture
def g2(g2_server):
    """The generation before autumn 2026, with the usual world."""
    found = Api(g2_server)
    found.reset()
    return found
