"""The world that the clients meet: three projects, of which one asks for approval."""

ORGANIZATION = "c0000000-0000-4000-8000-000000000001"
ROLE = "c0000000-0000-4000-8000-000000000002"
MEMBER = "c0000000-0000-4000-8000-000000000003"
KEY = "phx_clients_owner"
WEB, MOBILE, GATED = 1, 2, 3
FLAGS = 230  # three pages of 100: clients follow pages in different ways
GATED_FLAG = 900


def _flag(number):
    return {
        "key": f"flag-{number:03}",
        "id": number,
        "filters": {"groups": [{"properties": [], "rollout_percentage": 50}]},
    }


def _policy(action_key):
    return {"action_key": action_key, "approver_config": {"quorum": 1, "users": ["max@acme.test"]}}


SEED = {
    "now": "2026-01-05T09:00:00Z",
    "users": [
        {
            "email": "olga@acme.test",
            "first_name": "Olga",
            "id": 11,
            "tokens": [{"token": KEY, "scopes": ["*"]}],
        },
        {"email": "max@acme.test", "first_name": "Max", "id": 12, "uuid": MEMBER},
    ],
    "organizations": [
        {
            "name": "Acme",
            "slug": "acme",
            "id": ORGANIZATION,
            "features": ["approvals", "audit_logs", "organizations_projects"],
            "members": [
                {"email": "olga@acme.test", "level": "owner"},
                {"email": "max@acme.test", "level": "member"},
            ],
            "roles": [{"name": "Devs", "id": ROLE, "members": ["olga@acme.test"]}],
            "projects": [
                {
                    "name": "Web",
                    "id": WEB,
                    "feature_flags": [_flag(number) for number in range(1, FLAGS + 1)],
                },
                {"name": "Mobile", "id": MOBILE},
                {
                    "name": "Gated",
                    "id": GATED,
                    "approval_policies": [_policy("feature_flag.update")],
                    "feature_flags": [_flag(GATED_FLAG)],
                },
            ],
        }
    ],
}
