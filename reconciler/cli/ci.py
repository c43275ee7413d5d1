"""`reconciler ci`: a command as a build runs it, and its result told to the code host."""

import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.session import Session
from reconciler.errors import ReconcilerError, UsageError

if TYPE_CHECKING:
    from reconciler.model import Finding

DIFFERENCES, WAITING = 2, 3
LARGEST_SUMMARY = 1024 * 1024  # bytes; GitHub drops a larger one as a whole
REPORTED = ("plan", "apply", "drift")
TELLS = {"changes": DIFFERENCES, "drift": DIFFERENCES, "waiting": WAITING}


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left behind."""

    command: str
    code: int
    folder: Path
    summary: Mapping[str, Any] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A file of the report; empty if it was not written."""
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except OSError:
            return ""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many resources a plan concerns how."""
        return self.summary.get("plan") or {}

    @property
    def changes(self) -> int:
        """Resources that differ."""
        return sum(self.counts.get(action, 0) for action in ("create", "update", "delete"))

    @property
    def outputs(self) -> dict[str, str]:
        """What later steps may branch on."""
        seen = self.changes if self.code else 0  # what is held does not count
        drift = seen if self.command == "drift" else self.counts.get("drift", 0)
        plan = self.folder / "plan.json"
        return {
            "exit-code": str(self.code),
            "has-changes": _word(self.command != "drift" and self.changes > 0),
            "has-drift": _word(drift > 0),
            "waiting": str((self.summary.get("outcomes") or {}).get("waiting", 0)),
            "plan-file": str(plan) if plan.is_file() else "",
        }


def _word(value: bool) -> str:
    return "true" if value else "false"


@click.group("ci", epilog="Example: reconciler ci run --comment plan")
def command() -> None:
    """Run a command in a build: outputs, job summary, annotations, one comment, one issue."""


@command.command(
    "run",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: reconciler ci run --comment plan --select 'FeatureFlag/*'",
)
@click.option("--comment", is_flag=True, help="One comment on the pull request, kept up to date.")
@click.option("--issue", is_flag=True, help="One issue while there is drift, closed when clean.")
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(sorted(TELLS)),
    help="Fail the step on this as well; repeatable. Errors and refusals always fail it.",
)
@click.option("--report", metavar="DIR", help="Where the report is kept; a folder of the build.")
@click.argument("name", metavar="COMMAND", type=click.Choice([*REPORTED, "validate"]))
@click.argument("arguments", nargs=-1, metavar="[ARG]...", type=click.UNPROCESSED)
@click.pass_obj
def run(
    session: Session,
    comment: bool,
    issue: bool,
    fail_on: tuple[str, ...],
    report: str | None,
    name: str,
    arguments: tuple[str, ...],
) -> int:
    """Run plan, apply, drift or validate, and tell the code host how it went.

    Differences (2) and waiting (3) are results, not failures: the step succeeds and its outputs
    tell, unless --fail-on says otherwise. What cannot be told is a warning.
    """
    from reconciler.cli import run as run_command

    if session.sandbox:
        raise UsageError("ci runs against the host of the environment", fix="set POSTHOG_HOST")
    environ = session.environ
    folder = Path(report or _folder(environ, name)).absolute()
    code = run_command([*_globals(), name, *_asked(name, arguments, folder, environ)])
    result = Result(name, code, folder, _summary(folder))
    if name in REPORTED:
        for line in _annotations(result, environ):
            click.echo(line)
    target = str(result.summary.get("target") or session.target_name or "default")
    tellers = (
        lambda: _github_files(result, environ),
        lambda: _gitlab_files(result, environ),
        lambda: _tell(result, target, environ, comment=comment, issue=issue),
    )
    for tell in tellers:
        _try(tell, environ)
    return _exit_code(code, name, fail_on)


def _folder(environ: Mapping[str, str], name: str) -> str:
    root = environ.get("RUNNER_TEMP") or environ.get("CI_PROJECT_DIR") or "."
    return os.path.join(root, ".reconciler", "report", name)  # noqa: PTH118  a text, not a place


def _globals() -> list[str]:
    """The global options of this call, for the command that it runs."""
    context = click.get_current_context().find_root()
    found: list[str] = []
    for name in ("config", "target", "host", "color", "log_format"):
        if context.params.get(name) is not None:
            found += [f"--{name.replace('_', '-')}", str(context.params[name])]
    found += ["--quiet"] * bool(context.params.get("quiet"))
    return found + ["--verbose"] * int(context.params.get("verbose") or 0)


def _asked(
    name: str, arguments: Sequence[str], folder: Path, environ: Mapping[str, str]
) -> list[str]:
    """The arguments, and what a build always wants; nobody is there to be asked."""
    found = list(arguments)
    if name in REPORTED:
        for old in ("plan.json", "outcomes.md", "outcomes.json", "summary.json"):
            (folder / old).unlink(missing_ok=True)  # of an earlier run: nothing stale is told
        found += ["--report", str(folder)]
    if name == "plan" and "--detailed-exitcode" not in found:
        found.append("--detailed-exitcode")
    if name == "apply" and "--yes" not in found:
        found.append("--yes")
    if name == "validate" and "GITHUB_ACTIONS" in environ and "--format" not in found:
        found += ["--format", "github"]
    return found


def _summary(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _findings(result: Result) -> "tuple[Finding, ...]":
    """What deserves a mark on a line: findings, what drifted, what did not work."""
    from reconciler import planfile
    from reconciler.model import Finding, Severity
    from reconciler.render import who

    text = result.text("plan.json")
    if not text:
        return ()
    made = planfile.loads(text)
    found = [*made.findings]
    places = {str(change.address): change for change in made.changes}
    if result.command == "drift":
        found += [one for change in made.writes for one in who.findings(change)]
    outcomes = json.loads(result.text("outcomes.json") or '{"results": []}')
    for row in outcomes["results"]:
        if row["outcome"] not in {"failed", "refused", "waiting"}:
            continue
        change, problem = places.get(row["address"]), row.get("error") or {}
        bad = row["outcome"] != "waiting"
        found.append(
            Finding(
                row["outcome"],
                Severity.ERROR if bad else Severity.NOTICE,
                problem.get("what") or f"{row['address']} waits for approval: {row.get('url')}",
                why=problem.get("why") or "",
                fix=problem.get("fix") or "",
                source=change.source if change is not None else None,
                address=change.address if change is not None else None,
            )
        )
    return tuple(found)


def _annotations(result: Result, environ: Mapping[str, str]) -> Iterator[str]:
    if "GITHUB_ACTIONS" not in environ:
        return
    from reconciler.render import github

    if shown := github.findings(_findings(result)):
        yield shown


def _body(result: Result) -> str:
    """Markdown of the result, for a comment, an issue and the job's summary."""
    from reconciler.render import markdown

    parts = [result.text("plan.md"), result.text("outcomes.md")]
    if parts[1] and sum(map(len, parts)) > markdown.CAP:
        parts[0] = "The plan is too long to stand here as well; see plan.html of the report."
    error = result.summary.get("error")
    if error:
        parts.append(f"**{result.command} did not end well.**\n")
        parts.append(markdown.fence(f"{key}: {error[key]}" for key in error if error[key]))
    if not any(parts):
        parts = [f"`reconciler {result.command}` ended with {result.code}."]
    return "\n\n".join(part.rstrip() for part in parts if part) + "\n"


