"""Filters as the script reads them from the address of the page: `gate=approval&kind=Role`."""

from urllib.parse import urlencode

from reconciler.render.shared import sanitize


def make_query(**chosen: str) -> str:
    """Return the filter that shows the changes with these values."""
    return urlencode({name: sanitize.escape(value) for name, value in chosen.items()})
