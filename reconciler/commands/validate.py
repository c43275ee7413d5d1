"""`reconciler validate`: the files, every error at once; offline unless asked otherwise."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import field, replace
from pathlib import Path

import click

from reconciler import render
from reconciler.cli import event_log, options
from reconciler.cli.session import Session
from reconciler.config.lint.codes import CHECKS
from reconciler.config.load_cache import ParsedFiles
from reconciler.config.loaded import Loaded
from reconciler.config.settings import Settings
from reconciler.config.targets import Target
from reconciler.errors import ConfigError
from reconciler.files import excerpts, repo_paths
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Finding, Severity
from reconciler.operations import inputs
from reconciler.render import sarif
from reconciler.render import text as render_text
from reconciler.render.shared.phrases import count


@click.command("validate", epilog="Example: reconciler validate config/ --format github")
@options.paths
@options.formats("text", "json", "github", "gitlab", "sarif")
@options.report
@click.option("--live", is_flag=True, help="Check against PostHog, too: GET requests only.")
@click.pass_obj
def command(session: Session, paths: tuple[str, ...], format_: str, live: bool) -> int:
    """Check YAML, schema, references, duplicates and more. Contacts nothing without --live.

    Without --target, the files of every target in reconciler.yaml are checked.
    """
    try:
        settings, targets = session.settings(paths), session.targets(paths)
        session.report.facts["targets"] = [target.name for target in targets]
    except ConfigError as error:
        if not error.findings:
            raise
        return _print_findings(session, format_, error.findings, state=error.state)
    parsed = session.surroundings.parsed or ParsedFiles()
    rules = RuleChecks(settings, session.cwd)
    checked = [
        _check_target(session, settings, target, (parsed, rules), live=live) for target in targets
    ]
    findings = tuple(dict.fromkeys(finding for each in checked for finding in each.findings))
    states = {each.state for each in checked}
    state = states.pop() if len(states) == 1 else "nothing was written"
    loaded = [each.loaded for each in checked if each.loaded is not None]
    resources = session.report.facts["resources"] = _count_resources(loaded)
    session.report.totals = {"resources": resources}
    code = _print_findings(session, format_, findings, state=state)
    if not code:
        _print_summary(session, checked, findings, is_result=format_ == "text")
    return code


@dataclass(frozen=True, slots=True)
class _CheckedTarget:
    """What is wrong with the files of one target; what they declare, if they can be read."""

    findings: tuple[Finding, ...]
    state: str
    loaded: Loaded | None = None


@dataclass(slots=True)
class RuleChecks:
    """Checks of rules; folders that several targets share are checked once."""

    settings: Settings
    cwd: Path
    _known: dict[tuple[Path, ...], tuple[Finding, ...]] = field(default_factory=dict)

    def find_problems(self, target: Target) -> tuple[Finding, ...]:
        """Return what is wrong with the rules of a target."""
        is_known = target.rules in self._known
        if target.rules and not is_known and all(path.exists() for path in target.rules):
            # Without rules, no process is started, and the library is not imported.
            from reconciler.operations.rules import check  # noqa: PLC0415  as above

            try:
                files = inputs.load_rules(self.settings, target, self.cwd)
                self._known[target.rules] = tuple(check.compile_rules(files.rules))
            except ConfigError as error:
                if not error.findings:
                    raise
                self._known[target.rules] = tuple(error.findings)
        return self._known.get(target.rules, ())


def _check_target(
    session: Session,
    settings: Settings,
    target: Target,
    shared: tuple[ParsedFiles, RuleChecks],
    *,
    live: bool,
) -> _CheckedTarget:
    parsed, rules = shared
    try:
        resources = replace(target, paths=target.list_resource_paths())
        loaded = inputs.load_files(settings, resources, session.cwd, parsed)
    except ConfigError as error:
        if not error.findings:
            raise
        return _CheckedTarget((*error.findings, *rules.find_problems(target)), error.state)
    session.note_ignored(inputs.count_ignored(target, loaded))
    session.keep(loaded)
    findings = [*loaded.declared.findings, *rules.find_problems(target)]
    if live:
        findings = [
            finding for finding in findings if finding.code != "R013"
        ]  # R036 knows every project there is
        findings.extend(_validate_live(session, target, loaded))
        findings.sort(key=lambda finding: finding.sort_key)
    state = "nothing was written" if live else ConfigError.default_state
    return _CheckedTarget(tuple(findings), state, loaded)


def _validate_live(session: Session, target: Target, loaded: Loaded) -> Iterable[Finding]:
    """Yield what only PostHog can say, without what the files silence."""
    # Offline, planning and the HTTP client would be half of the time of a small run.
    from reconciler.operations import validate  # noqa: PLC0415  as above
    from reconciler.plan.selection import PlanOptions  # noqa: PLC0415  as above

    with session.reader(target) as reader:
        findings = validate.validate(reader, loaded, PlanOptions(ignore=target.ignore))
    yield from loaded.silences.drop_silenced(findings)
    yield from map(excerpts.attach_excerpt, loaded.silences.find_unused(live=True))


def _print_findings(
    session: Session,
    format_: str,
    findings: Iterable[Finding],
    state: str = "nothing was written",
) -> int:
    """Print findings; the exit code that they mean."""
    findings = tuple(findings)
    counts = Counter(finding.severity for finding in findings)
    totals = {f"{severity}s": counts[severity] for severity in Severity}
    session.report.facts |= totals
    session.report.totals = {**session.report.totals, **totals}
    worst = sorted(findings, key=lambda finding: list(Severity).index(finding.severity))
    session.report.facts["findings"] = worst[: event_log.MAX_FINDINGS]
    code = 1 if counts[Severity.ERROR] else 0
    if format_ != "text":
        if text := _format_report(format_, findings):
            click.echo(text, file=session.out, color=True)
    elif findings:
        color = session.has_color(session.err)
        if code:
            printed = render_text.error(
                ConfigError("", findings=findings, state=state), color=color
            )
        else:
            printed = render_text.findings(findings, color=color)
        if code or not session.quiet:
            session.complain(printed)
    return code


def _format_report(format_: str, findings: tuple[Finding, ...]) -> str:
    """Return findings for a program. Only code hosts get paths from the root of git."""
    if format_ == "json":
        return render.findings(findings, format=format_)
    findings = repo_paths.locate_from_root(findings)
    if format_ == "sarif":
        return sarif.findings(findings, CHECKS)
    return render.findings(findings, format=format_)


def _count_resources(every: Iterable[Loaded]) -> int:
    return sum(len(loaded.declared.resources) + len(loaded.templates) for loaded in every)


def _print_summary(
    session: Session,
    checked: Sequence[_CheckedTarget],
    findings: Sequence[Finding],
    *,
    is_result: bool,
) -> None:
    """Print `Valid: 7 resources, 1 warning, 2 silenced.`: the result, or a note beside it."""
    every = [each.loaded for each in checked if each.loaded is not None]
    parts = [count(_count_resources(every), "resource")]
    if len(checked) > 1:
        parts[0] += f" of {len(checked):,} targets"
    if warnings := sum(finding.severity is Severity.WARNING for finding in findings):
        parts.append(count(warnings, "warning"))
    if silenced := sum(loaded.silences.silenced for loaded in every):
        parts.append(f"{silenced:,} silenced")
    text = f"Valid: {', '.join(parts)}."
    if is_result:
        session.say(text)
    else:
        session.note(text)
