"""Detect the generation of the PostHog server from what was read: no endpoint reports it.

The first generation (G1, early 2026) gates no creates, checks one action per call, has other
rollout positions, and no release conditions. The second (G2) gates creates, and release conditions
only for a policy that asks for them. The third (G3) gates the release conditions of standalone
flags, and may look at who owns a flag (contract 5.2, 5.8). Most answers of G2 and G3 look the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Final

from reconciler.kinds import KINDS
from reconciler.model import ChangeRequest, Live, Payload
from reconciler.plan.approvals import owners


class Generation(Enum):
    """How the gate of a server behaves, where its generations differ (contract, section 13)."""

    G1 = "g1"
    G2 = "g2"
    G3 = "g3"


Generations = tuple[Generation, ...]  # that a server may be, the newest first

GATED_BY_SOME: Final = "only some versions of PostHog gate this, and nothing shows the version"


def detect_generation(live: Live) -> Generation | None:
    """Return the generation of the server; None if nothing that was read shows it."""
    generations = list_possible_generations(live)
    return generations[0] if len(generations) == 1 else None


def list_possible_generations(live: Live) -> Generations:
    """Return the generations that fit what was read, the newest first.

    Flags of G2 and G3 say whether they are archived, those of G1 do not (contract 9.1). Without a
    flag, a request of G2 and G3 has a key that G1 does not have (contract 7.2), and membership
    levels are stored as text by G1 only (contract 3.1). Only G3 shows policies of experiments next
    to this (contract 3.8), checks the requester again, and records all release conditions.
    """
    has_flag = next(_list_flag_payloads(live), None) is not None
    if has_flag and not any("archived" in flag for flag in _list_flag_payloads(live)):
        return (Generation.G1,)
    requests = (*live.change_requests, *live.rejections)
    if any(_is_request_of_g3(request) for request in requests):
        return (Generation.G3,)
    if has_flag and owners.list_scoped_organizations(live):
        return (Generation.G3,)
    intents = (request.payload.get("intent") or {} for request in requests)
    if has_flag or any("skip_opportunistic_filter_cleanup" in intent for intent in intents):
        return (Generation.G3, Generation.G2)
    if any(isinstance(level, str) for level in _list_bypass_levels(live)):
        return (Generation.G1,)
    return (Generation.G3, Generation.G2, Generation.G1)


def narrow_generations(generations: Generations, flags: Iterable[Payload]) -> Generations:
    """Return the generations that fit all flags of a project, too, as far as they were listed.

    Flags show `rollback_conditions` until G2 (contract 9.1).
    """
    shown = [flag for flag in flags if "archived" in flag]
    if shown and not any("rollback_conditions" in flag for flag in shown):
        return tuple(each for each in generations if each is Generation.G3) or generations
    return generations


def _is_request_of_g3(request: ChangeRequest) -> bool:
    """Return whether only G3 stores such a request (contract 4, 7.2, 7.5, 16)."""
    if (kind := KINDS.get(request.kind)) is not None and kind.write_gates:
        return True
    errors = request.payload.get("validation_errors")
    if isinstance(errors, Mapping) and "access" in errors:
        return True
    changes = (request.payload.get("intent") or {}).get("gated_changes")
    positions = changes.get("release_conditions") if isinstance(changes, Mapping) else None
    paths = [item.get("path") for item in positions or () if isinstance(item, Mapping)]
    return "early_exit" in paths or "bucketing_identifier" in paths


def _list_flag_payloads(live: Live) -> Iterator[Payload]:
    for address, live_flag in live.resources.items():
        if KINDS[address.kind].gates:
            yield live_flag.payload


def _list_bypass_levels(live: Live) -> Iterator[object]:
    for address, live_policy in live.resources.items():
        if address.kind == "ApprovalPolicy":
            yield from live_policy.payload.get("bypass_org_membership_levels") or ()
