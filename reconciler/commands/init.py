"""`reconciler init`: a configuration repository to start from. Never touches what is there."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from reconciler.cli.session import Session
from reconciler.config.edit import filenames, writer
from reconciler.errors import ReconcilerError
from reconciler.files.working_tree import check_output, is_resource_file

TEMPLATES = Path(__file__).parent / "templates"
SETTINGS = "reconciler.yaml"
EXAMPLES = "config/examples.yaml"
IGNORE = "*/your-organization/*"  # how the settings leave the examples alone
GITIGNORE, IGNORED = ".gitignore", ".reconciler/"
CI = {
    "github": ("github.yml", ".github/workflows/posthog.yml"),
    "gitlab": ("gitlab.yml", ".gitlab-ci.yml"),
}
CREATED, KEPT, UPDATED = "created", "kept", "updated"


@click.command("init", epilog="Example: reconciler init posthog-config --ci github")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False))
@click.option(
    "--ci",
    type=click.Choice([*CI, "none"]),
    default="github",
    show_default=True,
    help="Workflows for plan, apply and drift.",
)
@click.pass_obj
def command(session: Session, folder: str, ci: str) -> int:
    """Scaffold a configuration repository that `validate` accepts. A second one changes nothing."""
    check_output(Path(folder))
    root = Path(os.path.realpath(folder))
    for action, path in _scaffold(root, ci):
        click.echo(f"{action:<8} {Path(folder, path).as_posix()}")
    session.note(
        "next: set POSTHOG_API_KEY, then `reconciler pull` writes what is live into config/"
        if ci == "none"
        else "next: set POSTHOG_API_KEY, then `reconciler pull` writes what is live into config/;\n"
        f"      fill in the places that {CI[ci][1]} names at its top"
    )
    return 0


def _scaffold(root: Path, ci: str) -> Iterator[tuple[str, str]]:
    """Write every file; yield it with what became of it."""
    files = {SETTINGS: _template(SETTINGS)}
    if os.path.lexists(root / EXAMPLES) or _wants_examples(root):
        files[EXAMPLES] = _template("examples.yaml")
    for name, text in filenames.build_schema_files(settings=True).items():
        files[f"{filenames.FOLDER}/{name}"] = text
    if ci in CI:
        template, path = CI[ci]
        files[path] = _template(template)
    _refuse_obstacles(root, (*files, GITIGNORE))
    for path, text in files.items():
        yield _create(root, path, text), path
    yield _ignore_journals(root), GITIGNORE


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _wants_examples(root: Path) -> bool:
    """Return whether nobody has begun yet, and the settings do not use the examples.

    They are documents like any other: settings without that line would have them applied.
    """
    if any(is_resource_file(path.name) for path in (root / "config").rglob("*")):
        return False
    settings = root / SETTINGS
    return not os.path.lexists(settings) or IGNORE in _read_scaffold_file(settings)


def _create(root: Path, path: str, text: str) -> str:
    """Write a file unless there is one, whatever is in it."""
    if os.path.lexists(root / path):
        return KEPT
    writer.write_file(root / path, text)
    return CREATED


def _ignore_journals(root: Path) -> str:
    """Keep journals of runs out of git: add one line if it is not there."""
    path = root / GITIGNORE
    if not os.path.lexists(path):
        writer.write_file(path, f"{IGNORED}\n")
        return CREATED
    text = _read_scaffold_file(path)
    if IGNORED.strip("/") in {line.strip().strip("/") for line in text.splitlines()}:
        return KEPT
    end = "" if text.endswith("\n") or not text else "\n"
    writer.write_file(path, f"{text}{end}{IGNORED}\n")
    return UPDATED


def _refuse_obstacles(root: Path, paths: Iterable[str]) -> None:
    """Refuse to begin unless everything can be written, inside the folder."""
    for name in paths:
        above = [path for path in (root / name).parents if path.is_relative_to(root)]
        files = [path for path in above if os.path.lexists(path) and not path.is_dir()]
        outside = not Path(os.path.realpath(above[0])).is_relative_to(root)
        if not files and not outside:
            continue
        what = (files or above)[0].relative_to(root).as_posix()
        raise ReconcilerError(
            f"{what} is not a folder of {root.name}",
            why=f"{name} would be written into it",
            state="nothing was written",
            fix="move it away, or begin in another folder",
        )
    if os.path.lexists(root / GITIGNORE):
        _read_scaffold_file(root / GITIGNORE)


def _read_scaffold_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        raise ReconcilerError(
            f"{path.name} cannot be read",
            why=str(getattr(problem, "strerror", None) or "it is not UTF-8"),
            state="nothing was written",
            fix="correct it, or move it away",
        ) from problem
