"""Email domains of an organization (contract 6.4): listed; PostHog's pages change them."""

import uuid
from typing import Any

from reconciler.sandbox.protocol.messages import Response
from reconciler.sandbox.requests.call import Call, make_page
from reconciler.sandbox.requests.routes import Route
from reconciler.sandbox.store.model import ADMIN, Organization
from reconciler.sandbox.store.paging import make_page_links


def list_domains(call: Call) -> Response:
    """List the organization's email domains."""
    organization, window = call.organization, call.parse_window()
    rows = [] if call.fault_effect.empty else organization.domains
    start = max(0, window.offset + call.fault_effect.shift)
    following, previous = make_page_links(call.incoming, window, len(rows))
    envelope = {"count": len(rows), "next": following, "previous": previous}
    page = rows[start : start + window.limit]
    return make_page(envelope, [_render_domain(organization, row) for row in page])


def _render_domain(organization: Organization, row: dict[str, Any]) -> dict[str, Any]:
    """Return a domain as the API shows it; its id follows from its name."""
    return {
        "id": str(uuid.uuid5(uuid.UUID(organization.id), row["domain"])),
        "domain": row["domain"],
        "is_verified": row["is_verified"],
        "jit_provisioning_enabled": False,
        "sso_enforcement": "",
    }


ROUTES = (
    Route(
        "GET",
        "/api/organizations/:organization/domains",
        "domains.list",
        list_domains,
        "organization:read",
        level=ADMIN,
    ),
)
