"""What a flag write changes that a policy may gate (contract 5.2), by the family of its owner."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.rules import flag_filters
from reconciler.sandbox.rules.flag_filters import Position
from reconciler.sandbox.rules.products import flag_owners
from reconciler.sandbox.rules.release_conditions import (
    list_changed_paths,
    list_release_conditions,
)
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import Flag, Policy

ENABLE, DISABLE, UPDATE = "enable", "disable", "update"
FLAG_FAMILY = {
    ENABLE: "feature_flag.enable",
    DISABLE: "feature_flag.disable",
    UPDATE: "feature_flag.update",
}
EXPERIMENT_FAMILY = {
    ENABLE: "experiment.launch",
    DISABLE: "experiment.pause",
    UPDATE: "experiment.update",
}
ROLLOUT, RELEASE = "rollout_percentage", "release_conditions"
_FULL = [{"path": "groups[0].rollout_percentage", "value": 100}]


@dataclass(frozen=True, slots=True)
class FlagWrite:
    """A flag write that passed validation and has not happened yet."""

    flag: Flag | None
    key: str
    values: Mapping[str, Any]  # validated and normalized
    data: Mapping[str, Any]  # as sent
    method: str = "PATCH"
    tidies: bool = True  # whether the save drops what older versions kept in filters (contract 9.2)
    replaces: str | None = None  # the request that a new one would replace: no duplicate

    @property
    def resource(self) -> str | None:
        """Return the flag's id as text; None for a create, and for an experiment's own POST."""
        return str(self.flag.id) if self.flag is not None and self.method != "POST" else None


@dataclass(frozen=True, slots=True)
class DetectedChange:
    """The part of a write that one action is about: its fields before and after."""

    kind: str  # enable, disable or update
    action_key: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    exact: bool = False  # whether release conditions compare as JSON text

    @property
    def positions(self) -> tuple[Mapping[str, list[Position]], Mapping[str, list[Position]]]:
        """Return what conditions evaluate; enable and disable supply nothing (contract 4)."""
        if self.kind == UPDATE:
            return self.before, self.after
        return {}, {}

    def list_triggered_paths(self) -> list[str]:
        """Return the positions that differ, in the order of the fields."""
        if self.exact:
            return [
                path
                for name, new in self.after.items()
                for path in list_changed_paths(self.before[name], new, exact=name == RELEASE)
            ]
        paths: list[str] = []
        for name, new in self.after.items():
            old = {position["path"]: position["value"] for position in self.before[name]}
            now = {position["path"]: position["value"] for position in new}
            paths += [path for path in now if path not in old or old[path] != now[path]]
            paths += [path for path in old if path not in now]
        return paths


def find_family(call: Call, flag: Flag | None) -> Mapping[str, str]:
    """Return the actions that govern a flag: those of its owner, if policies are by owner."""
    if not call.profile.knows_owners or flag is None or not call.organization.owner_scoping:
        return FLAG_FAMILY
    owner = flag_owners.find_owner(call.tx, flag)
    if owner is None:
        return FLAG_FAMILY
    return EXPERIMENT_FAMILY if owner == flag_owners.EXPERIMENT else {}


def detect_change(
    call: Call, attempt: FlagWrite, kind: str, policies: tuple[Policy, ...]
) -> DetectedChange | None:
    """Return the change that an action is about, if the write makes it (contract 5.2)."""
    profile = call.profile
    action_key = policies[0].action_key
    if attempt.flag is None and not profile.gates_creates:
        return None
    if kind == UPDATE:
        if profile.gates_targeting:
            return _detect_update_or_targeting(call, attempt, action_key)
        return _detect_update(profile, attempt, policies)
    active = attempt.values.get("active", True if attempt.flag is None else None)
    before = attempt.flag.active if attempt.flag is not None else False
    target = kind == ENABLE
    if active is not target or before is target:
        return None
    if attempt.flag is None and not target:
        return None
    after = {"active": target}
    if profile.gates_targeting and "active" not in attempt.values:
        after = {}  # a create that omits it
    return DetectedChange(kind, action_key, {"active": before}, after)


def _detect_update_or_targeting(
    call: Call, attempt: FlagWrite, action_key: str
) -> DetectedChange | None:
    """Compare rollouts, and the release conditions of a standalone flag (contract 5.2)."""
    flag = attempt.flag
    stored = flag.filters if flag is not None else {}
    filters = attempt.values.get("filters", stored)
    before: dict[str, Any] = {ROLLOUT: flag_filters.find_rollouts(stored, call.profile)}
    after: dict[str, Any] = {ROLLOUT: flag_filters.find_rollouts(filters, call.profile)}
    if flag is not None:
        bucketing = attempt.values.get("bucketing_identifier", flag.bucketing_identifier)
        was = list_release_conditions(stored, flag.bucketing_identifier)
        becomes = list_release_conditions(filters, bucketing)
        changed = list_changed_paths(was, becomes, exact=True)
        if changed and flag_owners.find_owner(call.tx, flag) is None:
            before[RELEASE], after[RELEASE] = was, becomes
    detected = DetectedChange(UPDATE, action_key, before, after, exact=True)
    return detected if detected.list_triggered_paths() else None


def _detect_update(
    profile: Profile, attempt: FlagWrite, policies: tuple[Policy, ...]
) -> DetectedChange | None:
    """Compare rollouts, and release conditions where a policy selects them (G1, G2)."""
    flag, sent = attempt.flag, attempt.data.get("filters")
    action_key = policies[0].action_key
    if not sent:
        if flag is not None or not attempt.values.get("is_remote_configuration"):
            return None
        return DetectedChange(UPDATE, action_key, {ROLLOUT: []}, {ROLLOUT: _FULL})
    filters = attempt.values.get("filters")
    old = flag_filters.find_rollouts(flag.filters, profile) if flag is not None else []
    new = flag_filters.find_rollouts(filters, profile)
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    if _differ(old, new):
        before[ROLLOUT], after[ROLLOUT] = old, new
    if profile.knows_release_conditions and any(_selects_release(policy) for policy in policies):
        was = flag_filters.find_release_conditions(flag.filters) if flag is not None else []
        becomes = flag_filters.find_release_conditions(filters)
        if _differ(was, becomes):
            before[RELEASE], after[RELEASE] = was, becomes
    return DetectedChange(UPDATE, action_key, before, after) if after else None


def _selects_release(policy: Policy) -> bool:
    chosen = policy.conditions
    return isinstance(chosen, dict) and chosen.get("field") == RELEASE


def _differ(old: list[Position], new: list[Position]) -> bool:
    return {position["path"]: position["value"] for position in old} != {
        position["path"]: position["value"] for position in new
    }
