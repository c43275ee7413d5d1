"""A small world: one organization, two projects, four people with keys."""

import copy

PEOPLE = ["alice", "bob", "carol", "ci"]


def seed(**changes):
    """The world; keyword arguments replace keys of the organization."""
    users = [
        {
            "email": f"{name}@acme.test",
            "first_name": name.title(),
            "id": number,
            "tokens": [{"token": f"phx_{name}", "scopes": ["*"]}],
        }
        for number, name in enumerate(PEOPLE, 11)
    ]
    organization = {
        "name": "Acme",
        "slug": "acme",
        "features": ["approvals", "audit_logs", "organizations_projects"],
        "members": [
            {"email": "alice@acme.test", "level": "owner"},
            {"email": "bob@acme.test", "level": "member"},
            {"email": "carol@acme.test", "level": "admin"},
            {"email": "ci@acme.test", "level": "admin"},
        ],
        "roles": [],
        "projects": [{"name": "Web", "id": 1}, {"name": "Mobile", "id": 2}],
    }
    organization.update(copy.deepcopy(changes))
    return {"users": users, "organizations": [organization]}


def policy(action, **changes):
    """An enabled policy of the seed: one of alice or bob has to agree."""
    return {
        "action_key": action,
        "conditions": {},
        "approver_config": {
            "quorum": 1,
            "users": ["alice@acme.test", "bob@acme.test"],
            "roles": [],
        },
        "enabled": True,
        **changes,
    }


def live_flag(key, rollout=10, **changes):
    """A flag of the seed."""
    return {
        "key": key,
        "name": key,
        "active": False,
        "filters": {"groups": [{"properties": [], "rollout_percentage": rollout}]},
        **changes,
    }


def flag(key, rollout=None, project="Web", **spec):
    """A flag document."""
    if rollout is not None:
        spec["filters"] = {"groups": [{"properties": [], "rollout_percentage": rollout}]}
    return {
        "kind": "FeatureFlag",
        "metadata": {"organization": "acme", "project": project, "key": key},
        "spec": spec,
    }


def document(kind, spec, **metadata):
    """Any document."""
    return {"kind": kind, "metadata": {"organization": "acme", **metadata}, "spec": spec}
