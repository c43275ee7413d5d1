"""What other people do around a request, when a schedule of faults says so.

An edit or a vote is a call like any other, made by its person at a browser; so it meets the same
rules, the gate included.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.sandbox.faults.injection import Effect
from reconciler.sandbox.protocol.errors import SandboxError
from reconciler.sandbox.protocol.messages import Incoming
from reconciler.sandbox.protocol.validators import as_id
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
class OtherCall:
    """A call by somebody else."""

    incoming: Incoming
    user: User


def prepare(
    tx: Transaction, around: Incoming, effect: Effect, profile: Profile
) -> OtherCall | None:
    """Let something happen at once, or answer the call that somebody makes.

    What points at nothing, as a vote where no request is open, does nothing.
    """
    args = effect.args
    match effect.name:
        case "revoke_key":
            _revoke(tx, around)
        case "clock":
            try:
                tx.set_time(clock.target(tx.now, advance=args["advance"], to=args["set"]))
            except SandboxError:
                return None  # beyond the end of time: it stays
            periodic_tasks.sweep(tx, profile)
        case "task":
            periodic_tasks.run(tx, profile, args["run"])
        case _:
            return _call(tx, around, effect)
    return None


def _revoke(tx: Transaction, around: Incoming) -> None:
    key = (around.header("authorization") or "").removeprefix("Bearer ").strip()
    token = tx.get(Token, key)
    if token is not None:
        tx.delete(token)


def _call(tx: Transaction, around: Incoming, effect: Effect) -> OtherCall | None:
    user = tx.first(User, email=effect.args["as"])
    if user is None:
        return None
    wanted = {"call": _plain, "vote": _vote, "edit": _edit}[effect.name](tx, user, effect.args)
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
    return OtherCall(incoming, user)


Wanted = tuple[str, str, Any] | None


def _plain(_tx: Transaction, _user: User, args: Mapping[str, Any]) -> Wanted:
    return args["method"].upper(), args["path"], args["body"]


def _vote(tx: Transaction, _user: User, args: Mapping[str, Any]) -> Wanted:
    """A vote on the newest open request, or on that of a flag."""
    requests = tx.find(ChangeRequest, state="pending")
    fitting = [one for one in requests if args["flag"] in (None, one.flag_key)]
    if not fitting:
        return None
    one = fitting[-1]
    path = f"/api/projects/{one.project}/change_requests/{one.id}/{args['decision']}/"
    return "POST", path, {"reason": args["reason"]}


def _edit(tx: Transaction, user: User, args: Mapping[str, Any]) -> Wanted:
    """A change to a flag, a policy, a role, a project or an organization, found by its name."""
    path = _place(tx, user, args)
    if path is None:
        return None
    return ("DELETE", path, None) if args["delete"] else ("PATCH", path, args["set"] or {})


def _place(tx: Transaction, user: User, args: Mapping[str, Any]) -> str | None:
    if args["flag"] is None and args["policy"] is None and args["project"] is None:
        return _in_organization(tx, user, args)
    project = _project(tx, user, args["project"])
    if project is None:
        return None
    base = f"/api/projects/{project.id}/"
    if args["flag"] is not None:
        flag = tx.first(Flag, project=project.id, key=args["flag"], deleted=False)
        return f"{base}feature_flags/{flag.id}/" if flag else None
    if args["policy"] is not None:
        policy = tx.first(Policy, project=project.id, action_key=args["policy"])
        return f"{base}approval_policies/{policy.id}/" if policy else None
    return base


def _project(tx: Transaction, user: User, ref: Any) -> Project | None:
    if ref is None:
        return tx.get(Project, user.current_project)
    number = as_id(str(ref))
    found = tx.get(Project, number) if number is not None else None
    return found or next((one for one in tx.find(Project) if one.name == ref), None)


def _in_organization(tx: Transaction, user: User, args: Mapping[str, Any]) -> str | None:
    if args["organization"] is not None:
        organization = tx.first(Organization, slug=args["organization"])
    else:
        member = tx.first(Membership, user=user.id)
        organization = tx.get(Organization, member.organization) if member else None
    if organization is None:
        return None
    base = f"/api/organizations/{organization.id}/"
    if args["role"] is None:
        return base
    role = tx.first(Role, organization=organization.id, name=args["role"])
    return f"{base}roles/{role.id}/" if role else None
