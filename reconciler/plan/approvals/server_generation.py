"""Detect the generation of the PostHog server from what was read: no endpoint reports it.

The first generation (G1, early 2026) gates no creates, checks one action per call, has other
rollout positions, and no release conditions. The second (G2) behaves as the contract describes.
"""

from collections.abc import Iterator
from enum import Enum

from reconciler.kinds import KINDS
from reconciler.model import Live, Payload


class Generation(Enum):
    """How the gate of a server behaves, where its generations differ (contract, section 13)."""

    G1 = "g1"
    G2 = "g2"


def detect_generation(live: Live) -> Generation | None:
    """Return the generation of the server; None if nothing that was read shows it.

    Flags of G2 say whether they are archived, those of G1 do not (contract 9.1). Without a flag, a
    request of G2 has a key that G1 does not have (contract 7.2), and membership levels are stored
    as text by G1 only (contract 3.1).
    """
    flags = list(_list_flag_payloads(live))
    if flags:
        return Generation.G2 if any("archived" in flag for flag in flags) else Generation.G1
    for request in (*live.change_requests, *live.rejections):
        intent = request.payload.get("intent") or {}
        if "skip_opportunistic_filter_cleanup" in intent:
            return Generation.G2
    if any(isinstance(level, str) for level in _list_bypass_levels(live)):
        return Generation.G1
    return None


def _list_flag_payloads(live: Live) -> Iterator[Payload]:
    for address, live_flag in live.resources.items():
        if KINDS[address.kind].gated:
            yield live_flag.payload


def _list_bypass_levels(live: Live) -> Iterator[object]:
    for address, live_policy in live.resources.items():
        if address.kind == "ApprovalPolicy":
            yield from live_policy.payload.get("bypass_org_membership_levels") or ()
