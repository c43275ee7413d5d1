"""GitLab: one note on a merge request, found by its marker and author."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from reconciler.errors import ForgeError
from reconciler.forge.http import Caller, Patience, origin_of

LONGEST: Final = 1_000_000  # characters of a note
_PAGE: Final = 100
_PAGES: Final = 50


def put_note(
    environ: Mapping[str, str],
    token: str,
    mark: str,
    body: str,
    *,
    patience: Patience | None = None,
) -> str:
    """Make the one note with this marker say `body`; what was done: created, updated, kept.

    Raises ForgeError, also outside of a merge request's pipeline.
    """
    project = environ.get("CI_MERGE_REQUEST_PROJECT_ID") or environ.get("CI_PROJECT_ID", "")
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    if not project or not number.isdigit():
        raise ForgeError("this is no merge request's pipeline", why="CI_MERGE_REQUEST_IID is unset")
    origin, base = origin_of(
        environ.get("CI_API_V4_URL", "https://gitlab.com/api/v4"), what="CI_API_V4_URL"
    )
    caller = Caller(origin, {"PRIVATE-TOKEN": token}, patience or Patience())
    notes = f"{base}/projects/{quote(project, safe='')}/merge_requests/{number}/notes"
    me = caller.get(f"{base}/user").get("id")
    text = f"{mark}\n{body}"[:LONGEST]
    found = _mine(caller, notes, mark, me)
    if found is None:
        caller.send("POST", notes, {"body": text})
        return "created"
    if str(found.get("body")).rstrip() == text.rstrip():
        return "kept"
    caller.send("PUT", f"{notes}/{found['id']}", {"body": text})
    return "updated"


def _mine(caller: Caller, notes: str, mark: str, me: Any) -> Mapping[str, Any] | None:
    for page in range(1, _PAGES + 1):
        rows = caller.get(notes, per_page=_PAGE, page=page, sort="asc", order_by="created_at")
        for row in rows:
            if (row.get("author") or {}).get("id") == me and str(row["body"]).startswith(mark):
                found: Mapping[str, Any] = row
                return found
        if len(rows) < _PAGE:
            return None
    return None
