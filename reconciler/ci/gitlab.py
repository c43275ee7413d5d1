"""GitLab: facts about a pipeline, and one note on a merge request, found by marker and author."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import quote

from reconciler.ci.build import Build, OutputFile, read_push
from reconciler.ci.http import OriginClient, split_origin, truncate
from reconciler.errors import DeliveryError, ReconcilerError
from reconciler.lazy_dataclass import dataclass

MAX_NOTE: Final = 1_000_000  # characters
_PAGE: Final = 100
_MAX_PAGES: Final = 50
_API: Final = "https://gitlab.com/api/v4"
_VARIABLES: Final = (
    *("GITLAB_CI", "CI_API_V4_URL", "CI_COMMIT_BEFORE_SHA", "CI_COMMIT_BRANCH", "CI_COMMIT_SHA"),
    *("CI_COMMIT_TAG", "CI_JOB_URL", "CI_MERGE_REQUEST_DIFF_BASE_SHA", "CI_MERGE_REQUEST_IID"),
    *("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CI_PROJECT_DIR", "CI_PROJECT_ID"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLabBuild(Build):
    """A job of a pipeline."""

    provider: ClassVar[str] = "gitlab"
    token_variable: ClassVar[str] = "GITLAB_TOKEN"  # noqa: S105  the name of the variable
    comment_name: ClassVar[str] = "note"

    project_dir: str = ""  # empty outside of a job
    project_id: str = ""
    api_url: str = _API

    def format_outputs(self, outputs: Mapping[str, str]) -> OutputFile | None:
        """Return the outputs as a dotenv report."""
        if not self.project_dir:
            return None
        lines = (
            f"RECONCILER_{name.upper().replace('-', '_')}={value}\n"
            for name, value in outputs.items()
        )
        return OutputFile(Path(self.project_dir, "reconciler.env"), "".join(lines))

    def put_comment(self, mark: str, body: str) -> str | None:
        """Make the note with this marker say `body`; raise outside of a merge request, too."""
        token = self.token()
        if not self.project_id or self.pull_request is None:
            raise DeliveryError(
                "this is not the pipeline of a merge request",
                why="CI_MERGE_REQUEST_IID is not set",
                fix="run it in a pipeline for merge requests, or leave --comment out",
            )
        origin, base = split_origin(self.api_url, what="CI_API_V4_URL")
        client = OriginClient(origin, {"PRIVATE-TOKEN": token})
        project = quote(self.project_id, safe="")
        notes = f"{base}/projects/{project}/merge_requests/{self.pull_request}/notes"
        author = _read_own_id(client, base)
        text = truncate(f"{mark}\n{body}", MAX_NOTE)
        note = _find_note(client, notes, mark, author)
        if note is None:
            try:
                client.send("POST", notes, {"body": text})
            except DeliveryError as error:
                if not error.may_have_arrived or _find_note(client, notes, mark, author) is None:
                    raise
            return "created"
        if str(note.get("body")).rstrip() == text.rstrip():
            return "kept"
        client.send("PUT", f"{notes}/{note['id']}", {"body": text})
        return "updated"

    def put_issue(self, mark: str, title: str, body: str) -> str:  # noqa: ARG002  see `Build`
        """Refuse: the result of the pipeline reports drift."""
        raise _no_issues()

    def close_issue(self, mark: str, why: str) -> str:  # noqa: ARG002  see `Build`
        """Refuse, as above."""
        raise _no_issues()


def read_build(environ: Mapping[str, str]) -> GitLabBuild | None:
    """Return the facts about the job that is running; None outside of GitLab."""
    if not any(environ.get(name) for name in _VARIABLES):
        return None
    is_job = "GITLAB_CI" in environ
    folder = environ.get("CI_PROJECT_DIR", "")
    number = environ.get("CI_MERGE_REQUEST_IID", "")
    return GitLabBuild(
        run_url=environ.get("CI_JOB_URL", ""),
        commit=environ.get("CI_COMMIT_SHA", ""),
        branch=environ.get("CI_COMMIT_BRANCH") or None,
        is_tag=bool(environ.get("CI_COMMIT_TAG")),
        base_ref=environ.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME") or None,
        base_commit=environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA") or None,
        pushed_from=read_push(environ.get("CI_COMMIT_BEFORE_SHA")),
        pull_request=int(number) if number.isdecimal() else None,
        is_public=is_job and environ.get("CI_PROJECT_VISIBILITY", "public") == "public",
        folder=folder or ".",
        findings_file=Path(folder, "gl-code-quality-report.json") if is_job and folder else None,
        secret=environ.get("GITLAB_TOKEN", ""),
        project_dir=folder if is_job else "",
        project_id=environ.get("CI_MERGE_REQUEST_PROJECT_ID") or environ.get("CI_PROJECT_ID", ""),
        api_url=environ.get("CI_API_V4_URL", _API),
    )


def _no_issues() -> ReconcilerError:
    return ReconcilerError(
        "--issue is for GitHub",
        why="on GitLab the result of the pipeline reports drift",
        fix="leave it out, and let the job fail: --fail-on drift",
    )


def _read_own_id(client: OriginClient, base: str) -> int:
    """Return the id of the token's own user."""
    user = client.get(f"{base}/user")
    own_id = user.get("id") if isinstance(user, dict) else None
    if not isinstance(own_id, int):
        raise DeliveryError(f"{base}/user: GitLab did not say whose token this is")
    return own_id


def _find_note(
    client: OriginClient, notes: str, mark: str, author: int
) -> Mapping[str, Any] | None:
    """Return the oldest note that begins with the marker and was written by `author`."""
    for page in range(1, _MAX_PAGES + 1):
        rows = client.list_page(notes, per_page=_PAGE, page=page, sort="asc", order_by="created_at")
        for row in rows:
            user = row.get("author")
            is_own = isinstance(user, dict) and user.get("id") == author
            if is_own and "id" in row and str(row.get("body")).startswith(mark):
                return row
        if len(rows) < _PAGE:
            return None
    return None
