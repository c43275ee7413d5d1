"""`reconciler ci`: run a command in a build, and report its result to the code host."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from reconciler import render
from reconciler.ci.build import Build, OutputFile
from reconciler.cli.main import run as run_command
from reconciler.cli.notifications import build_comments
from reconciler.cli.report import prepare_folder
from reconciler.cli.session import Session
from reconciler.errors import ReconcilerError, UsageError
from reconciler.files import repo_paths, result_files
from reconciler.model import LEFT_OUT, Finding, Severity
from reconciler.planfile import codec
from reconciler.render import markdown
from reconciler.render import text as render_text
from reconciler.render.shared import attribution, phrases

DIFFERENCES, WAITING = 2, 3
LISTED = 50  # findings of an error that a comment has room for
COMMANDS = ("plan", "apply", "drift", "validate")
RESULTS = ("changes", "drift", "waiting")  # that --fail-on can turn into failures


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command left behind."""

    command: str
    code: int
    folder: Path
    summary: Mapping[str, Any] = field(default_factory=dict)

    def read_file(self, name: str) -> str:
        """Return a file of the report; empty if it was not written."""
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except OSError:
            return ""

    @property
    def counts(self) -> Mapping[str, int]:
        """Return how many resources a plan concerns, by action."""
        return self.summary.get("plan") or {}

    @property
    def changes(self) -> int:
        """Resources that differ."""
        return sum(self.counts.get(action, 0) for action in ("create", "update", "delete"))

    @property
    def outputs(self) -> dict[str, str]:
        """Return what later steps may branch on."""
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
    type=click.Choice(RESULTS),
    help="Fail the step on this as well; repeatable. Errors and refusals always fail it.",
)
@click.option("--report", metavar="DIR", help="Where the report is kept; a folder of the build.")
@click.argument("name", metavar="COMMAND", type=click.Choice(COMMANDS))
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
    """Run plan, apply, drift or validate, and report the result to the code host.

    Differences (2) and waiting (3) are results, not failures: the step succeeds, and its outputs
    show them, unless --fail-on says otherwise. If a report cannot be sent, that is a warning.
    """
    if session.sandbox:
        raise UsageError("ci runs against the host of the environment", fix="set POSTHOG_HOST")
    if issue and name != "drift":
        raise UsageError(f"--issue is for drift, not for {name}", fix="leave it out")
    build = session.build
    folder = _prepare_report(session, name, report, arguments)
    words = _complete_arguments(name, arguments, folder)
    code = run_command([*_list_global_options(session), name, *words], session.surroundings)
    result = CommandResult(name, code, folder, _summary(folder))
    target = str(result.summary.get("target") or _find_target(session))
    steps = (
        lambda: _report_findings(result, build),
        lambda: _write_outputs(result, build),
        lambda: _write_summary(result, build),
        lambda: _report_to_code_host(session, result, target, comment=comment, issue=issue),
    )
    for step in steps:
        _try(session, step)
    return _choose_exit_code(code, name, fail_on)


def _find_target(session: Session) -> str:
    """Return the target, also where a command ended before it knew."""
    try:
        return session.target().name
    except ReconcilerError:
        return session.target_name or "default"


def _prepare_report(
    session: Session, name: str, report: str | None, arguments: Sequence[str]
) -> Path:
    """Return where this run's report goes, with nothing of an earlier run in it.

    A result is never lost for want of a folder: where this one cannot be used, it is another one.
    """
    root = "." if session.build is None else session.build.folder
    parts = [".reconciler", "report", name]
    if session.target_name:  # two targets of one job do not write over each other
        parts.append(quote(session.target_name, safe=" ").replace(".", "%2E"))
    folder = Path(report) if report else Path(root, *parts)
    if any(Path(word).absolute().parent == folder.absolute() for word in arguments if word):
        raise UsageError(
            f"the report of this run would go to {folder}, over what it is to read",
            fix="name another folder: ci run --report DIR",
        )
    try:
        return prepare_folder(folder.absolute())
    except (OSError, ValueError) as error:
        fallback = Path(tempfile.mkdtemp(prefix="reconciler-"))
        why = getattr(error, "strerror", None) or str(error)
        session.warn(f"no report can be kept in {folder}: {why}; it is in {fallback}")
        return fallback


