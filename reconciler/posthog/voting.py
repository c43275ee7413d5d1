"""Votes on change requests, cast as the person whose key it is.

For the command `requests` alone: an import contract keeps every other module from it, so that
`apply` cannot approve anything by any path.
"""

from reconciler.model import Request
from reconciler.posthog.change_requests import Vote, item, outcome
from reconciler.posthog.client import Writer


def approve(writer: Writer, project_id: str, id_: str, *, reason: str = "") -> Vote:
    """Vote for it. At quorum PostHog applies it at once."""
    return _vote(writer, f"{item(project_id, id_)}approve/", id_, reason)


def reject(writer: Writer, project_id: str, id_: str, *, reason: str) -> Vote:
    """Vote against it, which ends it. PostHog wants a reason."""
    return _vote(writer, f"{item(project_id, id_)}reject/", id_, reason)


def _vote(writer: Writer, path: str, id_: str, reason: str) -> Vote:
    return outcome(writer.send(Request("POST", path, {"reason": reason})), path, id_)
