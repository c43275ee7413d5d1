"""`reconciler replay`: which past changes of flags would have waited under other policies."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from reconciler import render
from reconciler.cli import options
from reconciler.cli.session import Session
from reconciler.model import format_timestamp, mask_person
from reconciler.operations import inputs
from reconciler.operations.history import replay
from reconciler.operations.history.replay import ReplayQuery
from reconciler.plan.replay.report import ReplayReport, ReplayRow
from reconciler.render.shared.phrases import count


@click.command("replay", epilog="Example: reconciler replay --since 90d --policies proposed.yaml")
@options.since("How far back: 36h, 30d, 12w …", default="90d")
@click.option(
    "--project", "projects", multiple=True, metavar="NAME", help="Only this project; repeatable."
)
@click.option(
    "--policies",
    "path",
    metavar="PATH",
    type=click.Path(path_type=Path),
    shell_complete=options.complete("files"),
    help="Try the policies of this file or folder, not those of the target.",
)
@options.formats("text", "json")
@click.pass_obj
def command(
    session: Session, since_s: float, projects: tuple[str, ...], path: Path | None, format_: str
) -> int:
    """Show which past changes of flags would have waited under the declared policies.

    Every change in the activity log is judged by the policies in the files, as if they had been
    live, and compared with what waited then. Reads only.
    """
    paths = (str(path),) if path is not None else ()
    target = session.target(paths)
    loaded = inputs.load_files(session.settings(paths), target, session.facts().cwd)
    replay.check_policies(loaded, target)
    with session.reader(target) as reader:
        result = replay.run(reader, target, loaded, ReplayQuery(since_s, projects), session.now())
    identities = session.identities if format_ == "text" else "full"
    document = _make_document(result.report, identities)
    shown = render.replay(
        document,
        format=format_,
        color=session.color,
        width=min(session.width, 80) if not session.columns else session.width,
        verbose=session.verbose,
    )
    session.say(shown)
    for warning in result.warnings:
        session.warn(warning)
    session.note(f"read with {count(result.reads, 'request')}")
    return 0


def _make_document(report: ReplayReport, identities: str) -> dict[str, Any]:
    """Return the report as a document, with people as they may be named."""
    return {
        "window": {
            "since": format_timestamp(report.since),
            "until": format_timestamp(report.until),
        },
        "changes": len(report.rows),
        "waited": report.waited,
        "would_wait": report.would_wait,
        "unknown": report.unknown,
        "rows": [_make_row(row, identities) for row in report.rows],
        "people": [
            {"email": mask_person(email, identities), "requests": requests}
            for email, requests in report.people.items()
        ],
        "nobody_could_approve": report.nobody,
        "limits": asdict(report.limits),
    }


def _make_row(row: ReplayRow, identities: str) -> dict[str, Any]:
    return {
        "address": str(row.address),
        "at": row.at,
        "person": mask_person(row.person, identities),
        "action_key": row.action_key,
        "waited": row.waited,
        "would_wait": "unknown" if row.would_wait is None else row.would_wait,
        "policy": str(row.policy) if row.policy is not None else None,
        "why": row.why,
    }
