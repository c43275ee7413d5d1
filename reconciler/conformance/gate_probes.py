"""Probes of the approval gate: what waits, what is free, and what votes do."""

from reconciler.conformance.exchange import ProbeSkippedError
from reconciler.conformance.scene import Scene, rollout, targeted
from reconciler.conformance.scratch import PREFIX

UPDATE, ENABLE = "feature_flag.update", "feature_flag.enable"
HELD = 409
PAYLOAD_TEXT = '"reconciler-probe"'  # a payload is JSON text


def probe_gate(scene: Scene) -> None:
    """Change a flag under an unconditional update policy."""
    recorder, facts = scene.recorder, scene.recorder.facts
    id_ = scene.create_flag("gated")
    facts |= {"gated_id": id_, "gated_key": f"{PREFIX}gated"}
    scene.set_policy(UPDATE)
    scene.patch_flag("gate.named", id_, name="Renamed")
    scene.patch_flag("gate.unchanged", id_, filters=rollout(0))
    scene.patch_flag("gate.payload", id_, filters={**rollout(0), "payloads": {"true": "1"}})
    held = scene.patch_flag("gate.rollout", id_, name="Withheld", filters=rollout(1))
    facts["request_id"] = request = scene.find_request(held)
    scene.read_flag("gate.withheld", id_)
    scene.patch_flag("gate.pending", id_, filters=rollout(2))
    collection = scene.project.path("change_requests")
    recorder.call("gate.request", "GET", scene.project.path("change_requests", request))
    for name, params in (
        ("listed", {"state": "pending,approved", "resource_id": str(id_)}),
        ("no_such_state", {"state": "nonsense"}),
        ("bad_requester", {"requester": "x"}),
    ):
        recorder.call(f"gate.{name}", "GET", collection, params=params)
    scene.act("gate.own", request, "approve")
    scene.act("gate.canceled", request, "cancel", {"reason": "reconciler conformance"})
    scene.act("gate.canceled_again", request, "cancel")
    scene.settle()
    scene.patch_flag("gate.targeting", id_, filters=targeted(0))
    scene.settle()
    scene.patch_flag("gate.deleted", id_, deleted=True)


def probe_conditions(scene: Scene) -> None:
    """Change a flag under policies with conditions, with a bypass, and disabled."""
    id_ = scene.create_flag("conditions")
    field = {"field": "rollout_percentage"}
    more = {"type": "change_amount", **field, "operator": ">", "value": 20}
    scene.set_policy(UPDATE, conditions=more)
    scene.patch_flag("conditions.small", id_, filters=rollout(20))
    scene.patch_flag("conditions.large", id_, filters=rollout(50))
    scene.settle()
    scene.set_policy(UPDATE, conditions={"type": "any_change", "field": "release_conditions"})
    scene.patch_flag("conditions.rollout_only", id_, filters=rollout(21))
    scene.settle()
    scene.patch_flag("conditions.release_only", id_, filters=targeted(21))
    scene.settle()
    scene.set_policy(
        UPDATE, conditions={"type": "before_after", **field, "operator": ">", "value": 5}
    )
    scene.patch_flag("conditions.high", id_, filters=targeted(21, "team"))
    scene.settle()
    scene.set_policy(UPDATE, bypass_org_membership_levels=[scene.project.user_level])
    scene.patch_flag("conditions.bypassed", id_, filters=rollout(30))
    scene.settle()
    scene.set_policy(UPDATE, enabled=False)
    scene.patch_flag("conditions.disabled", id_, filters=rollout(31))


def probe_stale_editor(scene: Scene) -> None:
    """Change release conditions from an old copy of the flag (contract 5.9)."""
    id_ = scene.create_flag("stale")
    original = scene.read_flag("", id_).answer
    scene.set_policy(UPDATE)
    scene.patch_flag("", id_, name="Renamed by somebody")
    old = {"version": 1, "original_flag": original}
    scene.patch_flag("stale.targeting", id_, filters=targeted(0), **old)
    collection = scene.project.path("change_requests")
    open_ = {"state": "pending,approved", "resource_id": str(id_)}
    scene.recorder.call("stale.filed", "GET", collection, params=open_)
    scene.settle()


def probe_enable(scene: Scene) -> None:
    """Enable and create flags, under one policy and under two."""
    recorder = scene.recorder
    id_ = scene.create_flag("enabled")
    scene.set_policy(ENABLE)
    scene.set_policy(UPDATE)
    scene.patch_flag("enable.both", id_, active=True, filters=rollout(1))
    scene.settle()
    scene.patch_flag("enable.targeting", id_, active=True, filters=targeted(0))
    scene.settle()
    collection = scene.project.path("feature_flags")
    body = {
        "key": f"{PREFIX}born",
        "filters": rollout(0),
        "_should_create_usage_dashboard": False,
    }
    recorder.call("enable.created_both", "POST", collection, body)
    scene.settle()
    scene.set_policy(UPDATE, enabled=False)
    scene.patch_flag("enable.enabled", id_, active=True)
    scene.settle()
    recorder.call("enable.route", "POST", f"{scene.project.path('feature_flags', id_)}enable/", {})
    scene.settle()
    recorder.facts["born_key"] = f"{PREFIX}born-2"
    recorder.call("enable.created", "POST", collection, {**body, "key": f"{PREFIX}born-2"})
    scene.settle()


