"""Probes without the gate: access, policies, flags, holdouts. Calls have names for statements."""

from typing import Final

from reconciler.conformance.exchange import ProbeSkippedError, set_aside
from reconciler.conformance.scene import Scene, rollout
from reconciler.conformance.scratch import NOBODY, PREFIX

INERT: Final = f"{PREFIX}inert"  # an action key that gates nothing (contract 3.6)
SECOND_INERT: Final = f"{PREFIX}quorum"
_LOG_NEEDS: Final = "the scope activity_log:read and the plan's activity log"
_NO_FLAG: Final = "2147483646"
_FIRST_KEY: Final = f"{PREFIX}flag"


def probe_access(scene: Scene) -> None:
    """Read what every client begins with, and what nobody may do."""
    recorder, project = scene.recorder, scene.project
    policies = project.path("approval_policies")
    recorder.call("access.me", "GET", "/api/users/@me/")
    alias = policies.replace("/api/projects/", "/api/environments/")
    recorder.call("access.alias", "GET", alias, params={"limit": 1})
    recorder.call("access.no_slash", "GET", policies.rstrip("/"), params={"limit": 1})
    recorder.call("access.page", "GET", policies, params={"limit": 1})
    recorder.call("access.unknown", "GET", project.path("approval_policies", NOBODY))
    recorder.call("access.posted_request", "POST", project.path("change_requests"), {})
    logs = f"/api/organizations/{project.organization_id}/advanced_activity_logs/"
    answered = recorder.call("access.logs", "GET", logs, params={"page_size": 1})
    set_aside(recorder, answered, _LOG_NEEDS)
    counted = recorder.call("access.log_page", "GET", logs, params={"page_size": 1, "page": 1})
    set_aside(recorder, counted, _LOG_NEEDS)


def probe_policies(scene: Scene) -> None:
    """Create, change and delete policies that gate nothing."""
    recorder, project = scene.recorder, scene.project
    collection = project.path("approval_policies")
    recorder.facts["approver_config"] = scene.config()
    recorder.call("policies.empty", "POST", collection, {})
    path = project.path(
        "approval_policies", scene.create_policy("policies.created", INERT, enabled=False)
    )
    again = {"action_key": INERT, "approver_config": scene.config(), "enabled": False}
    recorder.call("policies.duplicate", "POST", collection, again)
    weak = {"action_key": SECOND_INERT, "approver_config": scene.config(0), "enabled": False}
    recorder.call("policies.no_quorum", "POST", collection, weak)
    for name, field, value in (
        ("null_conditions", "conditions", None),
        ("weeks", "expires_after", "P1W"),
        ("hours", "expires_after", "PT36H"),
        ("seconds", "expires_after", "14"),
        ("levels", "bypass_org_membership_levels", ["8"]),
        ("unknown_role", "bypass_roles", [NOBODY]),
    ):
        recorder.call(f"policies.{name}", "PATCH", path, {field: value})
    recorder.call("policies.filtered", "GET", collection, params={"action_key": INERT})
    recorder.call("policies.deleted", "DELETE", path)
    recorder.call("policies.gone", "GET", path)
    scene.policies.pop(INERT)
    for name, action_key in (("survey", "survey.launch"), ("experiment", "experiment.launch")):
        body = {"action_key": action_key, "approver_config": scene.config(), "enabled": False}
        recorder.call(f"policies.{name}", "POST", collection, body)


