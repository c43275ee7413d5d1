"""Flags of twelve fields and about 600 bytes, as files and as PostHog answers them."""

import json
import subprocess

PER_FILE = 100
PERSON = {"id": 7, "uuid": "00000000-0000-4000-8000-000000000007", "email": "ci@acme.test"}
FLAGS = "/api/projects/1/feature_flags/"
SCHEDULES = "/api/projects/1/scheduled_changes/"
SETTINGS = """\
version: 1
targets:
  bench:
    paths: [config]
    rate_limit: {per_minute: 1000000, per_hour: 10000000}
"""
POLICY = """\
kind: ApprovalPolicy
metadata: {organization: acme, project: Web, action: feature_flag.update}
spec:
  enabled: true
  conditions: {type: change_amount, field: rollout_percentage, operator: ">", value: 5}
  approvers: {quorum: 1, users: [ci@acme.test]}
"""


def written(number, share):
    """One flag as a person writes it."""
    return f"""\
kind: FeatureFlag
metadata:
  organization: acme
  project: Web
  key: checkout-step-{number}
spec:
  name: Step {number} of the new checkout, for people who pay by card
  active: {"true" if number % 2 else "false"}
  archived: false
  tags: [checkout, team-{number % 20}]
  evaluation_contexts: [web]
  evaluation_runtime: all
  bucketing_identifier: distinct_id
  ensure_experience_continuity: false
  is_remote_configuration: false
  has_encrypted_payloads: false
  analytics_dashboards: []
  filters:
    groups:
      - properties:
          - key: country
            type: person
            operator: exact
            value: [DE, AT, CH]
        rollout_percentage: {share}
"""


def answered(number):
    """Return the flag as PostHog responds with it."""
    country = {"key": "country", "type": "person", "operator": "exact", "value": ["DE", "AT", "CH"]}
    group = {
        "properties": [country],
        "rollout_percentage": number % 90,
        "variant": None,
        "aggregation_group_type_index": None,
        "sort_key": f"key-{number}",
    }
    return {
        "id": number + 1,
        "key": f"checkout-step-{number}",
        "name": f"Step {number} of the new checkout, for people who pay by card",
        "active": bool(number % 2),
        "archived": False,
        "deleted": False,
        "tags": ["checkout", f"team-{number % 20}"],
        "evaluation_contexts": ["web"],
        "evaluation_runtime": "all",
        "bucketing_identifier": "distinct_id",
        "ensure_experience_continuity": False,
        "is_remote_configuration": False,
        "has_encrypted_payloads": False,
        "analytics_dashboards": [],
        "filters": {"groups": [group], "payloads": {}, "multivariate": None},
        "version": 1,
        "created_by": PERSON,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "experiment_set": [],
        "surveys": [],
        "can_edit": True,
        "user_access_level": "editor",
    }


def write(folder, count, *, moved=0, policy=False):
    """Write so many flags below `folder`/config, 100 per file; the first `moved` are changed."""
    config = folder / "config"
    config.mkdir(parents=True, exist_ok=True)
    (folder / "reconciler.yaml").write_text(SETTINGS)
    if policy:
        (config / "policy.yaml").write_text(POLICY)
    for start in range(0, count, PER_FILE):
        numbers = range(start, min(count, start + PER_FILE))
        many = [written(number, number % 90 + 10 * (number < moved)) for number in numbers]
        (config / f"flags-{start:07}.yaml").write_text("---\n".join(many))


def serve(file, count, *, policy=False):
    """Return responses for `static_server`: an organization with a project of so many flags."""
    project = {"id": 1, "name": "Web"}
    organization = {
        "id": "018f0000-0000-4000-8000-000000000001",
        "slug": "acme",
        "name": "Acme",
        "membership_level": 15,
        "teams": [project],
        "projects": [project],
        "available_product_features": [{"key": "approvals", "name": "Approvals"}],
    }
    below = f"/api/organizations/{organization['id']}"
    above = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 5}
    rule = {
        "id": "018f0000-0000-4000-8000-00000000000a",
        "action_key": "feature_flag.update",
        "enabled": True,
        "conditions": above,
        "approver_config": {"quorum": 1, "users": [PERSON["id"]], "roles": []},
        "allow_self_approve": False,
        "bypass_org_membership_levels": [],
        "bypass_roles": [],
        "expires_after": "14 00:00:00",
    }
    lists = {
        "/api/organizations/": [organization],
        FLAGS: [answered(number) for number in range(count)],
        "/api/projects/1/approval_policies/": [rule] if policy else [],
        "/api/projects/1/change_requests/": [],
        SCHEDULES: [],
        f"{below}/roles/": [],
        f"{below}/members/": [{"id": "1", "user": PERSON, "level": 15}],
    }
    me = {**PERSON, "organization": {"membership_level": 15}}
    file.write_text(json.dumps({"lists": lists, "pages": {"/api/users/@me/": me}}))


def commit(folder):
    """Everything below `folder` as one commit of a repository of its own."""
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@acme.test", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *words], cwd=folder, check=True)
