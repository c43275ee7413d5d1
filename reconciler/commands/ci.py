"""`reconciler ci`: run a command in a build, and report its result to the code host."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import click

from reconciler import render
from reconciler.ci.build import Build, OutputFile
from reconciler.cli import options
from reconciler.cli.build import comments
from reconciler.cli.build.command_result import CommandResult, read_summary
from reconciler.cli.build.fleet_result import FleetResult, read_fleet
from reconciler.cli.build.result import BuildResult
from reconciler.cli.main import run as run_command
from reconciler.cli.report import prepare_folder
from reconciler.cli.session import Session
from reconciler.errors import ReconcilerError, UsageError, explain_refusal
from reconciler.files import result_files
from reconciler.fleet import combine
from reconciler.model import ExitCode, Finding, FleetMode, Severity, join_sentences
from reconciler.render.shared.options import RenderOptions

FLEET, MERGE = "fleet", "merge"
COMMANDS = ("plan", "apply", "drift", "validate", FLEET)
RESULTS = ("changes", "drift", "waiting")  # that --fail-on can turn into failures


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
@click.option(
    "--report",
    metavar="DIR",
    callback=options.named,
    help="Where the report is kept; a folder of the build.",
)
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
    """Run plan, apply, drift, validate or fleet, and report the result to the code host.

    `fleet COMMAND`, also `fleet merge`, writes one comment and one issue for all targets.

    Differences (2) and waiting (3) are results, not failures: the step succeeds, and its outputs
    show them, unless --fail-on says otherwise. If a report cannot be sent, that is a warning.
    """
    if session.sandbox:
        raise UsageError("ci runs against the host of the environment", fix="set POSTHOG_HOST")
    mode = _find_mode(name, arguments)
    if issue and mode not in {"drift", MERGE}:
        raise UsageError(f"--issue is for drift, not for {mode}", fix="leave it out")
    build = session.build
    _refuse_second_report(name, arguments)
    folder = _prepare_report(session, name, report, arguments)
    words = _complete_arguments(name, mode, arguments, folder)
    code = run_command([*_list_global_options(session), name, *words], session.surroundings)
    result = _read_result(session, name, arguments, code, folder)
    steps = (
        lambda: _report_findings(result, build),
        lambda: _write_outputs(result, build),
        lambda: _write_summary(result, build),
        lambda: _report_to_code_host(session, result, comment=comment, issue=issue),
    )
    for step in steps:
        _try(session, step)
    return _choose_exit_code(code, result.command.split()[-1], fail_on)


def _refuse_second_report(name: str, arguments: Sequence[str]) -> None:
    """Refuse the option that `ci run` itself adds: only one of the two would count."""
    option = "--out" if name == FLEET else "--report"
    if any(word.partition("=")[0] == option for word in arguments):
        raise UsageError(
            f"`ci run` does not accept {option} after {name}",
            why="it sets the option itself, and reads the report from there",
            fix=f"write --report DIR before {name}: ci run --report DIR {name}",
        )


def _find_mode(name: str, arguments: Sequence[str]) -> str:
    """Return the command that runs for each target; UsageError if it is not for a build."""
    if name != FLEET:
        return name
    modes = [mode.value for mode in FleetMode if mode.value in COMMANDS] + [MERGE]
    if not arguments or arguments[0] not in modes:
        raise UsageError(
            "`ci run fleet` needs a command for each target",
            fix=f"write one of {', '.join(modes)} after it: ci run fleet plan",
        )
    return arguments[0]


def _read_result(
    session: Session, name: str, arguments: Sequence[str], code: int, folder: Path
) -> BuildResult:
    if name != FLEET:
        return CommandResult(name, code, folder, read_summary(folder), _find_target(session))
    look = RenderOptions(
        identities=session.identities,
        run=session.build.run_url if session.build is not None else "",
    )
    label = " ".join((*session.target_names, *_list_choice(arguments))) or "all targets"
    return FleetResult(arguments[0], code, folder, label, look, read_fleet(folder))


def _list_choice(arguments: Sequence[str]) -> Iterator[str]:
    """Yield what the words after the command say about the targets: the same in each build."""
    for index, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in {"--target", "--shard"}:
            yield value if equals else " ".join(arguments[index + 1 : index + 2])


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
    # Two targets of one job do not write over each other.
    named = session.target_names if name == FLEET else [session.target_name or ""]
    parts += [quote(each, safe=" ").replace(".", "%2E") for each in named if each]
    folder = Path(report) if report else Path(root, *parts)
    if any(Path(word).absolute().parent == folder.absolute() for word in arguments if word):
        raise UsageError(
            f"the report of this run would go to {folder}, over what it is to read",
            fix="name another folder: ci run --report DIR",
        )
    try:
        prepare = _prepare_fleet if name == FLEET else prepare_folder
        return prepare(folder.absolute())
    except (OSError, ValueError) as error:
        fallback = Path(tempfile.mkdtemp(prefix="reconciler-"))
        why = explain_refusal(error)
        session.warn(f"no report can be kept in {folder}: {why}; it is in {fallback}")
        return fallback


def _prepare_fleet(folder: Path) -> Path:
    """Return a writable folder without the reports of the targets of an earlier run."""
    for summary in folder.glob("*/summary.json"):
        prepare_folder(summary.parent)
        with suppress(OSError):  # a file of somebody else stays
            summary.parent.rmdir()
    (folder / combine.FLEET).unlink(missing_ok=True)
    return prepare_folder(folder)


def _list_global_options(session: Session) -> list[str]:
    """Return the global options of this call, for the command that it runs."""
    values = {
        "--config": session.config,
        "--host": session.host,
        "--color": session.color_choice,
        "--log-format": session.log_format,
    }
    given = [
        part for name, value in values.items() if value is not None for part in (name, str(value))
    ]
    given += [part for name in session.target_names for part in ("--target", name)]
    return given + ["--quiet"] * session.quiet + ["--verbose"] * session.verbose


def _complete_arguments(name: str, mode: str, arguments: Sequence[str], folder: Path) -> list[str]:
    """Return the arguments, with what a build always wants: nobody can answer a question."""
    completed = [*arguments, "--out" if name == FLEET else "--report", str(folder)]
    if mode == "plan" and "--detailed-exitcode" not in completed:
        completed.append("--detailed-exitcode")
    if mode == "apply" and "--yes" not in completed:
        completed.append("--yes")
    return completed


def _report_findings(result: BuildResult, build: Build | None) -> None:
    """Print findings where the provider reads them, or write them to its file."""
    if build is None:
        return
    if not build.prints_findings and build.findings_file is None:
        return
    text = render.findings(result.list_findings(), format=build.provider)
    if build.findings_file is not None:
        result_files.write_private(str(build.findings_file), f"{text}\n")
    elif text:
        click.echo(text)


def _write_outputs(result: BuildResult, build: Build | None) -> None:
    """Write the outputs of the step for later steps."""
    file: OutputFile | None = None if build is None else build.format_outputs(result.outputs)
    if file is None:
        return
    if not file.appends:
        result_files.write_private(str(file.path), file.text)
        return
    with file.path.open("a", encoding="utf-8") as stream:
        stream.write(file.text)


def _write_summary(result: BuildResult, build: Build | None) -> None:
    """Append the result to the summary of the job, as far as there is space."""
    if build is None or build.summary_file is None:
        return
    path, text = build.summary_file, result.render_body()
    size = path.stat().st_size if path.exists() else 0
    if size + len(text.encode()) > build.max_summary_bytes:
        text = f"`reconciler {result.command}`: too long for here; see the build's artifacts.\n"
    with path.open("a", encoding="utf-8") as stream:
        stream.write(text)


def _report_to_code_host(
    session: Session, result: BuildResult, *, comment: bool, issue: bool
) -> None:
    """Write the comment and the issue on the host that the build runs on."""
    if comment:
        comments.put_comment(session, result.command, result.target, result.render_body())
    if not issue:
        return
    if result.has_drift:
        comments.put_issue(session, result.command, result.target, result.render_body())
    elif result.is_measured and (why := result.describe_clean()) is not None:
        comments.close_issue(session, result.command, result.target, why)
    elif result.is_measured:
        session.note("issue: left as it is, for there is drift that was not asked for")


def _try(session: Session, report: Callable[[], None]) -> None:
    """Report, and warn where that fails: the result does not depend on it."""
    try:
        report()
    except (ReconcilerError, OSError) as error:
        what = getattr(error, "what", None) or f"{type(error).__name__}: {error}"
        why, fix = getattr(error, "why", ""), getattr(error, "fix", "")
        reason = f"{what}: {why}" if why else what
        message = join_sentences(reason, fix)
        session.warn(message)
        build = session.build
        if build is not None and build.prints_findings:
            warning = Finding("reconciler", Severity.WARNING, message)
            click.echo(render.findings((warning,), format=build.provider))


def _choose_exit_code(code: int, name: str, fail_on: Sequence[str]) -> int:
    """Return the exit code of the step: results fail it only where that was asked for."""
    if code == ExitCode.WAITING:
        return code if "waiting" in fail_on else 0
    if code == ExitCode.DIFFERENCES:
        return code if ("drift" if name == "drift" else "changes") in fail_on else 0
    return code
