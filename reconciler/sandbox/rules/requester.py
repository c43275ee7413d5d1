"""Whether the person who filed a request may still make the change (contract 7.5)."""

from reconciler.sandbox.rules.products import holdouts
from reconciler.sandbox.store import people
from reconciler.sandbox.store.model import (
    ChangeRequest,
    Flag,
    Membership,
    Project,
    User,
)
from reconciler.sandbox.store.transaction import Transaction

_LOST = "The person who requested this change no longer has access to what it changes."


def explain_lost_access(tx: Transaction, request: ChangeRequest) -> str | None:
    """Return why the requester may no longer make the change; None if they may."""
    user = tx.get(User, request.created_by) if request.created_by is not None else None
    if user is None or not user.is_active:
        return "The person who requested this change no longer has an account."
    project = tx.require(Project, request.project)
    member = people.find_membership(tx, project.organization, user.id)
    if member is None or not people.can_enter(project, member):
        return _LOST
    return None if _may_edit(tx, project, member, request) else _LOST


def _may_edit(
    tx: Transaction, project: Project, member: Membership, request: ChangeRequest
) -> bool:
    """Return whether the access rules let a member edit the kind of resource, and the flag."""
    kind = "experiment" if request.action_key in holdouts.ACTIONS else "feature_flag"
    if people.is_kept_out(tx, project, member):
        return False
    flag = tx.get(Flag, request.intent.get("flag_id"))
    return people.may_edit_object(tx, project, member, kind) and (
        flag is None or people.may_edit_object(tx, project, member, kind, flag)
    )
