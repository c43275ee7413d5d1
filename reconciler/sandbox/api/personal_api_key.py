"""Which key is this: `GET /api/personal_api_keys/@current/`, open to every key, as in PostHog."""

import hashlib

from reconciler.sandbox.protocol.messages import Answer
from reconciler.sandbox.requests.call import Call
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.store.clock import shown

_SHOWN = 4  # last characters of a key


def current(call: Call) -> Answer:
    """What the key of this call may do. The key itself is never answered."""
    token = call.token
    return Answer(
        200,
        {
            "id": hashlib.sha256(token.id.encode()).hexdigest()[:24],
            "label": "sandbox",
            "value": None,
            "mask_value": f"phx_...{token.id[-_SHOWN:]}",
            "created_at": shown(call.user.created_at),
            "last_used_at": None,
            "user_id": call.user.id,
            "scopes": token.scopes,
            "scoped_teams": token.scoped_teams,
            "scoped_organizations": token.scoped_organizations,
        },
    )


ROUTES = (Route("GET", "/api/personal_api_keys/@current", "personal_api_keys.retrieve", current),)
