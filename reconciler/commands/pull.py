"""`reconciler pull`: what is live becomes files that a person would have written."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.session import Session
from reconciler.config import loaded as config_loaded
from reconciler.config import loader
from reconciler.config.edit import selection, writer
from reconciler.config.edit.documents import DocumentShape
from reconciler.config.edit.selection import Choice, KeptChange, PullSelection
from reconciler.config.edit.writer import WrittenFile
from reconciler.config.loaded import Loaded
from reconciler.config.targets import Target
from reconciler.errors import ReconcilerError
from reconciler.files import working_tree
from reconciler.files.run_folder import find_run_folder
from reconciler.files.working_tree import check_output
from reconciler.git import repository
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Declared, matches_any
from reconciler.operations import inputs, pull
from reconciler.planfile.reader import format_json
from reconciler.render import text
from reconciler.render.shared import phrases
from reconciler.render.shared.sanitize import escape

LAYOUTS = ("collection", "resource")


@dataclass(frozen=True, slots=True)
class _Done:
    """What was pulled."""

    rows: list[WrittenFile]
    taken: list[tuple[Address, str]]  # fields of documents that were there
    pulled: PullSelection
    dry: bool  # whether nothing was written


@click.command("pull", epilog="Example: reconciler pull --out config --organization acme")
@click.option(
    "--out",
    metavar="DIR",
    callback=options.named,
    help="Where files go; default: the target's first path.",
)
@options.kinds(KINDS)
@click.option("--organization", "organizations", multiple=True, metavar="SLUG", help="Repeatable.")
@click.option("--project", "projects", multiple=True, metavar="NAME", help="Repeatable.")
@click.option("--full", is_flag=True, help="Also what has its default value.")
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default=LAYOUTS[0],
    show_default=True,
    help="One file for each collection, or for each resource.",
)
@click.option("--include-foreign", is_flag=True, help="Also flags that another tool has tagged.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@options.formats("text", "json")
@click.pass_obj
def command(
    session: Session,
    out: str | None,
    kinds: tuple[str, ...],
    organizations: tuple[str, ...],
    projects: tuple[str, ...],
    full: bool,
    layout: str,
    include_foreign: bool,
    dry_run: bool,
    format_: str,
) -> int:
    """Write YAML for what is live, names instead of IDs. Reads only; deletes nothing from files."""
    target = session.target()
    folder, names = _find_folder(session, target, out), target.names
    choice = selection.Choice(
        kinds,
        organizations or ((target.organization,) if target.organization else ()),
        projects,
        include_foreign,
        lambda live_project: names.find_document_name(live_project) is not None,
        lambda address: matches_any(address, target.ignore),
    )
    loaded, base = _loaded(session, target, folder)
    with session.reader(target) as reader:
        pulled = pull.pull(reader, loaded, choice, base)
    root = _find_root(session, folder)
    declared = tuple(loaded.declared.resources)
    omits_slug = target.organization is not None and not loaded.writes_organization
    shape = DocumentShape(full, names, omits_slug)
    writing = writer.FileWriter(folder, root, session.cwd, layout, shape, declared)
    writing.edit_files(pulled.items)
    rows = writing.save_files(dry_run=dry_run)
    pulled.skipped += writing.skipped
    done = _Done(rows, writing.taken, pulled, dry_run)
    if format_ == "json":
        click.echo(_build_document(done))
    else:
        _print_pulled(session, done, choice)
    return 1 if pulled.unreadable else 0


def _find_folder(session: Session, target: Target, out: str | None) -> Path:
    """Return where new files go."""
    has_settings = session.settings().file is not None
    named = Path(out) if out is not None else target.paths[0] if has_settings else session.cwd
    check_output(named)
    folder = Path(os.path.realpath(named))
    if folder.exists() and not folder.is_dir():
        raise ReconcilerError(
            f"{folder.name} is not a folder",
            why="files are written into a folder",
            fix="name a folder with --out",
        )
    return folder


def _find_root(session: Session, folder: Path) -> Path:
    """Return the folder of the configuration, where editors find the schema."""
    settings = session.settings().folder
    root = Path(os.path.realpath(settings)) if settings else folder
    return root if folder.is_relative_to(root) else folder


def _loaded(session: Session, target: Target, folder: Path) -> tuple[Loaded, Loaded | None]:
    """Return what the files declare already, and did at the base.

    The whole target, if it reads the folder; else what the folder holds, which was applied by
    nobody unless there are no settings.
    """
    settings = session.settings()
    whole, is_part = replace(target, paths=(folder,), overlays=()), settings.file is None
    real = [Path(os.path.realpath(path)) for path in target.paths]
    if settings.file and any(
        folder.is_relative_to(path) or path.is_relative_to(folder) for path in real
    ):
        whole, is_part = target, True
        if not any(folder.is_relative_to(path) for path in real):
            whole = replace(target, paths=(*target.paths, folder))
    skip = frozenset((*whole.overlays, *whole.without_resources))
    tree = working_tree.WorkingTree(cwd=session.cwd, anchor=settings.folder, skip=skip)
    some = [path for path in whole.paths if path.exists() and next(iter(tree.walk(path)), None)]
    loaded = config_loaded.Loaded(Declared({}, "working tree"))
    if some:
        overlays = tuple(path for path in whole.overlays if path.exists())
        loaded = loader.load_files(some, overlays=overlays, names=target.names, tree=tree)
    return loaded, _base(session, whole, loaded) if is_part and repository.find_root(
        folder
    ) else None


def _base(session: Session, whole: Target, loaded: Loaded) -> Loaded | None:
    """Return what the last apply declared; without it, live values win."""
    facts = session.facts()
    state = inputs.read_state(whole, facts)
    base = inputs.read_base(session.settings(), whole, facts, state, like=loaded)
    for finding in base.findings:
        session.warn(f"{finding.message}; {finding.fix}")
    return base.loaded


def _build_document(done: _Done) -> str:
    pulled = done.pulled
    document: dict[str, Any] = {
        "dry_run": done.dry,
        "files": [
            {"path": _format_path(row.path), "action": row.action, "resources": row.resources}
            for row in done.rows
        ],
        "taken": [{"address": str(address), "path": path} for address, path in done.taken],
        "kept": [
            {
                "address": str(field.address),
                "path": field.path,
                "cause": "conflict" if field.both else "intent",
                "change_request": field.change_request or None,
                "url": field.url or None,
            }
            for field in pulled.kept
        ],
        "missing": [
            {"address": str(field.address), "source": str(field.source)} for field in pulled.missing
        ],
        "left_out": [
            {"address": str(field.address), "reason": field.reason, "fix": field.fix}
            for field in pulled.skipped
        ],
        "foreign": [str(address) for address in pulled.foreign],
        "unreadable": [
            {"kind": gap.kind, "scope": list(gap.scope), "reason": gap.reason, "fix": gap.fix}
            for gap in pulled.unreadable
        ],
    }
    return format_json(document)


def _print_pulled(session: Session, done: _Done, choice: Choice) -> None:
    """Print files on stdout, one per line, with kept fields; what was not written on stderr."""
    session.say("\n".join(_describe_written(done)), wraps=True)
    _show_left_out(session, done.pulled, choice)


def _describe_written(done: _Done) -> Iterator[str]:
    """Yield a line for each file and field, and the totals."""
    rows = done.rows
    for row in rows:
        count = f"  ({row.resources})" if row.resources else ""
        yield f"{row.action:<9}  {escape(_format_path(row.path))}{count}"
    for address, path in done.taken:
        yield escape(f"taken      {address}: {path}")
    for field in done.pulled.kept:
        yield escape(f"kept       {field.address}{f': {field.path}' if field.path else ''}")
        yield escape(f"             {_why_kept(field)}")
    counts = {name: sum(row.action == name for row in rows) for name in ("written", "updated")}
    number = sum(row.resources for row in rows)
    resources = phrases.count(number, "resource")
    done_as = f"Dry run, nothing was written. {resources}" if done.dry else f"Pulled {resources}"
    files = phrases.count(counts["written"], "file")
    unchanged = len(rows) - sum(counts.values())
    yield (
        f"{done_as}: {files} {'would be ' if done.dry else ''}written, "
        f"{counts['updated']} updated, {unchanged} unchanged."
    )


def _show_left_out(session: Session, pulled: PullSelection, choice: Choice) -> None:
    for resource in pulled.missing:
        session.note(
            escape(f"not live: {resource.address} ({resource.source}); the document stays")
        )
    for doubt in pulled.skipped:
        session.note(f"warning: {escape(f'{doubt.address}: {doubt.reason}')}")
        if doubt.fix:
            session.note(f"  fix: {escape(doubt.fix)}")
    if pulled.foreign and not choice.include_foreign:
        names = ", ".join(str(address) for address in pulled.foreign[:5])
        more = f" and {len(pulled.foreign) - 5} more" if len(pulled.foreign) > 5 else ""  # noqa: PLR2004  as many as are named
        session.note(f"left to other tools (--include-foreign): {escape(names)}{more}")
    for gap in pulled.unreadable:
        error = ReconcilerError(
            gap.describe(),
            why=gap.reason,
            state="the rest was pulled",
            fix=gap.fix,
        )
        session.complain(text.error(error, color=session.has_color(sys.stderr)))


def _why_kept(kept: KeptChange) -> str:
    """Return why a difference stays in the files."""
    if kept.both:
        return "git and PostHog have both changed it: apply or change the document by hand"
    if kept.change_request:
        page = f" ({kept.url})" if kept.url else ""
        return f"git has changed it; it waits for change request {kept.change_request}{page}"
    return "git has changed it, and it is not applied yet"


def _format_path(path: Path) -> str:
    """Return a path as a user would type it."""
    cwd = Path(os.path.realpath(find_run_folder()))
    return (path.relative_to(cwd) if path.is_relative_to(cwd) else path).as_posix()
