"""`reconciler pull`: what is live becomes files that a person would have written."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options
from reconciler.cli.session import Session
from reconciler.kinds import KINDS

if TYPE_CHECKING:
    from reconciler.config.loader import Loaded
    from reconciler.config.settings import Target
    from reconciler.config.writer import Row
    from reconciler.config.writer_choice import Choice, Pulled
    from reconciler.config.writer_documents import Doubt

LAYOUTS = ("collection", "resource")


@click.command("pull", epilog="Example: reconciler pull --out config --organization acme")
@click.option("--out", metavar="DIR", help="Where files go; default: the target's first path.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS, case_sensitive=False))
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
    format_: str,
) -> int:
    """Write YAML for what is live, names instead of IDs. Reads only; deletes nothing from files."""
    from reconciler import walk
    from reconciler.config import writer, writer_choice
    from reconciler.config.writer_documents import Shape
    from reconciler.plan import selection

    target = session.target()
    folder = _folder(session, target, out)
    choice = writer_choice.Choice(
        kinds,
        organizations or ((target.organization,) if target.organization else ()),
        projects,
        include_foreign,
        lambda address: selection.matches(address, target.ignore),
    )
    loaded = _loaded(session, target, folder)
    with session.reader(target) as reader:
        pulled = walk.pull(reader, loaded, choice)
    root = _root(session, folder)
    declared = tuple(loaded.declared.resources)
    writing = writer.Writing(folder, root, Path.cwd(), layout, Shape(full), declared)
    writing.run(pulled.items)
    rows = writing.save()
    doubts = [*pulled.doubts, *writing.doubts]
    if format_ == "json":
        click.echo(_json(rows, pulled, doubts))
    else:
        _show(session, rows, pulled, doubts, choice)
    return 1 if pulled.unreadable else 0


def _folder(session: Session, target: "Target", out: str | None) -> Path:
    """Where new files go."""
    if out is not None:
        folder = Path(os.path.realpath(out))
    else:
        has_settings = session.settings().file is not None
        folder = Path(os.path.realpath(target.paths[0] if has_settings else Path.cwd()))
    if folder.exists() and not folder.is_dir():
        from reconciler.errors import ReconcilerError

        raise ReconcilerError(
            f"{folder.name} is no folder",
            why="files are written into a folder",
            fix="name a folder with --out",
        )
    return folder


def _root(session: Session, folder: Path) -> Path:
    """The folder of the configuration: where editors find the schema."""
    settings = session.settings().folder
    root = Path(os.path.realpath(settings)) if settings else folder
    return root if folder.is_relative_to(root) else folder


def _loaded(session: Session, target: "Target", folder: Path) -> "Loaded":
    """What the files declare already: the whole target, if it reads the folder; else the folder."""
    from reconciler.config import files, loader
    from reconciler.model import Declared

    settings = session.settings()
    paths, overlays = [folder], tuple[Path, ...]()
    real = [Path(os.path.realpath(path)) for path in target.paths]
    if settings.file and any(
        folder.is_relative_to(one) or one.is_relative_to(folder) for one in real
    ):
        paths, overlays = list(target.paths), target.overlays
        if not any(folder.is_relative_to(one) for one in real):
            paths.append(folder)
    tree = files.WorkingTree(cwd=Path.cwd(), anchor=settings.folder, skip=frozenset(overlays))
    some = [path for path in paths if path.exists() and next(iter(tree.walk(path)), None)]
    if not some:
        return loader.Loaded(Declared({}, "working tree"))
    there = tuple(path for path in overlays if path.exists())
    return loader.load(some, overlays=there, tree=tree)


def _json(rows: "list[Row]", pulled: "Pulled", doubts: "list[Doubt]") -> str:
    from reconciler.document import printed

    found: dict[str, Any] = {
        "files": [
            {"path": _shown(row.path), "action": row.action, "resources": row.resources}
            for row in rows
        ],
        "missing": [
            {"address": str(one.address), "source": str(one.source)} for one in pulled.missing
        ],
        "left_out": [
            {"address": str(one.address), "reason": one.reason, "fix": one.fix} for one in doubts
        ],
        "foreign": [str(address) for address in pulled.foreign],
        "unreadable": [
            {"kind": gap.kind, "scope": list(gap.scope), "reason": gap.reason, "fix": gap.fix}
            for gap in pulled.unreadable
        ],
    }
    return printed(found)


def _show(
    session: Session,
    rows: "list[Row]",
    pulled: "Pulled",
    doubts: "list[Doubt]",
    choice: "Choice",
) -> None:
    """Files on stdout, a line each; what was not written on stderr."""
    from reconciler.render.text.screen import escape

    for row in rows:
        count = f"  ({row.resources})" if row.resources else ""
        click.echo(f"{row.action:<9}  {escape(_shown(row.path))}{count}")
    counts = {name: sum(row.action == name for row in rows) for name in ("written", "updated")}
    resources = sum(row.resources for row in rows)
    click.echo(
        f"Pulled {resources} resource{'s' if resources != 1 else ''}: {counts['written']} files "
        f"written, {counts['updated']} updated, {len(rows) - sum(counts.values())} unchanged."
    )
    for one in pulled.missing:
        session.note(escape(f"not live: {one.address} ({one.source}); the document stays"))
    for doubt in doubts:
        session.note(f"warning: {escape(f'{doubt.address}: {doubt.reason}')}")
        if doubt.fix:
            session.note(f"  fix: {escape(doubt.fix)}")
    if pulled.foreign and not choice.include_foreign:
        names = ", ".join(str(address) for address in pulled.foreign[:5])
        more = f" and {len(pulled.foreign) - 5} more" if len(pulled.foreign) > 5 else ""  # noqa: PLR2004  as many as are named
        session.note(f"left to other tools (--include-foreign): {escape(names)}{more}")
    for gap in pulled.unreadable:
        what = f"error: {gap.kind} of {'/'.join(gap.scope)} cannot be read"
        click.echo(escape(what), err=True)
        for label, said in (
            ("why", gap.reason),
            ("state", "the rest was pulled"),
            ("fix", gap.fix),
        ):
            if said:
                click.echo(f"  {label + ':':<7}{escape(said)}", err=True)


def _shown(path: Path) -> str:
    """A path as one would type it."""
    cwd = Path(os.path.realpath(Path.cwd()))
    return (path.relative_to(cwd) if path.is_relative_to(cwd) else path).as_posix()