def _list_global_options(session: Session) -> list[str]:
    """Return the global options of this call, for the command that it runs."""
    values = {
        "--config": session.config,
        "--target": session.target_name,
        "--host": session.host,
        "--color": session.color_choice,
        "--log-format": session.log_format,
    }
    given = [
        part for name, value in values.items() if value is not None for part in (name, str(value))
    ]
    return given + ["--quiet"] * session.quiet + ["--verbose"] * session.verbose


def _complete_arguments(name: str, arguments: Sequence[str], folder: Path) -> list[str]:
    """Return the arguments, with what a build always wants: nobody can answer a question."""
    completed = [*arguments, "--report", str(folder)]
    if name == "plan" and "--detailed-exitcode" not in completed:
        completed.append("--detailed-exitcode")
    if name == "apply" and "--yes" not in completed:
        completed.append("--yes")
    return completed


def _summary(folder: Path) -> Mapping[str, Any]:
    try:
        document = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _collect_findings(result: CommandResult) -> tuple[Finding, ...]:
    """Return what deserves a mark on a line: findings, what drifted, what did not work."""
    text = result.read_file("plan.json")
    if not text:  # it ended before: what the files are wrong with is all there is
        return repo_paths.locate_from_root(
            codec.read_findings(result.summary.get("findings") or [])
        )
    plan = codec.load_plan(text)
    findings = [*plan.findings]
    changes = {str(change.address): change for change in plan.changes}
    if result.command == "drift":
        findings += [
            finding for change in plan.writes for finding in attribution.make_findings(change)
        ]
    outcomes = json.loads(result.read_file("outcomes.json") or '{"results": []}')
    for row in outcomes["results"]:
        if row["outcome"] not in {"failed", "refused", "waiting"}:
            continue
        change, problem = changes.get(row["address"]), row.get("error") or {}
        bad = row["outcome"] != "waiting"
        findings.append(
            Finding(
                row["outcome"],
                Severity.ERROR if bad else Severity.NOTICE,
                problem.get("what") or f"{row['address']} waits for approval: {row.get('url')}",
                why=_why(row, problem),
                fix=problem.get("fix") or "",
                source=change.source if change is not None else None,
                address=change.address if change is not None else None,
            )
        )
    return repo_paths.locate_from_root(findings)


def _why(row: Mapping[str, Any], problem: Mapping[str, Any]) -> str:
    """Return why it did not finish, and what of it is live."""
    live = ", ".join(row.get("written") or ())
    reasons = (problem.get("why"), f"{live} written" if live else "")
    return "; ".join(part for part in reasons if part)


def _report_findings(result: CommandResult, build: Build | None) -> None:
    """Print findings where the provider reads them, or write them to its file."""
    if build is None:
        return
    if not build.prints_findings and build.findings_file is None:
        return
    text = render.findings(_collect_findings(result), format=build.provider)
    if build.findings_file is not None:
        result_files.write_private(str(build.findings_file), f"{text}\n")
    elif text:
        click.echo(text)


def _render_body(result: CommandResult) -> str:
    """Return the result as Markdown, for a comment, an issue and the job's summary."""
    parts = [result.read_file("plan.md"), result.read_file("outcomes.md")]
    if parts[1] and sum(map(len, parts)) > markdown.CAP:
        parts[0] = "The plan is too long to stand here as well; see plan.html of the report."
    error = result.summary.get("error")
    if result.command == "validate" and not error and "errors" in result.summary:
        parts += _describe_validation(result.summary)
    elif error:
        parts.append(f"**{result.command} did not end well.**\n")
        parts.append(markdown.format_fence(_describe_error(result, error)))
    if not any(parts):
        parts = [f"`reconciler {result.command}` ended with {result.code}."]
    return "\n\n".join(part.rstrip() for part in parts if part) + "\n"


