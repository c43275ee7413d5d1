"""The result of a build told on its code host: one comment, one issue."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from reconciler.ci import github, gitlab
from reconciler.ci.github import Repository
from reconciler.cli.session import Session
from reconciler.errors import ReconcilerError
from reconciler.render import markdown


def put_comment(session: Session, command: str, target: str, body: str) -> None:
    """The one comment (GitLab: note) of a command and target; none outside of a pull request."""
    environ, mark = session.environ, _mark(command, target)
    text = body + _footer(environ)
    if "GITLAB_CI" in environ:
        token = _token(environ, "GITLAB_TOKEN")
        session.note(f"note: {gitlab.put_note(environ, token, mark, text)}")
        return
    repo = _repository(environ)
    if (number := _pull_request(environ)) is not None:
        session.note(f"comment: {github.put_comment(repo, number, mark, text)}")


def put_issue(session: Session, command: str, target: str, body: str) -> None:
    """The one issue while there is drift; GitLab has none."""
    environ = session.environ
    if "GITLAB_CI" in environ:
        raise _no_issues()
    title = f"PostHog has drifted from the files: {target}"
    text = body + _footer(environ)
    done = github.put_issue(_repository(environ), _mark(command, target), title, text)
    session.note(f"issue: {done}")


def close_issue(session: Session, command: str, target: str, why: str) -> None:
    """Close that issue, if it is open."""
    environ = session.environ
    if "GITLAB_CI" in environ:
        raise _no_issues()
    text = f"{why} {_footer(environ)}"
    session.note(f"issue: {github.close_issue(_repository(environ), _mark(command, target), text)}")


def _no_issues() -> ReconcilerError:
    return ReconcilerError(
        "--issue is for GitHub",
        why="on GitLab the pipeline's own result tells",
        fix="leave it out, and let the job fail: --fail-on drift",
    )


def _mark(command: str, target: str) -> str:
    return github.marker(f"{command}-{sha256(target.encode()).hexdigest()[:12]}")


def _repository(environ: Mapping[str, str]) -> Repository:
    return github.repository(environ, _token(environ, "GITHUB_TOKEN"))


def _token(environ: Mapping[str, str], name: str) -> str:
    if token := environ.get(name):
        return token
    raise ReconcilerError(
        f"{name} is not set",
        why="a comment is written with a token of the code host",
        state="the result stands; it was not told there",
        fix=f"pass the build's token to the step as {name}",
    )


def _pull_request(environ: Mapping[str, str]) -> int | None:
    """The number of the pull request that is built; None elsewhere."""
    try:
        event = json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        number = event["pull_request"]["number"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return number if isinstance(number, int) else None


def _footer(environ: Mapping[str, str]) -> str:
    """Which run said so."""
    server, name, run_ = (
        environ.get(key) for key in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    )
    url = environ.get("CI_JOB_URL") or (
        f"{server}/{name}/actions/runs/{run_}" if server and name and run_ else ""
    )
    commit = (environ.get("GITHUB_SHA") or environ.get("CI_COMMIT_SHA") or "")[:12]
    said = [f"[this run]({url})"] if url.startswith("https://") and " " not in url else []
    said += [f"commit {markdown.code(commit)}"] if commit else []
    return f"\n{', '.join(said)}\n" if said else ""
