"""Whether the person who filed a request may still make the change (contract 7.5)."""

from reconciler.sandbox.store import people
from reconciler.sandbox.store.model import ChangeRequest, Project, User
from reconciler.sandbox.store.transaction import Transaction


def explain_lost_access(tx: Transaction, request: ChangeRequest) -> str | None:
    """Return why the requester may no longer make the change; None if they may."""
    user = tx.get(User, request.created_by) if request.created_by is not None else None
    if user is None or not user.is_active:
        return "The person who requested this change no longer has an account."
    project = tx.require(Project, request.project)
    member = people.find_membership(tx, project.organization, user.id)
    if member is None or not people.can_enter(project, member):
        return "The person who requested this change no longer has access to what it changes."
    return None
