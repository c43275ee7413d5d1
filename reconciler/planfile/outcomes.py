"""Read the results of a plan from the document that `results` writes."""

from typing import Any

from reconciler.model import (
    Action,
    Approvers,
    Awaited,
    Detail,
    Outcome,
    Problem,
    Result,
    Unappliable,
)
from reconciler.planfile.reader import Node


def read_outcomes(document: Any) -> tuple[Outcome, ...]:
    """Return the outcome of each change; raise ConfigError."""
    return Node(document, "")["results"].each(_read_outcome)


def _read_outcome(node: Node) -> Outcome:
    return Outcome(
        address=node["address"].address(),
        action=node["action"].word(Action),
        result=node["outcome"].word(Result),
        change_request=node["change_request"].maybe(Node.text),
        url=node["url"].maybe(Node.text),
        attempts=node["attempts"].count(),
        problem=node["error"].maybe(read_problem),
        detail=node["detail"].maybe(lambda detail: detail.word(Detail)),
        note=node["note"].maybe(Node.text) or "",
        awaits=node["waits_for"].maybe(_read_awaited),
        written=node["written"].maybe(lambda names: names.each(Node.text)) or (),
    )


def read_problem(node: Node) -> Problem:
    """Return why something failed; sentences that are missing are empty."""
    sentences = (node[name].maybe(Node.text) or "" for name in ("why", "state", "fix"))
    return Problem(node["what"].text(), *sentences)


def _read_awaited(node: Node) -> Awaited:
    approvers = node["approvers"]
    return Awaited(
        quorum=node["quorum"].maybe(Node.count),
        approvers=Approvers(
            approvers["users"].each(Node.text),
            approvers["roles"].values(lambda members: members.each(Node.text)),
        ),
        approved_by=node["approved_by"].each(Node.text),
        expires_at=node["expires_at"].text(),
        unappliable=node["unappliable"].maybe(_read_unappliable),
    )


def _read_unappliable(node: Node) -> Unappliable:
    return Unappliable(node["why"].text(), node["fix"].text())
