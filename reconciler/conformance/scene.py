"""What probes are made of: a flag of ours, a policy of ours, a gated write and its request.

An id is never taken from a single response: it is looked up, so that a wrong response is one
difference and does not end everything that follows.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import field
from typing import Any, Final

from reconciler.conformance import scratch
from reconciler.conformance.exchange import Exchange, ProbeSkippedError, Recorder, set_aside
from reconciler.conformance.scratch import MARK, PREFIX, ScratchProject
from reconciler.errors import ApiError
from reconciler.lazy_dataclass import dataclass

CREATED: Final = 201


@dataclass(slots=True)
class Scene:
    """A project, and the objects of ours in it."""

    recorder: Recorder
    project: ScratchProject
    policies: dict[str, str] = field(default_factory=dict)  # action key -> id

    # -- flags

    def create_flag(self, suffix: str, call: str = "", /, **fields: Any) -> int:
        """Create an inactive flag that serves nobody; return its id."""
        key = f"{PREFIX}{suffix}"
        body = {
            "key": key,
            "name": "Probe",
            "active": False,
            "filters": rollout(0),
            "_should_create_usage_dashboard": False,
            **fields,
        }
        created = self.recorder.call(call, "POST", self.project.path("feature_flags"), body)
        if set_aside(self.recorder, created, "the scope feature_flag:write"):
            raise ProbeSkippedError(self.recorder.skipped[created.name])
        id_ = self.find_flag(key, created)
        if id_ is None:
            raise ProbeSkippedError(f"a flag cannot be created: HTTP {created.status}")
        return id_

    def find_flag(self, key: str, created: Exchange) -> int | None:
        """Return the id of a flag of ours: from the list, else from the answer that made it."""
        listed = self._list_quietly("feature_flags", {"search": key})
        for flag in listed:
            if flag.get("key") == key and isinstance(flag.get("id"), int):
                return int(flag["id"])
        answered = created.get("id")
        return answered if created.status == CREATED and isinstance(answered, int) else None

    def patch_flag(self, call: str, id_: int, /, **fields: Any) -> Exchange:
        """Change a flag of ours."""
        path = self.project.path("feature_flags", id_)
        return self.recorder.call(call, "PATCH", path, fields)

    def read_flag(self, name: str, id_: int) -> Exchange:
        """Read a flag of ours."""
        return self.recorder.call(name, "GET", self.project.path("feature_flags", id_))

    # -- policies

    def config(self, quorum: int = 1) -> dict[str, Any]:
        """Return an `approver_config` of ours: the key's own user, and the second if there is one.

        Unknown keys of it are kept (contract 3.1), so it carries our mark.
        """
        people = [self.project.user_id]
        if self.project.second_id is not None:
            people.append(self.project.second_id)
        return {"quorum": quorum, "users": people, "roles": [], MARK: True}

    def set_policy(self, action_key: str, **fields: Any) -> str:
        """Create a policy of ours, or change it; return its id."""
        values = {
            "conditions": {},
            "approver_config": self.config(),
            "allow_self_approve": False,
            "bypass_org_membership_levels": [],
            "enabled": True,
            **fields,
        }
        if action_key in self.policies:
            id_ = self.policies[action_key]
            path = self.project.path("approval_policies", id_)
            self.recorder.call("", "PATCH", path, values)
            return id_
        return self.create_policy("", action_key, **values)

    def create_policy(self, name: str, action_key: str, **fields: Any) -> str:
        """Create a policy of ours; return its id."""
        body = {"action_key": action_key, "approver_config": self.config(), **fields}
        created = self.recorder.call(name, "POST", self.project.path("approval_policies"), body)
        if set_aside(self.recorder, created, "the scope approvals:write"):
            raise ProbeSkippedError(self.recorder.skipped[created.name])
        id_ = self._find_policy(action_key, created)
        if id_ is None:
            raise ProbeSkippedError(f"a policy cannot be created: HTTP {created.status}")
        self.policies[action_key] = id_
        return id_

    def _find_policy(self, action_key: str, created: Exchange) -> str | None:
        for policy in self._list_quietly("approval_policies", {"action_key": action_key}):
            if policy.get("action_key") == action_key and scratch.is_own_policy(policy):
                return str(policy.get("id"))
        answered = created.get("id")
        return answered if created.status == CREATED and isinstance(answered, str) else None

    def delete_policies(self) -> None:
        """Delete the policies of this scene, so that the next probe begins without any."""
        for id_ in self.policies.values():
            self.recorder.call("", "DELETE", self.project.path("approval_policies", id_))
        self.policies.clear()

    # -- change requests

    def find_request(self, held: Exchange) -> str:
        """Return the id of the newest open request of ours: from the list, else from the answer.

        Raises:
            ProbeSkippedError: there is none.

        """
        try:
            requests = scratch.list_own_requests(self.recorder, self.project)
        except ApiError:
            requests = ()
        id_ = requests[0].get("id") if requests else held.get("change_request_id")
        if not isinstance(id_, str):
            raise ProbeSkippedError("a gated write has not filed a change request")
        return id_

    def act(
        self,
        name: str,
        id_: str,
        action: str,
        body: Mapping[str, Any] | None = None,
        *,
        as_second: bool = False,
    ) -> Exchange:
        """Approve, reject or cancel a request of ours."""
        path = f"{self.project.path('change_requests', id_)}{action}/"
        return self.recorder.call(name, "POST", path, body or {}, as_second=as_second)

    def settle(self) -> None:
        """End the open requests of ours; what cannot be listed now is ended at the end."""
        with suppress(ApiError):
            scratch.end_requests(self.recorder, self.project)

    def _list_quietly(
        self, collection: str, params: Mapping[str, str]
    ) -> tuple[Mapping[str, Any], ...]:
        """List a collection; nothing if that fails: the caller falls back to another answer."""
        try:
            return self.recorder.writer.list(self.project.path(collection), dict(params)).items
        except ApiError:
            return ()


def rollout(percentage: float, **more: Any) -> dict[str, Any]:
    """Return filters of one condition set without properties."""
    return {"groups": [{"properties": [], "rollout_percentage": percentage, **more}]}


def targeted(percentage: float, plan: str = "pro") -> dict[str, Any]:
    """Return filters of one condition set with a property: other release conditions."""
    condition = {"key": "plan", "type": "person", "operator": "exact", "value": [plan]}
    return {"groups": [{"properties": [condition], "rollout_percentage": percentage}]}