def probe_votes(scene: Scene) -> None:
    """Decide requests with the own key, which the policy of this probe allows (contract 7.4)."""
    facts = scene.recorder.facts
    facts["vote_flag_id"] = id_ = scene.create_flag("votes")
    scene.set_policy(UPDATE, allow_self_approve=True)
    request = scene.find_request(scene.patch_flag("", id_, filters=rollout(1)))
    scene.act("votes.no_reason", request, "reject", {})
    scene.act("votes.rejected", request, "reject", {"reason": "reconciler conformance"})
    scene.act("votes.closed", request, "approve")
    scene.settle()
    request = scene.find_request(scene.patch_flag("", id_, filters=rollout(1)))
    facts["user_id"] = scene.project.user_id
    scene.act("votes.applied", request, "approve", {"reason": "reconciler conformance"})
    scene.settle()
    scene.read_flag("votes.written", id_)
    request = scene.find_request(scene.patch_flag("", id_, filters=rollout(2)))
    scene.patch_flag("votes.free", id_, name="Renamed")
    scene.act("votes.unappliable", request, "approve")
    scene.settle()


def probe_second_person(scene: Scene) -> None:
    """Decide a request that needs two people."""
    if scene.project.second_id is None:
        raise ProbeSkippedError("no second key was given (--second-key-env)")
    recorder = scene.recorder
    id_ = scene.create_flag("two")
    config = scene.config(2)
    scene.set_policy(UPDATE, approver_config=config, allow_self_approve=True)
    request = scene.find_request(scene.patch_flag("", id_, filters=rollout(1)))
    path = scene.project.path("change_requests", request)
    recorder.call("second.seen", "GET", path, as_second=True)
    scene.act("second.foreign_cancel", request, "cancel", as_second=True)
    scene.act("second.approved", request, "approve", as_second=True)
    scene.act("second.approved_again", request, "approve", as_second=True)
    scene.act("second.rejected", request, "reject", {"reason": "reconciler conformance"})
    scene.settle()


def probe_secrets(scene: Scene) -> None:
    """Change an encrypted payload under a policy: the request may show it (contract 7.2)."""
    secret = {"payloads": {"true": PAYLOAD_TEXT}}
    id_ = scene.create_flag(
        "secret",
        is_remote_configuration=True,
        has_encrypted_payloads=True,
        filters={**rollout(0), **secret},
    )
    scene.set_policy(UPDATE)
    held = scene.patch_flag("secrets.filed", id_, filters={**rollout(1), **secret})
    request = scene.find_request(held)
    path = scene.project.path("change_requests", request)
    scene.recorder.call("secrets.request", "GET", path)
    scene.settle()
    scene.read_flag("secrets.read", id_)


def probe_rollouts(scene: Scene) -> None:
    """Set a percentage for a version of the flag, under a policy and without (contract 9.9)."""
    recorder, project = scene.recorder, scene.project
    id_ = scene.create_flag("versioned")
    path = project.path("feature_flags", id_, "set_release_condition_rollout")
    body = {"condition_index": 0, "rollout_percentage": 1}
    scene.set_policy(UPDATE)
    recorder.call("rollouts.stale", "POST", path, {**body, "version": 7})
    filed = {"state": "pending,approved", "resource_id": str(id_)}
    recorder.call("rollouts.filed", "GET", project.path("change_requests"), params=filed)
    recorder.call("rollouts.held", "POST", path, {**body, "version": 1})
    scene.settle()
    scene.delete_policies()
    recorder.call("rollouts.written", "POST", path, {**body, "version": 1})
    recorder.call("rollouts.repeated", "POST", path, {**body, "version": 2})
    scene.patch_flag("", id_, deleted=True)
    recorder.call("rollouts.deleted", "POST", path, {**body, "version": 3})


def probe_reserved_key(scene: Scene) -> None:
    """Rename a policy to a key of experiments, where the gate is that of G3 (contract 3.8).

    Where an older server accepted that, the policy would be hidden, and could not be removed.
    """
    held = scene.recorder.exchanges.get("gate.targeting")
    if held is None or held.status != HELD:
        raise ProbeSkippedError("the server may be older than g3, and would keep a hidden policy")
    id_ = scene.create_policy("", f"{PREFIX}reserved", enabled=False)
    path = scene.project.path("approval_policies", id_)
    scene.recorder.call("reserved.renamed", "PATCH", path, {"action_key": "experiment.pause"})
