"""GitLab: one note on a merge request, found by its marker and author."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from reconciler.ci.http import OriginClient, split_origin, truncate
from reconciler.errors import DeliveryError

LONGEST: Final = 1_000_000  # characters of a note
_PAGE: Final = 100
_PAGES: Final = 50


def put_note(
    environ: Mapping[str, str],
    token: str,
    mark: str,
    body: str,
) -> str:
    """Make the one note with this marker say `body`; what was done: created, updated, kept.

    Raises DeliveryError, also outside of a merge request's pipeline.
    """
    project = environ.get("CI_MERGE_REQUEST_PROJECT_ID") or environ.get("CI_PROJECT_ID", "")
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    if not project or not number.isdigit():
        raise DeliveryError(
            "this is no merge request's pipeline", why="CI_MERGE_REQUEST_IID is unset"
        )
    origin, base = split_origin(
        environ.get("CI_API_V4_URL", "https://gitlab.com/api/v4"), what="CI_API_V4_URL"
    )
    caller = OriginClient(origin, {"PRIVATE-TOKEN": token})
    notes = f"{base}/projects/{quote(project, safe='')}/merge_requests/{number}/notes"
    me = _me(caller, base)
    text = truncate(f"{mark}\n{body}", LONGEST)
    found = _mine(caller, notes, mark, me)
    if found is None:
        try:
            caller.send("POST", notes, {"body": text})
        except DeliveryError as error:
            if not error.may_have_arrived or _mine(caller, notes, mark, me) is None:
                raise
        return "created"
    if str(found.get("body")).rstrip() == text.rstrip():
        return "kept"
    caller.send("PUT", f"{notes}/{found['id']}", {"body": text})
    return "updated"


def _me(caller: OriginClient, base: str) -> int:
    """The id of the token's own user."""
    found = caller.get(f"{base}/user")
    me = found.get("id") if isinstance(found, dict) else None
    if not isinstance(me, int):
        raise DeliveryError(f"{base}/user: GitLab did not say whose the token is")
    return me


def _mine(caller: OriginClient, notes: str, mark: str, me: int) -> Mapping[str, Any] | None:
    for page in range(1, _PAGES + 1):
        rows = caller.list_page(notes, per_page=_PAGE, page=page, sort="asc", order_by="created_at")
        for row in rows:
            author = row.get("author")
            mine = isinstance(author, dict) and author.get("id") == me
            if mine and "id" in row and str(row.get("body")).startswith(mark):
                return row
        if len(rows) < _PAGE:
            return None
    return None
