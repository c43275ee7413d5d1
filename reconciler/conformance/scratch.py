"""The project that is probed: what is in it, what of it is ours, and how ours is removed.

Ours is what carries our mark: flags and holdouts by their prefix, policies by a key in their
`approver_config` (unknown keys are kept, contract 3.1). A rule cannot have a mark: ours has
the level that applies without it, and is by the key's user. Nothing else is ever written to. A run
that was killed leaves marked objects behind, which the next run finds by listing.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.conformance.exchange import Exchange, Recorder
from reconciler.errors import ApiError, ReconcilerError
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Payload, encode_part

PREFIX: Final = "reconciler-probe-"
MARK: Final = "reconciler_probe"
NOBODY: Final = "00000000-0000-4000-8000-000000000000"  # no object has this id
OWN_TYPE, OWN_LEVEL = "toolbar", "viewer"  # of our rule: everybody has this level without it
_OPEN: Final = ("pending", "approved")
_GONE: Final = frozenset({403, 404})  # this server has no holdouts, or the key may not read them


@dataclass(frozen=True, slots=True)
class ScratchProject:
    """Where the probes run, and as whom."""

    organization_id: str
    project_id: str
    user_id: int
    user_level: int
    has_approvals: bool  # the plan has the gate (contract 1.4)
    second_id: int | None = None

    def path(self, *parts: object) -> str:
        """Return the path of something in the project."""
        inner = "".join(f"{encode_part(str(part))}/" for part in parts)
        return f"/api/projects/{encode_part(self.project_id)}/{inner}"


@dataclass(frozen=True, slots=True)
class Leftover:
    """An object of ours: its kind, its id, and a name for people."""

    kind: str
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in the project: ours, and how much of others."""

    ours: tuple[Leftover, ...]
    foreign_flags: tuple[str, ...]
    foreign_policies: tuple[str, ...]


def read_contents(
    recorder: Recorder, project: ScratchProject, *, with_archived: bool = False
) -> Contents:
    """List what is in the project; archived flags, which ours never are, only if asked.

    Raises:
        ApiError: a list cannot be read.

    """
    flags = recorder.writer.list(project.path("feature_flags")).items
    if with_archived:
        archived = recorder.writer.list(project.path("feature_flags"), {"archived": "true"}).items
        flags = (*flags, *(flag for flag in archived if flag not in flags))
    policies = recorder.writer.list(project.path("approval_policies")).items
    own_policies = [policy for policy in policies if is_own_policy(policy)]
    own_flags = [flag for flag in flags if _is_named_ours(flag.get("key"))]
    ours = (
        *(_leftover("policy", policy, policy.get("action_key")) for policy in own_policies),
        *_list_open_requests(recorder, project),
        *_list_holdouts(recorder, project),
        *_list_rules(recorder, project),
        *(_leftover("flag", flag, flag.get("key")) for flag in own_flags),
    )
    return Contents(
        ours,
        tuple(str(flag.get("key")) for flag in flags if flag not in own_flags),
        tuple(str(row.get("action_key")) for row in policies if row not in own_policies),
    )


def remove(recorder: Recorder, project: ScratchProject) -> tuple[Leftover, ...]:
    """Remove everything of ours; return what is still there.

    Policies go first, so that nothing is gated any more, and requests before their flags.
    """
    recorder.is_cleaning = True
    try:
        for leftover in read_contents(recorder, project).ours:
            _remove_one(recorder, project, leftover)
        return read_contents(recorder, project).ours
    finally:
        recorder.is_cleaning = False


def end_requests(recorder: Recorder, project: ScratchProject) -> None:
    """End every open change request of ours, so that the next write can file its own."""
    for leftover in _list_open_requests(recorder, project):
        _end_request(recorder, project, leftover.id)


def is_own_policy(policy: Mapping[str, Any]) -> bool:
    """Return whether a policy carries our mark."""
    config = policy.get("approver_config")
    return isinstance(config, dict) and MARK in config


def is_own_request(request: Mapping[str, Any]) -> bool:
    """Return whether a change request is about a flag or a holdout of ours."""
    intent = request.get("intent")
    if not isinstance(intent, dict):
        return False
    return _is_named_ours(intent.get("flag_key")) or _is_named_ours(intent.get("holdout_name"))


