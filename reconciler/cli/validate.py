"""`reconciler validate`: the files, every error at once; offline unless asked otherwise."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from reconciler.cli import lasting, options, repo_paths
from reconciler.cli.session import Session, color_for

if TYPE_CHECKING:
    from reconciler.config.loader import Loaded
    from reconciler.config.settings import Target
    from reconciler.model import Finding


@click.command("validate", epilog="Example: reconciler validate config/ --format github")
@options.paths
@options.formats("text", "json", "github", "gitlab", "sarif")
@click.option("--live", is_flag=True, help="Check against PostHog, too: GET requests only.")
@click.pass_obj
def command(session: Session, paths: tuple[str, ...], format_: str, live: bool) -> int:
    """Check YAML, schema, references, duplicates and more. Contacts nothing without --live."""
    from reconciler.errors import ConfigError

    try:
        target, loaded = session.load(paths)
    except ConfigError as error:
        if not error.findings:
            raise
        return _show(session, format_, error.findings, state=error.state)
    lasting.append(loaded)
    found = list(loaded.declared.findings)
    if live:
        found = [one for one in found if one.code != "R013"]  # R036 knows every project there is
        found.extend(_live(session, target, loaded))
        found.sort(key=lambda one: one.sort_key)
    code = _show(session, format_, found)
    if not code:
        _sum_up(session, loaded, found, is_result=format_ == "text")
    return code


def _live(session: Session, target: "Target", loaded: "Loaded") -> "Iterable[Finding]":
    """What only PostHog can say, without what the files silence."""
    from reconciler import walk
    from reconciler.config import excerpt
    from reconciler.plan.build import Options

    with session.reader(target) as reader:
        found = walk.validate(reader, loaded, Options(ignore=target.ignore))
    yield from loaded.silences.keep(found)
    yield from map(excerpt.attach, loaded.silences.unused(live=True))


def _show(
    session: Session,
    format_: str,
    found: "Iterable[Finding]",
    state: str = "nothing was written",
) -> int:
    """Print findings; the exit code that they mean."""
    from reconciler.model import Severity

    found = tuple(found)
    code = 1 if any(one.severity is Severity.ERROR for one in found) else 0
    if format_ != "text":
        if text := _report(format_, found):
            click.echo(text, color=True)
    elif found:
        from reconciler.errors import ConfigError
        from reconciler.render import text as as_text

        color = color_for(session.color_choice, sys.stderr)
        if code:
            said = as_text.error(ConfigError("", findings=found, state=state), color=color)
        else:
            said = as_text.findings(found, color=color)
        if code or not session.quiet:
            click.echo(said, err=True, color=color)
    return code


def _report(format_: str, found: "tuple[Finding, ...]") -> str:
    """The findings for a program. Only what code hosts read gets paths from the root of git."""
    if format_ == "json":
        from reconciler.render import json

        return json.findings(found)
    found = repo_paths.locate_from_root(found)
    if format_ == "github":
        from reconciler.render import github

        return github.findings(found)
    if format_ == "gitlab":
        from reconciler.render import gitlab

        return gitlab.findings(found)
    from reconciler.config.checks import CHECKS
    from reconciler.render import sarif

    return sarif.findings(found, CHECKS)


def _sum_up(session: Session, loaded: "Loaded", found: "list[Finding]", *, is_result: bool) -> None:
    """`Valid: 7 resources, 1 warning, 2 silenced.`: the result, or a note beside a report."""
    from reconciler.model import Severity
    from reconciler.render.shared.phrases import count

    parts = [count(len(loaded.declared.resources) + len(loaded.templates), "resource")]
    if warnings := sum(one.severity is Severity.WARNING for one in found):
        parts.append(count(warnings, "warning"))
    if silenced := loaded.silences.silenced:
        parts.append(f"{silenced:,} silenced")
    text = f"Valid: {', '.join(parts)}."
    if is_result:
        click.echo(text)
    else:
        session.note(text)
