"""Report the result of a build on its code host: one comment, one issue."""

from hashlib import sha256

from reconciler.ci.build import Build
from reconciler.cli.session import Session
from reconciler.errors import DeliveryError
from reconciler.model import shorten_commit
from reconciler.render import markdown


def put_comment(session: Session, command: str, target: str, body: str) -> None:
    """Write the comment (GitLab: note) of a command and target; none outside of a pull request."""
    build = _require_build(session)
    done = build.put_comment(_mark(command, target), body + _render_footer(build))
    if done is not None:
        session.note(f"{build.comment_name}: {done}")


def put_issue(session: Session, command: str, target: str, body: str) -> None:
    """Write the issue that stays open while there is drift."""
    build = _require_build(session)
    title = f"PostHog has drifted from the files: {target}"
    done = build.put_issue(_mark(command, target), title, body + _render_footer(build))
    session.note(f"issue: {done}")


def close_issue(session: Session, command: str, target: str, why: str) -> None:
    """Close that issue, if it is open."""
    build = _require_build(session)
    done = build.close_issue(_mark(command, target), f"{why} {_render_footer(build)}")
    session.note(f"issue: {done}")


def _require_build(session: Session) -> Build:
    if session.build is None:
        raise DeliveryError(
            "this is not a build of GitHub or GitLab",
            why="neither GITHUB_ACTIONS nor GITLAB_CI is set",
            fix="run it in a workflow or pipeline, or leave --comment and --issue out",
        )
    return session.build


def _mark(command: str, target: str) -> str:
    """Return an invisible line by which our own text is found again."""
    return f"<!-- reconciler: {command}-{sha256(target.encode()).hexdigest()[:12]} -->"


def _render_footer(build: Build) -> str:
    """Return which run wrote the text, and for which commit."""
    url = build.run_url
    parts = [f"[this run]({url})"] if url.startswith("https://") and " " not in url else []
    parts += (
        [f"commit {markdown.format_code(shorten_commit(build.commit))}"] if build.commit else []
    )
    return f"\n{', '.join(parts)}\n" if parts else ""