def _github_files(result: Result, environ: Mapping[str, str]) -> None:
    """Outputs, and the summary of the job."""
    if path := environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            for name, value in result.outputs.items():
                mark = secrets.token_hex(16)  # no value can end its own block
                file.write(f"{name}<<{mark}\n{value}\n{mark}\n")
    if (path := environ.get("GITHUB_STEP_SUMMARY")) and result.command in REPORTED:
        text = _body(result)
        there = Path(path).stat().st_size if Path(path).exists() else 0
        if there + len(text.encode()) > LARGEST_SUMMARY:
            text = f"`reconciler {result.command}`: too long for here; see the build's artifacts.\n"
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def _gitlab_files(result: Result, environ: Mapping[str, str]) -> None:
    """Outputs as a dotenv report, findings as a code quality report."""
    root = environ.get("CI_PROJECT_DIR")
    if "GITLAB_CI" not in environ or not root:
        return
    from reconciler.render import gitlab

    lines = (
        f"RECONCILER_{name.upper().replace('-', '_')}={value}"
        for name, value in result.outputs.items()
    )
    (Path(root) / "reconciler.env").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if result.command in REPORTED:
        report = gitlab.findings(_findings(result))
        (Path(root) / "gl-code-quality-report.json").write_text(report + "\n", encoding="utf-8")


def _tell(
    result: Result, target: str, environ: Mapping[str, str], *, comment: bool, issue: bool
) -> None:
    """The comment and the issue, on the host that the build runs on."""
    if not (comment or issue):
        return
    from hashlib import sha256

    from reconciler.forge import github, gitlab

    what = f"{result.command}-{sha256(target.encode()).hexdigest()[:12]}"
    mark, body = github.marker(what), _body(result) + _footer(environ)
    if "GITLAB_CI" in environ:
        if comment:
            token = _token(environ, "GITLAB_TOKEN")
            click.echo(f"note: {gitlab.put_note(environ, token, mark, body)}", err=True)
        return
    repo = github.repository(environ, _token(environ, "GITHUB_TOKEN"))
    if comment and (number := _pull_request(environ)) is not None:
        click.echo(f"comment: {github.put_comment(repo, number, mark, body)}", err=True)
    if issue and result.code in {0, DIFFERENCES}:
        if result.changes:
            title = f"PostHog has drifted from the files: {target}"
            done = github.put_issue(repo, mark, title, body)
        else:
            done = github.close_issue(repo, mark, f"PostHog matches the files. {_footer(environ)}")
        click.echo(f"issue: {done}", err=True)


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
    from reconciler.render import markdown

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


def _try(tell: Any, environ: Mapping[str, str]) -> None:
    """What cannot be told is a warning: the result is there all the same."""
    try:
        tell()
    except (ReconcilerError, OSError) as error:
        what = getattr(error, "what", None) or f"{type(error).__name__}: {error}"
        why, fix = getattr(error, "why", ""), getattr(error, "fix", "")
        said = ". ".join(part for part in (what, why, fix) if part)
        from reconciler.render.text.screen import escape

        click.echo(f"warning: {escape(said)}", err=True)
        if "GITHUB_ACTIONS" in environ:
            from reconciler.render import github

            click.echo(f"::warning title=reconciler::{github.data(said)}")


def _exit_code(code: int, name: str, fail_on: Sequence[str]) -> int:
    """Differences and waiting are told by outputs; only what was asked for fails the step."""
    if code == WAITING:
        return code if "waiting" in fail_on else 0
    if code == DIFFERENCES:
        return code if ("drift" if name == "drift" else "changes") in fail_on else 0
    return code
