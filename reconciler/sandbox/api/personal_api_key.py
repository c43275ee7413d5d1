"""The key of the call: `GET /api/personal_api_keys/@current/`, open to every key, as in PostHog."""

import hashlib

from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.store.clock import format_time

_SHOWN = 4  # last characters of a key


def retrieve_current_key(call: Call) -> Response:
    """Return what the key of this call may do, without the key itself."""
    token = call.token
    return Response(
        200,
        {
            "id": hashlib.sha256(token.id.encode()).hexdigest()[:24],
            "label": "sandbox",
            "value": None,
            "mask_value": f"phx_...{token.id[-_SHOWN:]}",
            "created_at": format_time(call.user.created_at),
            "last_used_at": None,
            "user_id": call.user.id,
            "scopes": token.scopes,
            "scoped_teams": token.scoped_teams,
            "scoped_organizations": token.scoped_organizations,
        },
    )


ROUTES = (
    Route(
        "GET", "/api/personal_api_keys/@current", "personal_api_keys.retrieve", retrieve_current_key
    ),
)
