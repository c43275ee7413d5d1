"""Print and keep the report of a fleet, from whichever level it comes."""

import os
import shlex
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from reconciler import render
from reconciler.cli.fleet.choice import FleetChoice
from reconciler.cli.fleet.subcommands import FleetOptions
from reconciler.cli.notifications import fleet as notify_fleet
from reconciler.cli.session import Session
from reconciler.errors import ReconcilerError, UsageError, explain_refusal
from reconciler.files import result_files
from reconciler.files.working_tree import check_output, format_path
from reconciler.fleet import combine, target_folder
from reconciler.fleet.target_run import LOG
from reconciler.git import repository
from reconciler.model import ExitCode, FleetMode, FleetReport, Severity, TargetDetails
from reconciler.planfile import fleet
from reconciler.render import text as render_text
from reconciler.render.shared.fleet import LoadDetails
from reconciler.render.shared.options import RenderOptions, Zoom

_CHANGES: Final = ("create", "update", "delete")


def prepare_out(folder: Path, out: str, targets: Collection[str]) -> None:
    """Make the folder of `--out`, and check that each report can be written there.

    Nothing has been contacted yet: an apply must not end without its report.

    Args:
        folder: the folder.
        out: how it was typed.
        targets: whose reports it is for.

    Raises:
        ReconcilerError: a report cannot be written, or a link would decide where it is written.

    """
    check_output(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _refuse_out(out, "no report can be kept there", explain_refusal(error)) from error
    for name in (combine.FLEET, *(f"{target}{LOG}" for target in targets)):
        result_files.check_place(os.fspath(folder / name))
    for target in targets:
        place = folder / target
        check_output(place)
        if os.path.lexists(place) and not place.is_dir():
            raise _refuse_out(
                out, f"{target} is not a folder", "the report of the target would be written there"
            )


def _refuse_out(out: str, what: str, why: str) -> ReconcilerError:
    return ReconcilerError(
        f"--out {out}: {what}",
        why=why,
        state="nothing was contacted, nothing was written",
        fix="name an empty folder, or a place where one can be made",
    )


def report_targets(
    session: Session,
    options: FleetOptions,
    chosen: FleetChoice,
    folder: Path,
    *,
    interrupted: bool,
) -> int:
    """Combine the reports in `folder`, notify, print the report, and return its exit code."""
    folders = {name: folder / name for name in chosen.targets}
    report = combine.combine_targets(
        folders,
        mode=options.mode,
        commit=_read_commit(session),
        shard=chosen.shard,
        interrupted=interrupted,
    )
    codes = {result.exit_code for result in report.targets} - {None}  # None: skipped
    if codes == {UsageError.exit_code}:  # every target has refused the same options
        report = replace(report, exit_code=UsageError.exit_code)
    notify_fleet.notify(session, chosen.targets, report, folders)
    out = folder if options.out is not None else None
    return finish(session, report, folders, form=options.format, out=out, options=options)


def _read_commit(session: Session) -> str | None:
    """Return the commit that is checked out; None outside git, and before the first."""
    state = repository.read_state(session.folder())
    return state.head if state is not None else None


def finish(
    session: Session,
    report: FleetReport,
    folders: Mapping[str, Path],
    *,
    form: str,
    out: Path | None,
    options: FleetOptions | None = None,
) -> int:
    """Keep the document in `out`, print the report, and return its exit code.

    Args:
        session: the run of the whole fleet.
        report: the results.
        folders: the report folder of each target, by name.
        form: one of `render.FORMATS`.
        out: an existing folder for `fleet.json`, or None.
        options: of the run; None for reports of other runs.

    """
    if out is not None:
        result_files.write_private(os.fspath(out / combine.FLEET), fleet.dump_fleet(report))
    look = RenderOptions(
        color=session.color,
        width=session.width,
        verbose=session.verbose,
        zoom=Zoom.TOTALS if session.quiet and form == "text" else None,
        identities=session.identities,
    )

    def load(target: str) -> TargetDetails:
        return target_folder.load_details(folders.get(target))

    if report.mode is FleetMode.VALIDATE and form == "text":
        _print_findings(session, report, load)
    shown = render.fleet(report, load, format=form, options=look)
    session.say(shown, wraps=form == "text")
    if form == "text":
        for step in _list_next_steps(session, report, options, out):
            session.note(f"Next: {step}")
    return report.exit_code


def _print_findings(session: Session, report: FleetReport, load: LoadDetails) -> None:
    """Print what is wrong with the files; what several targets share is printed once."""
    findings = dict.fromkeys(
        finding for result in report.targets for finding in load(result.target).findings
    )
    has_errors = any(finding.severity is Severity.ERROR for finding in findings)
    if findings and (has_errors or not session.quiet):
        color = session.has_color(session.err)
        session.complain(render_text.findings(tuple(findings), color=color))


def _list_next_steps(
    session: Session, report: FleetReport, options: FleetOptions | None, out: Path | None
) -> Iterator[str]:
    """Yield what people do next, the most urgent first."""
    codes = {result.exit_code for result in report.targets}
    chosen = [word for name in session.target_names for word in ("--target", name)]
    if options is not None and options.shard is not None:
        chosen += ["--shard", options.shard]
    if ExitCode.FAILED in codes:
        place = " (--out DIR keeps what each command prints)" if options is not None else ""
        if out is not None:
            place = f" ({format_path(session.cwd, out)}/TARGET.log has what each command printed)"
        yield f"fix what failed{place}, then run it again"
    elif report.exit_code == ExitCode.INTERRUPTED:
        yield "run it again; it re-reads the live state and continues"
    is_plan = report.mode is FleetMode.PLAN
    if ExitCode.WAITING in codes or (is_plan and _is_all_filed(report)):
        status = _join_words("fleet status", chosen)
        yield f"ask the approvers ({status} lists them), then run it again"
        return
    is_applicable = codes <= {ExitCode.DONE, ExitCode.DIFFERENCES}
    if is_plan and _count(report, *_CHANGES) and is_applicable and options is not None:
        yield _join_words("fleet apply", [*chosen, *_list_apply_words(options)])


def _is_all_filed(report: FleetReport) -> bool:
    """Return whether every change of a plan waits for a request that is filed already."""
    is_gated = _count(report, "gated") == _count(report, *_CHANGES)
    return is_gated and bool(report.waiting) and all(row.id for row in report.waiting)


def _count(report: FleetReport, *names: str) -> int:
    """Return the sum of some totals over all targets."""
    return sum(result.summary.get(name, 0) for result in report.targets for name in names)


def _list_apply_words(options: FleetOptions) -> Iterator[str]:
    """Yield the options of a plan with which `apply` does the same."""
    if options.engine is not None:
        yield from ("--engine", options.engine)
    words = iter(options.words)
    for word in words:
        if word == "--drift":
            next(words, None)
        elif word != "--detailed-exitcode":
            yield word


def _join_words(command: str, words: Iterable[str]) -> str:
    return shlex.join(["reconciler", *command.split(), *words])
