"""Vote on change requests as the person who owns the key.

Only the command `requests` imports it, by an import contract: `apply` cannot approve anything by
any path.
"""

from reconciler.model import Request
from reconciler.posthog.change_requests import VoteResponse, build_path, read_vote_response
from reconciler.posthog.client import Writer


def approve(writer: Writer, project_id: str, id_: str, *, reason: str = "") -> VoteResponse:
    """Vote for a change request. At quorum PostHog applies it at once."""
    return _vote(writer, f"{build_path(project_id, id_)}approve/", id_, reason)


def reject(writer: Writer, project_id: str, id_: str, *, reason: str) -> VoteResponse:
    """Vote against a change request, which ends it. PostHog requires a reason."""
    return _vote(writer, f"{build_path(project_id, id_)}reject/", id_, reason)


def _vote(writer: Writer, path: str, id_: str, reason: str) -> VoteResponse:
    return read_vote_response(writer.send(Request("POST", path, {"reason": reason})), path, id_)
