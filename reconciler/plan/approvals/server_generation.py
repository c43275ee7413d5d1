"""Which generation of PostHog answers: learnt from what was read, since no endpoint says it.

The first generation (G1, early 2026) gates no creates, looks at one action a call, knows other
rollout positions, and has no release conditions. The second (G2) does what the contract describes.
"""

from collections.abc import Iterator
from enum import Enum

from reconciler.kinds import KINDS
from reconciler.model import Live, Payload


class Generation(Enum):
    """How the gate of a server behaves, where its generations differ (contract, section 13)."""

    G1 = "g1"
    G2 = "g2"


def learn(live: Live) -> Generation | None:
    """The generation of the server that was read; None if nothing read gives it away.

    Flags of G2 say whether they are archived, those of G1 do not (contract 9.1). Without a flag,
    a request of G2 tells by a key that G1 does not have (7.2), and membership levels that were
    stored as text by their type (3.1).
    """
    flags = list(_flags(live))
    if flags:
        return Generation.G2 if any("archived" in flag for flag in flags) else Generation.G1
    for request in (*live.change_requests, *live.rejections):
        intent = request.payload.get("intent") or {}
        if "skip_opportunistic_filter_cleanup" in intent:
            return Generation.G2
    if any(isinstance(level, str) for level in _levels(live)):
        return Generation.G1
    return None


def _flags(live: Live) -> Iterator[Payload]:
    for address, there in live.resources.items():
        if KINDS[address.kind].gated:
            yield there.payload


def _levels(live: Live) -> Iterator[object]:
    for address, there in live.resources.items():
        if address.kind == "ApprovalPolicy":
            yield from there.payload.get("bypass_org_membership_levels") or ()
