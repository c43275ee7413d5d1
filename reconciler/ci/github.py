"""GitHub: facts about a workflow, one comment on a pull request, one issue for drift.

Comment and issue are found by marker and author: anybody can write a marker.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from reconciler.ci.build import Build, OutputFile, Push, read_push
from reconciler.ci.http import OriginClient, split_origin, truncate
from reconciler.errors import DeliveryError
from reconciler.lazy_dataclass import dataclass

MAX_BODY: Final = 65_536  # characters of a comment or an issue
_PAGE: Final = 100
_MAX_PAGES: Final = 50  # of comments that are searched
_BOT: Final = "github-actions[bot]"
_API: Final = "https://api.github.com"
_HEADS: Final = "refs/heads/"
_MAX_EVENT: Final = 32 * 1024 * 1024
_VARIABLES: Final = (
    *("GITHUB_ACTIONS", "GITHUB_API_URL", "GITHUB_BASE_REF", "GITHUB_EVENT_PATH", "GITHUB_OUTPUT"),
    *("GITHUB_REF", "GITHUB_REF_TYPE", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_SHA"),
    *("GITHUB_STEP_SUMMARY", "RUNNER_TEMP"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubBuild(Build):
    """A job of a workflow."""

    provider: ClassVar[str] = "github"
    token_variable: ClassVar[str] = "GITHUB_TOKEN"  # noqa: S105  the name of the variable
    max_summary_bytes: ClassVar[int] = 1024 * 1024  # GitHub drops a larger one as a whole

    repository: str = ""  # owner/name
    api_url: str = _API
    graphql_url: str | None = None
    output_file: Path | None = None

    def format_outputs(self, outputs: Mapping[str, str]) -> OutputFile | None:
        """Return the outputs as blocks, none of which a value can end."""
        if self.output_file is None:
            return None
        import secrets  # noqa: PLC0415  it imports OpenSSL, which most commands do without

        marks = {name: secrets.token_hex(16) for name in outputs}
        blocks = (
            f"{name}<<{marks[name]}\n{value}\n{marks[name]}\n" for name, value in outputs.items()
        )
        return OutputFile(self.output_file, "".join(blocks), appends=True)

    def put_comment(self, mark: str, body: str) -> str | None:
        """Make the comment with this marker say `body`; edit only a comment of the token's user."""
        repository = _connect(self)
        if self.pull_request is None:
            return None
        return _put_comment(repository, self.pull_request, mark, body)

    def put_issue(self, mark: str, title: str, body: str) -> str:
        """Make the open issue with this marker say `body`; open it if there is none."""
        return _put_issue(_connect(self), mark, title, body)

    def close_issue(self, mark: str, why: str) -> str:
        """Close the open issue with this marker, if there is one, with a comment that says why."""
        return _close_issue(_connect(self), mark, why)


def read_build(environ: Mapping[str, str]) -> GitHubBuild | None:
    """Return the facts about the job that is running; None outside of GitHub."""
    if not any(environ.get(name) for name in _VARIABLES):
        return None
    event = _read_event(environ.get("GITHUB_EVENT_PATH"))
    server, repository, run_id = (
        environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")
    )
    has_page = server and repository and run_id
    is_job = "GITHUB_ACTIONS" in environ
    return GitHubBuild(
        run_url=f"{server}/{repository}/actions/runs/{run_id}" if has_page else "",
        commit=environ.get("GITHUB_SHA", ""),
        branch=_read_branch(environ),
        is_tag=environ.get("GITHUB_REF_TYPE") == "tag",
        base_ref=environ.get("GITHUB_BASE_REF") or None,
        pushed_from=_read_push(event) if environ.get("GITHUB_EVENT_NAME") == "push" else None,
        pull_request=_read_number(event),
        # a job always has the file of its event: without it this is not one
        is_public=is_job and "GITHUB_EVENT_PATH" in environ and _is_public(event),
        folder=environ.get("RUNNER_TEMP") or ".",
        prints_findings=is_job,
        summary_file=_read_path(environ, "GITHUB_STEP_SUMMARY"),
        secret=environ.get("GITHUB_TOKEN", ""),
        repository=repository,
        api_url=environ.get("GITHUB_API_URL", _API),
        graphql_url=environ.get("GITHUB_GRAPHQL_URL"),
        output_file=_read_path(environ, "GITHUB_OUTPUT"),
    )


def _read_path(environ: Mapping[str, str], name: str) -> Path | None:
    return Path(environ[name]) if environ.get(name) else None


def _read_branch(environ: Mapping[str, str]) -> str | None:
    """Return the branch that the build is of; for a pull request GITHUB_REF names another ref."""
    ref = environ.get("GITHUB_REF", "")
    if ref.startswith(_HEADS):
        return ref.removeprefix(_HEADS)
    if environ.get("GITHUB_REF_TYPE") == "branch" and environ.get("GITHUB_EVENT_NAME") == "push":
        return environ.get("GITHUB_REF_NAME")
    return None