def probe_flags(scene: Scene) -> None:
    """Create, change and delete a flag that no policy concerns."""
    recorder, collection = scene.recorder, scene.project.path("feature_flags")
    filters = {**rollout(0), "payloads": {"true": {"a": 1}}}
    id_ = scene.create_flag(
        "flag", "flags.created", name="  Probe  ", tags=["B ", "a"], filters=filters
    )
    recorder.facts["flag_id"] = id_
    _probe_refusals(scene)
    recorder.call("flags.found", "GET", collection, params={"search": _FIRST_KEY})
    scene.patch_flag("flags.merged", id_, filters={"payloads": {"true": "2"}})
    scene.patch_flag("flags.renamed", id_, name="Second name")
    scene.patch_flag("flags.unchanged", id_, name="Second name")
    old = {"version": 1, "original_flag": {"name": "Probe", "version": 1}}
    scene.patch_flag("flags.conflict", id_, name="Third name", **old)
    scene.patch_flag("flags.old_version", id_, name="Third name", version=1)
    recorder.call("flags.hard_delete", "DELETE", scene.project.path("feature_flags", id_))
    scene.patch_flag("flags.soft_delete", id_, deleted=True)
    recorder.call("flags.unlisted", "GET", collection, params={"search": _FIRST_KEY})
    scene.read_flag("flags.deleted", id_)


def _probe_refusals(scene: Scene) -> None:
    """Send flags that PostHog refuses (contract 9.1, 9.2)."""
    age = {"key": "age", "type": "person", "operator": "gt", "value": 5}
    other = {"key": _NO_FLAG, "type": "flag", "operator": "flag_evaluates_to", "value": True}
    variants = [{"key": "a", "rollout_percentage": 60}, {"key": "b", "rollout_percentage": 30}]
    for name, fields in (
        ("bad_key", {"key": "no spaces!"}),
        ("same_key", {"key": _FIRST_KEY}),
        ("no_groups", {"filters": {"groups": []}}),
        ("variants", {"filters": {**rollout(0), "multivariate": {"variants": variants}}}),
        ("unknown_variant", {"filters": rollout(0, variant="a")}),
        ("number", {"filters": rollout(0, properties=[age])}),
        ("operator", {"filters": rollout(0, properties=[{**age, "operator": "likes"}])}),
        ("unknown_flag", {"filters": rollout(0, properties=[other])}),
        ("reserved", {"filters": {**rollout(0), "version": 2}}),
        ("percentage", {"filters": rollout(101)}),
    ):
        body = {"key": f"{PREFIX}refused", "active": False, "filters": rollout(0), **fields}
        scene.recorder.call(f"flags.{name}", "POST", scene.project.path("feature_flags"), body)


def probe_holdouts(scene: Scene) -> None:
    """Change and delete a holdout under a flag policy whose conditions do not count."""
    recorder, project = scene.recorder, scene.project
    collection = project.path("experiment_holdouts")
    groups = [{"properties": [], "rollout_percentage": 5}]
    body = {"name": f"{PREFIX}holdout", "description": "", "filters": groups}
    created = recorder.call("holdouts.created", "POST", collection, body)
    if set_aside(recorder, created, "the scope experiment_holdout:write"):
        raise ProbeSkippedError(recorder.skipped[created.name])
    listed = recorder.call("holdouts.listed", "GET", collection)
    id_ = (
        next(
            (
                row.get("id")
                for row in listed.get("results") or ()
                if row.get("name") == body["name"]
            ),
            created.get("id"),
        )
        if isinstance(listed.get("results"), list)
        else created.get("id")
    )
    if not isinstance(id_, int):
        return
    recorder.facts |= {"holdout_id": id_, "holdout_variant": f"holdout-{id_}"}
    path = project.path("experiment_holdouts", id_)
    never = {"type": "change_amount", "field": "rollout_percentage", "operator": ">", "value": 999}
    scene.set_policy("feature_flag.update", conditions=never)
    recorder.call("holdouts.described", "PATCH", path, {"description": "Only words"})
    changed = [{"properties": [], "rollout_percentage": 6, "variant": f"holdout-{id_}"}]
    recorder.call("holdouts.update", "PATCH", path, {"filters": changed})
    recorder.call("holdouts.pending", "PATCH", path, {"filters": changed})
    scene.settle()
    recorder.call("holdouts.delete", "DELETE", path)
    recorder.call("holdouts.delete_pending", "DELETE", path)
    scene.settle()
    scene.delete_policies()
    recorder.call("holdouts.deleted", "DELETE", path)
