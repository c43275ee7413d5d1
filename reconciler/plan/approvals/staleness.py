"""Find whether a change request can still be applied (contract 7.5, 16.1)."""

from reconciler.kinds import KINDS
from reconciler.model import ChangeRequest, Kind, Live, LiveResource


def is_stale(
    request: ChangeRequest, live_resource: LiveResource | None, live: Live | None = None
) -> bool:
    """Return whether the object changed since the request was filed, so that it cannot be applied.

    PostHog marks stale requests from time to time. Where it takes the mark back when the object is
    as before, the object counts, not the mark, as far as `live` shows all that matters.
    """
    kind = KINDS.get(request.kind)
    intent = request.payload.get("intent") or {}
    if kind is not None and live_resource is not None:
        if kind.outdates(intent, live_resource.payload):
            return True
        if kind.recovers and live is not None and _shows_connections(kind, live_resource, live):
            return _has_other_connections(kind, request, live_resource, live)
    return request.get_validity().is_stale


def _shows_connections(kind: Kind, live_resource: LiveResource, live: Live) -> bool:
    rewrites = kind.rewrites
    return rewrites is not None and (
        (rewrites.through, live_resource.address.parts[:-1]) in live.listed
    )


def _has_other_connections(
    kind: Kind, request: ChangeRequest, live_resource: LiveResource, live: Live
) -> bool:
    """Return whether other objects are connected now than when the request was filed."""
    intent = request.payload.get("intent") or {}
    filed = {str(row.get("id")) for row in intent.get("affected_experiments") or ()}
    place = (kind.name, live_resource.address.parts[:-1], live_resource.id)
    return filed != {rewritten.through for rewritten in live.rewritten.get(place, ())}