def list_own_requests(recorder: Recorder, project: ScratchProject) -> tuple[Payload, ...]:
    """Return the open change requests of ours, newest first."""
    listed = recorder.writer.list(project.path("change_requests"), {"state": ",".join(_OPEN)})
    return tuple(request for request in listed.items if is_own_request(request))


def _list_open_requests(recorder: Recorder, project: ScratchProject) -> Iterator[Leftover]:
    for request in list_own_requests(recorder, project):
        yield _leftover("change_request", request, request.get("action_key"))


def _list_holdouts(recorder: Recorder, project: ScratchProject) -> Iterator[Leftover]:
    try:
        holdouts = recorder.writer.list(project.path("experiment_holdouts")).items
    except ApiError as error:
        if error.status in _GONE:
            return
        raise
    for holdout in holdouts:
        if _is_named_ours(holdout.get("name")):
            yield _leftover("holdout", holdout, holdout.get("name"))


def _list_rules(recorder: Recorder, project: ScratchProject) -> Iterator[Leftover]:
    try:
        listed = recorder.writer.get(project.path("resource_access_controls"))
    except ApiError as error:
        if error.status in _GONE:
            return
        raise
    rows = listed.get("access_controls") if isinstance(listed, dict) else None
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and is_own_rule(row, project.user_id):
            yield Leftover("access_rule", OWN_TYPE, OWN_TYPE)


def is_own_rule(rule: Mapping[str, Any], user_id: int) -> bool:
    """Return whether an access rule is the one that the probes set."""
    is_general = all(rule.get(name) is None for name in ("role", "organization_member"))
    return (
        is_general
        and rule.get("resource_id") is None
        and (rule.get("resource"), rule.get("access_level")) == (OWN_TYPE, OWN_LEVEL)
        and rule.get("created_by") == user_id
    )


def _remove_one(recorder: Recorder, project: ScratchProject, leftover: Leftover) -> None:
    match leftover.kind:
        case "policy":
            recorder.call("", "DELETE", project.path("approval_policies", leftover.id))
        case "change_request":
            _end_request(recorder, project, leftover.id)
        case "holdout":
            recorder.call("", "DELETE", project.path("experiment_holdouts", leftover.id))
        case "access_rule":
            body = {"resource": leftover.id, "access_level": None}
            recorder.call("", "PUT", project.path("resource_access_controls"), body)
        case _:
            _delete_flag(recorder, project, leftover.id)


def _delete_flag(recorder: Recorder, project: ScratchProject, id_: str) -> Exchange:
    """Delete a flag softly, which no action gates (contract 9.5)."""
    return recorder.call("", "PATCH", project.path("feature_flags", id_), {"deleted": True})


def _end_request(recorder: Recorder, project: ScratchProject, id_: str) -> None:
    """Cancel a request; reject it where votes forbid that (contract 7.4)."""
    path = project.path("change_requests", id_)
    reason = {"reason": "reconciler conformance cleans up"}
    ended = recorder.call("", "POST", f"{path}cancel/", reason)
    if ended.status is not None and ended.status >= 400:  # noqa: PLR2004  of HTTP
        recorder.call("", "POST", f"{path}reject/", reason)


def _leftover(kind: str, payload: Mapping[str, Any], name: object) -> Leftover:
    return Leftover(kind, str(payload.get("id")), str(name))


def _is_named_ours(name: object) -> bool:
    return isinstance(name, str) and name.startswith(PREFIX)


def refuse_others(contents: Contents, name: str) -> None:
    """Refuse a project that other people use.

    Raises:
        ReconcilerError: there is a flag or a policy in it that is not ours.

    """
    flags, policies = len(contents.foreign_flags), len(contents.foreign_policies)
    if flags or policies:
        raise ReconcilerError(
            f"project {name!r} is in use",
            why=f"it has {flags} other flags and {policies} other policies",
            fix="make an empty project for this, or add --allow-nonempty: nothing that is there "
            "is written to, but policies there may change what is measured",
        )
