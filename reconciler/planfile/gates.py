"""Read the gates of a plan document."""

from reconciler.model import Approvers, Confidence, Gate, GateStep, RequestPlan, Verdict
from reconciler.planfile.reader import Node


def read_gate(node: Node) -> Gate:
    """Return the gate of a change; what an older program did not write is empty."""
    return Gate(
        verdict=node["verdict"].word(Verdict),
        confidence=node["confidence"].word(Confidence),
        policy=node["policy"].maybe(Node.text),
        condition=node["condition"].maybe(Node.text),
        quorum=node["quorum"].maybe(Node.count),
        approvers=_read_approvers(node["approvers"]),
        expires_after=node["expires_after"].maybe(Node.text),
        change_request=node["change_request"].maybe(Node.text),
        note=node["note"].maybe(Node.text) or "",
        cannot_approve=node["cannot_approve"].maybe(lambda why: why.values(Node.text)) or {},
        request_plan=node["request_plan"].maybe(lambda plan: plan.word(RequestPlan)),
        bypassed_policies=node["bypassed_policies"].maybe(lambda names: names.each(Node.text))
        or (),
        steps=node["steps"].maybe(lambda steps: steps.each(_read_step)) or (),
    )


def _read_step(node: Node) -> GateStep:
    return GateStep(
        fields=node["fields"].each(Node.text),
        verdict=node["verdict"].word(Verdict),
        policy=node["policy"].maybe(Node.text),
        quorum=node["quorum"].maybe(Node.count),
        approvers=_read_approvers(node["approvers"]),
        expires_after=node["expires_after"].maybe(Node.text),
    )


def _read_approvers(node: Node) -> Approvers:
    return Approvers(
        node["users"].each(Node.text),
        node["roles"].values(lambda members: members.each(Node.text)),
    )
