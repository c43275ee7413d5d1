"""What other people do around a request, as the schedule of faults says.

An edit or a vote is a normal call by a person at a browser, so it has to pass the same rules,
approvals included.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.sandbox.faults.injection import Effect
from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.protocol.messages import IncomingRequest
from reconciler.sandbox.protocol.validators import parse_id
from reconciler.sandbox.rules import periodic_tasks
from reconciler.sandbox.store import clock
from reconciler.sandbox.store.generation import Profile
from reconciler.sandbox.store.model import (
    ChangeRequest,
    Flag,
    Membership,
    Organization,
    Policy,
    Project,
    Role,
    Token,
    User,
)
from reconciler.sandbox.store.transaction import Transaction

_HEADERS = {"content-type": "application/json", "x-posthog-client": "web"}


@dataclass(frozen=True, slots=True)
class ActorCall:
    """A call by another person."""

    incoming: IncomingRequest
    user: User


def perform_effect(
    tx: Transaction, around: IncomingRequest, effect: Effect, profile: Profile
) -> ActorCall | None:
    """Make an effect happen, or return the call with which an actor makes it happen.

    An effect without a target, such as a vote when no request is open, does nothing.
    """
    args = effect.args
    match effect.name:
        case "revoke_key":
            _revoke_key(tx, around)
        case "clock":
            try:
                tx.set_time(clock.resolve_time(tx.now, advance=args["advance"], to=args["set"]))
            except SandboxError:
                return None  # beyond the last date: the clock does not move
            periodic_tasks.run_due_tasks(tx, profile)
        case "task":
            periodic_tasks.run_task(tx, profile, args["run"])
        case _:
            return _make_call(tx, around, effect)
    return None


def _revoke_key(tx: Transaction, around: IncomingRequest) -> None:
    key = (around.get_header("authorization") or "").removeprefix("Bearer ").strip()
    token = tx.get(Token, key)
    if token is not None:
        tx.delete(token)


def _make_call(tx: Transaction, around: IncomingRequest, effect: Effect) -> ActorCall | None:
    user = tx.find_first(User, email=effect.args["as"])
    if user is None:
        return None
    wanted = {"call": _plan_call, "vote": _plan_vote, "edit": _plan_edit}[effect.name](
        tx, user, effect.args
    )
    if wanted is None:
        return None
    method, path, body = wanted
    incoming = replace(
        around,
        method=method,
        path=path,
        query={},
        query_text="",
        headers=_HEADERS,
        body=json.dumps(body).encode() if body is not None else b"",
    )
    return ActorCall(incoming, user)


CallParts = tuple[str, str, Any] | None


def _plan_call(_tx: Transaction, _user: User, args: Mapping[str, Any]) -> CallParts:
    return args["method"].upper(), args["path"], args["body"]


def _plan_vote(tx: Transaction, _user: User, args: Mapping[str, Any]) -> CallParts:
    """Return a vote on the newest open request, or on that of a flag."""
    requests = tx.find_all(ChangeRequest, state="pending")
    fitting = [request for request in requests if args["flag"] in (None, request.flag_key)]
    if not fitting:
        return None
    request = fitting[-1]
    path = f"/api/projects/{request.project}/change_requests/{request.id}/{args['decision']}/"
    return "POST", path, {"reason": args["reason"]}


def _plan_edit(tx: Transaction, user: User, args: Mapping[str, Any]) -> CallParts:
    """Return a change to a flag, policy, role, project or organization, found by its name."""
    path = _find_path(tx, user, args)
    if path is None:
        return None
    return ("DELETE", path, None) if args["delete"] else ("PATCH", path, args["set"] or {})


def _find_path(tx: Transaction, user: User, args: Mapping[str, Any]) -> str | None:
    if args["flag"] is None and args["policy"] is None and args["project"] is None:
        return _find_organization_path(tx, user, args)
    project = _find_project(tx, user, args["project"])
    if project is None:
        return None
    base = f"/api/projects/{project.id}/"
    if args["flag"] is not None:
        flag = tx.find_first(Flag, project=project.id, key=args["flag"], deleted=False)
        return f"{base}feature_flags/{flag.id}/" if flag else None
    if args["policy"] is not None:
        policy = tx.find_first(Policy, project=project.id, action_key=args["policy"])
        return f"{base}approval_policies/{policy.id}/" if policy else None
    return base


def _find_project(tx: Transaction, user: User, ref: Any) -> Project | None:
    if ref is None:
        return tx.get(Project, user.current_project)
    number = parse_id(str(ref))
    project = tx.get(Project, number) if number is not None else None
    return project or next((other for other in tx.find_all(Project) if other.name == ref), None)


def _find_organization_path(tx: Transaction, user: User, args: Mapping[str, Any]) -> str | None:
    if args["organization"] is not None:
        organization = tx.find_first(Organization, slug=args["organization"])
    else:
        member = tx.find_first(Membership, user=user.id)
        organization = tx.get(Organization, member.organization) if member else None
    if organization is None:
        return None
    base = f"/api/organizations/{organization.id}/"
    if args["role"] is None:
        return base
    role = tx.find_first(Role, organization=organization.id, name=args["role"])
    return f"{base}roles/{role.id}/" if role else None
