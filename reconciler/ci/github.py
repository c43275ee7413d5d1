"""GitHub: one comment on a pull request, one issue for drift; each found by marker and author."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.ci.http import OriginClient, split_origin, truncate
from reconciler.errors import DeliveryError

LONGEST: Final = 65_536  # characters of a comment or an issue
_PAGE: Final = 100
_PAGES: Final = 50  # of comments that are looked through
_BOT: Final = "github-actions[bot]"


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository, and the token's way to it."""

    caller: OriginClient
    base: str  # the path before /repos on GitHub Enterprise
    name: str  # owner/name
    graphql: str

    def path(self, rest: str) -> str:
        """A path of this repository."""
        return f"{self.base}/repos/{self.name}/{rest}"

    def me(self) -> str:
        """The login that the token writes as; a workflow's own token cannot ask for it by REST.

        Where GitHub fails nothing is taken for granted: with another name ours would not be found,
        and written once more. Raises DeliveryError.
        """
        query = {"query": "query { viewer { login } }"}
        try:
            answer = self.caller.query(self.graphql, query)
            return str(answer["data"]["viewer"]["login"])
        except DeliveryError as error:
            if error.may_have_arrived:
                raise
        except (KeyError, TypeError):
            pass
        return _BOT


def repository(environ: Mapping[str, str], token: str) -> Repository:
    """The repository that a workflow runs in, from its environment; raises DeliveryError."""
    name = environ.get("GITHUB_REPOSITORY", "")
    if name.count("/") != 1 or not all(name.split("/")):
        raise DeliveryError(
            "this is no workflow of a repository", why="GITHUB_REPOSITORY is not set"
        )
    origin, base = split_origin(
        environ.get("GITHUB_API_URL", "https://api.github.com"), what="GITHUB_API_URL"
    )
    graphql = environ.get("GITHUB_GRAPHQL_URL", f"{origin}{base.rstrip('/')}/graphql")
    graphql_origin, graphql_path = split_origin(graphql, what="GITHUB_GRAPHQL_URL")
    if graphql_origin != origin:
        raise DeliveryError("GITHUB_GRAPHQL_URL is on another host than GITHUB_API_URL")
    headers = {"Authorization": f"Bearer {token}", "X-GitHub-Api-Version": "2022-11-28"}
    caller = OriginClient(origin, headers)
    return Repository(caller, base.rstrip("/"), name, graphql_path)


def marker(what: str) -> str:
    """An invisible line by which our own text is known again; `what` is letters and digits."""
    return f"<!-- reconciler: {what} -->"


def put_comment(repo: Repository, number: int, mark: str, body: str) -> str:
    """Make the one comment with this marker say `body`; what was done: created, updated, kept.

    Only a comment of the token's own user is ever edited: anybody can write a marker.
    """
    text = truncate(f"{mark}\n{body}", LONGEST)
    path = repo.path(f"issues/{number}/comments")
    me = repo.me()
    found = next(_mine(repo, path, mark, me), None)
    if found is None:
        _created(repo, path, {"body": text}, lambda: next(_mine(repo, path, mark, me), None))
        return "created"
    if _same(found.get("body"), text):
        return "kept"
    repo.caller.send("PATCH", repo.path(f"issues/comments/{found['id']}"), {"body": text})
    return "updated"


def put_issue(repo: Repository, mark: str, title: str, body: str) -> str:
    """Make the one open issue with this marker say `body`; opens it if there is none."""
    text = truncate(f"{mark}\n{body}", LONGEST)
    found = _issue(repo, mark)
    if found is None:
        body_ = {"title": title, "body": text}
        _created(repo, repo.path("issues"), body_, lambda: _issue(repo, mark))
        return "opened"
    if _same(found.get("body"), text) and found.get("title") == title:
        return "kept"
    change = {"title": title, "body": text}
    repo.caller.send("PATCH", repo.path(f"issues/{found['number']}"), change)
    return "updated"


def close_issue(repo: Repository, mark: str, why: str) -> str:
    """Close the open issue with this marker, if there is one, saying why."""
    found = _issue(repo, mark)
    if found is None:
        return "none"
    number = found["number"]
    repo.caller.send("POST", repo.path(f"issues/{number}/comments"), {"body": why})
    change = {"state": "closed", "state_reason": "completed"}
    repo.caller.send("PATCH", repo.path(f"issues/{number}"), change)
    return "closed"


def _created(
    repo: Repository, path: str, body: Mapping[str, str], look: Callable[[], object]
) -> None:
    """POST once; where the answer got lost, look whether it is there before saying it is not."""
    try:
        repo.caller.send("POST", path, body)
    except DeliveryError as error:
        if not error.may_have_arrived or look() is None:
            raise


def _issue(repo: Repository, mark: str) -> Mapping[str, Any] | None:
    me = repo.me()
    path = repo.path("issues")
    return next(_mine(repo, path, mark, me, state="open", creator=me), None)


def _mine(
    repo: Repository, path: str, mark: str, me: str, **params: str
) -> Iterator[Mapping[str, Any]]:
    """What begins with the marker and was written by us, oldest first as GitHub lists it."""
    for page in range(1, _PAGES + 1):
        rows = repo.caller.list_page(path, per_page=_PAGE, page=page, **params)
        for row in rows:
            author = row.get("user")
            mine = isinstance(author, dict) and author.get("login") == me
            if mine and str(row.get("body") or "").startswith(mark):
                yield row
        if len(rows) < _PAGE:
            return


def _same(there: Any, text: str) -> bool:
    """Whether GitHub holds this text already; it ends lines with CRLF."""
    return str(there or "").replace("\r\n", "\n").rstrip() == text.rstrip()
