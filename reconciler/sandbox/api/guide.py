"""The page at `/_sandbox/docs`: what this server answers. One page, nothing loaded from outside."""

from html import escape

from reconciler.sandbox.requests.routes import Table

_CONTROL = (
    ("POST", "/_sandbox/reset", "a seed as JSON or YAML; empty: the one it was started with"),
    ("POST", "/_sandbox/clock", '{"advance": "15d"} or {"set": "2026-01-01T00:00:00Z"}'),
    ("GET", "/_sandbox/clock", "what time it is"),
    ("POST", "/_sandbox/tasks", '{"run": "expire_change_requests"} or "check_staleness"'),
    ("POST", "/_sandbox/faults", "replaces the schedule of faults; empty: none"),
    ("GET", "/_sandbox/faults", "how often each rule was hit"),
    ("GET", "/_sandbox/ledger", "every committed effect"),
    ("GET", "/_sandbox/requests", "every call so far"),
    ("DELETE", "/_sandbox/requests", "empties the request log"),
    ("GET", "/_sandbox/state", "the whole world as a seed document"),
    ("GET", "/_sandbox/openapi.json", "the emulated API as OpenAPI 3.1"),
)


def page(table: Table) -> str:
    """The whole page."""
    control = "".join(_row(*one) for one in _CONTROL)
    api = "".join(_row(one.method, f"{one.path}/", one.summary, one.scope) for one in table.routes)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Sandbox</title>"
        "<style>body{font:16px system-ui;margin:2rem;max-width:75rem}"
        "td{padding:.2rem .8rem;border-bottom:1px solid #ddd;vertical-align:top}</style>"
        f"<h1>Sandbox</h1><h2>Control</h2><table>{control}</table>"
        f"<h2>Emulated API</h2><table>{api}</table></html>"
    )


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