def _read_event(path: str | None) -> Mapping[str, Any]:
    """Return the event that started the workflow; empty if it cannot be read."""
    if not path:
        return {}
    try:
        with Path(path).open("rb") as file:
            event = json.loads(file.read(_MAX_EVENT))
    except (OSError, ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _read_push(event: Mapping[str, Any]) -> Push | None:
    before = event.get("before")
    return read_push(
        before if isinstance(before, str) else None, is_forced=event.get("forced") is True
    )


def _read_number(event: Mapping[str, Any]) -> int | None:
    pull_request = event.get("pull_request")
    number = pull_request.get("number") if isinstance(pull_request, dict) else None
    return number if isinstance(number, int) else None


def _is_public(event: Mapping[str, Any]) -> bool:
    """Return whether the repository is public, or the event does not say."""
    repository = event.get("repository")
    if not isinstance(repository, dict):
        return True
    return not (repository.get("private") is True or repository.get("visibility") == "internal")


@dataclass(frozen=True, slots=True)
class _Repository:
    """One repository, and the client that may write to it."""

    client: OriginClient
    base: str  # the path before /repos on GitHub Enterprise
    name: str  # owner/name
    graphql: str

    def path(self, rest: str) -> str:
        """Return a path of this repository."""
        return f"{self.base}/repos/{self.name}/{rest}"

    def read_login(self) -> str:
        """Return the login that the token writes as; a workflow's token cannot ask REST for it.

        If GitHub fails, do not guess: under another name our comment would not be found, and
        would be written twice. Raises DeliveryError.
        """
        query = {"query": "query { viewer { login } }"}
        try:
            answer = self.client.query(self.graphql, query)
            return str(answer["data"]["viewer"]["login"])
        except DeliveryError as error:
            if error.may_have_arrived:
                raise
        except (KeyError, TypeError):
            pass
        return _BOT


def _connect(build: GitHubBuild) -> _Repository:
    """Return the repository that a workflow runs in; raise ReconcilerError."""
    token = build.token()
    if build.repository.count("/") != 1 or not all(build.repository.split("/")):
        raise DeliveryError(
            "this is not a workflow of a repository",
            why="GITHUB_REPOSITORY is not set",
            fix="run it in a workflow, or leave --comment and --issue out",
        )
    origin, base = split_origin(build.api_url, what="GITHUB_API_URL")
    base = base.rstrip("/")
    graphql_origin, graphql_path = split_origin(
        build.graphql_url or f"{origin}{base}/graphql", what="GITHUB_GRAPHQL_URL"
    )
    if graphql_origin != origin:
        raise DeliveryError("GITHUB_GRAPHQL_URL is on another host than GITHUB_API_URL")
    headers = {"Authorization": f"Bearer {token}", "X-GitHub-Api-Version": "2022-11-28"}
    return _Repository(OriginClient(origin, headers), base, build.repository, graphql_path)


def _put_comment(repository: _Repository, number: int, mark: str, body: str) -> str:
    text = truncate(f"{mark}\n{body}", MAX_BODY)
    path = repository.path(f"issues/{number}/comments")
    login = repository.read_login()

    def find_comment() -> Mapping[str, Any] | None:
        return next(_find_own(repository, path, mark, login), None)

    comment = find_comment()
    if comment is None:
        _create(repository, path, {"body": text}, find_comment)
        return "created"
    if _is_same(comment.get("body"), text):
        return "kept"
    path = repository.path(f"issues/comments/{comment['id']}")
    repository.client.send("PATCH", path, {"body": text})
    return "updated"


def _put_issue(repository: _Repository, mark: str, title: str, body: str) -> str:
    content = {"title": title, "body": truncate(f"{mark}\n{body}", MAX_BODY)}
    issue = _find_issue(repository, mark)
    if issue is None:
        path = repository.path("issues")
        _create(repository, path, content, lambda: _find_issue(repository, mark))
        return "opened"
    if _is_same(issue.get("body"), content["body"]) and issue.get("title") == title:
        return "kept"
    repository.client.send("PATCH", repository.path(f"issues/{issue['number']}"), content)
    return "updated"


def _close_issue(repository: _Repository, mark: str, why: str) -> str:
    issue = _find_issue(repository, mark)
    if issue is None:
        return "none"
    path = repository.path(f"issues/{issue['number']}")
    repository.client.send("POST", f"{path}/comments", {"body": why})
    repository.client.send("PATCH", path, {"state": "closed", "state_reason": "completed"})
    return "closed"


def _create(
    repository: _Repository,
    path: str,
    body: Mapping[str, str],
    find_created: Callable[[], object],
) -> None:
    """POST once; if the answer is lost, look whether it arrived before reporting a failure."""
    try:
        repository.client.send("POST", path, body)
    except DeliveryError as error:
        if not error.may_have_arrived or find_created() is None:
            raise


def _find_issue(repository: _Repository, mark: str) -> Mapping[str, Any] | None:
    login = repository.read_login()
    path = repository.path("issues")
    return next(_find_own(repository, path, mark, login, state="open", creator=login), None)


def _find_own(
    repository: _Repository, path: str, mark: str, login: str, **params: str
) -> Iterator[Mapping[str, Any]]:
    """Yield what begins with the marker and was written by `login`, oldest first."""
    for page in range(1, _MAX_PAGES + 1):
        rows = repository.client.list_page(path, per_page=_PAGE, page=page, **params)
        for row in rows:
            author = row.get("user")
            is_own = isinstance(author, dict) and author.get("login") == login
            if is_own and str(row.get("body") or "").startswith(mark):
                yield row
        if len(rows) < _PAGE:
            return


def _is_same(stored: Any, text: str) -> bool:
    """Return whether GitHub has this text already; it ends lines with CRLF."""
    return str(stored or "").replace("\r\n", "\n").rstrip() == text.rstrip()