def _describe_validation(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the result of `validate`, and the worst findings. A fork's pull request shows it."""
    counts = [
        phrases.count(number, noun)
        for noun in ("resource", *Severity)
        if (number := int(summary.get(f"{noun}s") or 0))
    ]
    word = "Not valid" if summary["errors"] else "Valid"
    targets = ", ".join(map(markdown.format_code, summary.get("targets") or ()))
    yield f"**{word}{' for ' if targets else ''}{targets}.** {', '.join(counts)}\n"
    if findings := codec.read_findings(summary["findings"][:LISTED]):
        yield markdown.format_fence(render_text.findings(findings, color=False).split("\n"))


def _describe_error(result: CommandResult, error: Mapping[str, Any]) -> Iterator[str]:
    """Yield what ended a command; before there was a plan, with findings about the files."""
    rows = [] if result.read_file("plan.json") else result.summary.get("findings") or []
    if findings := codec.read_findings(rows[:LISTED]):
        yield from render_text.findings(findings, color=False).split("\n")
        yield ""
    keys = ("what", "why", "state", "fix")
    yield from (f"{key}: {error[key]}" for key in keys if error.get(key))


def _write_outputs(result: CommandResult, build: Build | None) -> None:
    """Write the outputs of the step for later steps."""
    file: OutputFile | None = None if build is None else build.format_outputs(result.outputs)
    if file is None:
        return
    if not file.appends:
        result_files.write_private(str(file.path), file.text)
        return
    with file.path.open("a", encoding="utf-8") as stream:
        stream.write(file.text)


def _write_summary(result: CommandResult, build: Build | None) -> None:
    """Append the result to the summary of the job, as far as there is space."""
    if build is None or build.summary_file is None:
        return
    path, text = build.summary_file, _render_body(result)
    size = path.stat().st_size if path.exists() else 0
    if size + len(text.encode()) > build.max_summary_bytes:
        text = f"`reconciler {result.command}`: too long for here; see the build's artifacts.\n"
    with path.open("a", encoding="utf-8") as stream:
        stream.write(text)


def _report_to_code_host(
    session: Session, result: CommandResult, target: str, *, comment: bool, issue: bool
) -> None:
    """Write the comment and the issue on the host that the build runs on."""
    if comment:
        build_comments.put_comment(session, result.command, target, _render_body(result))
    if not issue or result.code not in {0, DIFFERENCES}:
        return
    if result.code == DIFFERENCES:
        build_comments.put_issue(session, result.command, target, _render_body(result))
    elif any(finding.code in LEFT_OUT for finding in _collect_findings(result)):
        session.note("issue: left as it is, for there is drift that was not asked for")
    else:
        held = "What still differs is held, as reconciler.yaml says."
        waits = json.loads(result.read_file("plan.json") or "{}").get("not_applied")
        clean = "Nothing has drifted." if waits else "PostHog matches the files."
        why = held if result.changes else clean
        build_comments.close_issue(session, result.command, target, why)


def _try(session: Session, report: Callable[[], None]) -> None:
    """Report, and warn where that fails: the result does not depend on it."""
    try:
        report()
    except (ReconcilerError, OSError) as error:
        what = getattr(error, "what", None) or f"{type(error).__name__}: {error}"
        why, fix = getattr(error, "why", ""), getattr(error, "fix", "")
        message = ". ".join(part for part in (what, why, fix) if part)
        session.warn(message)
        build = session.build
        if build is not None and build.prints_findings:
            warning = Finding("reconciler", Severity.WARNING, message)
            click.echo(render.findings((warning,), format=build.provider))


def _choose_exit_code(code: int, name: str, fail_on: Sequence[str]) -> int:
    """Return the exit code of the step: results fail it only where that was asked for."""
    if code == WAITING:
        return code if "waiting" in fail_on else 0
    if code == DIFFERENCES:
        return code if ("drift" if name == "drift" else "changes") in fail_on else 0
    return code
