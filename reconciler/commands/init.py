"""`reconciler init`: a configuration repository to start from. Never overwrites a user's file."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.session import Session
from reconciler.config import settings as config_settings
from reconciler.config.edit import filenames, writer
from reconciler.config.targets import Target
from reconciler.errors import ReconcilerError, UsageError, explain_refusal
from reconciler.files.working_tree import check_output, format_path, is_resource_file
from reconciler.lazy_pattern import compile_later
from reconciler.posthog.credentials import KEY_VARIABLES

if TYPE_CHECKING:
    from reconciler.ci.pipelines import Pipeline, ProgramSource

TEMPLATES = Path(__file__).parent / "templates"
SETTINGS = "reconciler.yaml"
EXAMPLES = "config/examples.yaml"
EXAMPLE_PATTERN = "*/your-organization/*"  # in `ignore` of the settings
CODEOWNERS = "CODEOWNERS"
OTHER_CODEOWNERS = tuple(f"{folder}/{CODEOWNERS}" for folder in (".github", ".gitlab", "docs"))
GITIGNORE, IGNORED = ".gitignore", (".reconciler/", "plan.json")
MOST_JOBS = 256  # of a matrix on GitHub
CREATED, KEPT, UPDATED = "created", "kept", "updated"
_ACTION = compile_later(r"([\w.-]+(?:/[\w.-]+)+)@([0-9a-f]{40})", re.ASCII)


@click.command("init", epilog="Example: reconciler init posthog-config --ci github")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False))
@click.option(
    "--ci",
    type=click.Choice(["github", "gitlab", "none"]),
    default="none",
    show_default=True,
    help="Also write workflows: validate, plan, apply and drift, for each target.",
)
@click.option(
    "--action",
    metavar="OWNER/REPO@SHA",
    help="Where the workflows get reconciler from, pinned to a commit.",
)
@click.option(
    "--shards",
    type=click.IntRange(1, MOST_JOBS),
    metavar="N",
    help="Divide the targets among at most N jobs, instead of one job for each target.",
)
@click.pass_obj
def command(session: Session, folder: str, ci: str, action: str | None, shards: int | None) -> int:
    """Scaffold a configuration repository that `validate` accepts. Existing files are kept."""
    check_output(Path(folder))
    root = Path(os.path.realpath(folder))
    pipeline = _describe_pipeline(root, ci, action, shards)
    for result, path in _scaffold(root, pipeline):
        click.echo(f"{result:<8} {Path(folder, path).as_posix()}")
    lines = [_describe_first_pull(root)]
    if pipeline is not None:
        lines.append(f"follow the first lines of {_name_pipeline_file(pipeline)}")
    session.note(f"next: {'; '.join(lines)}")
    return 0


def _describe_pipeline(
    root: Path, ci: str, action: str | None, shards: int | None
) -> "Pipeline | None":
    """Return what the workflows depend on; None without workflows.

    Raises UsageError, and ConfigError for a `reconciler.yaml` that cannot be read.
    """
    if ci == "none":
        for option, value in (("--action", action), ("--shards", shards)):
            if value is not None:
                raise UsageError(f"{option} needs --ci", fix="add --ci github or --ci gitlab")
        return None
    from reconciler.ci.pipelines import Pipeline  # noqa: PLC0415  Jinja2: --help does without

    targets = _read_settings(root).targets
    keys = dict.fromkeys(_name_key_variable(target) for target in targets.values())
    notify = [webhook for target in targets.values() for webhook in target.notify]
    variables = dict.fromkeys(
        webhook.removeprefix("env:") for webhook in notify if webhook.startswith("env:")
    )
    return Pipeline(
        ci,
        tuple(targets),
        tuple(keys),
        _parse_action(action),
        notifies=bool(notify),
        webhooks=tuple(variables),
        shards=shards or 0,
    )


def _read_settings(root: Path) -> config_settings.Settings:
    """Return the settings in the folder, or else those that `init` writes there."""
    file = root / SETTINGS
    if os.path.lexists(file):
        return config_settings.load_settings(root, environ={}, file=file)
    return config_settings.parse_settings(_template(SETTINGS).encode(), file=file, display=SETTINGS)


def _name_key_variable(target: Target) -> str:
    return target.api_key_env or KEY_VARIABLES[0]


def _describe_first_pull(root: Path) -> str:
    """Return what to do before the first plan, for the first target."""
    try:
        settings = _read_settings(root)
    except ReconcilerError:  # of a file that was there before, which `init` keeps
        return f"fix {SETTINGS}: `reconciler validate` says what is wrong"
    name, target = next(iter(settings.targets.items()))
    choice = f" --target {name}" if len(settings.targets) > 1 else ""
    into = format_path(root, target.own_paths[0])
    return (
        f"set {_name_key_variable(target)}, then `reconciler pull{choice}` writes the live "
        f"resources into {into}"
    )


def _parse_action(action: str | None) -> "ProgramSource | None":
    """Return the place and the commit; raise UsageError for a tag or a branch."""
    from reconciler.ci.pipelines import ProgramSource  # noqa: PLC0415  as above

    if action is None:
        return None
    match = _ACTION.fullmatch(action)
    if match is None:
        raise UsageError(
            f"--action {action!r} does not name a commit",
            why="a tag or a branch can be moved; the form is OWNER/REPO@SHA, SHA with 40 digits",
            fix="`git rev-parse TAG^{commit}` in a clone of reconciler prints the SHA of a tag",
        )
    return ProgramSource(match[1], match[2])


def _name_pipeline_file(pipeline: "Pipeline") -> str:
    from reconciler.ci.pipelines import FILES  # noqa: PLC0415  as above

    return FILES[pipeline.provider]


def _scaffold(root: Path, pipeline: "Pipeline | None") -> Iterator[tuple[str, str]]:
    """Write every file; yield it with what happened to it."""
    files = {SETTINGS: _template(SETTINGS)}
    if os.path.lexists(root / EXAMPLES) or _wants_examples(root):
        files[EXAMPLES] = _template("examples.yaml")
    owners = next((path for path in OTHER_CODEOWNERS if os.path.lexists(root / path)), CODEOWNERS)
    files[owners] = _template(CODEOWNERS)
    if pipeline is not None:
        from reconciler.ci import pipelines  # noqa: PLC0415  as above

        files[_name_pipeline_file(pipeline)] = pipelines.render(pipeline)
    schemas = {
        f"{filenames.FOLDER}/{name}": text
        for name, text in filenames.build_schema_files(settings=True).items()
    }
    _refuse_obstacles(root, (*files, *schemas, GITIGNORE))
    for path, text in files.items():
        yield _create(root, path, text), path
    for path, text in schemas.items():
        yield _refresh(root, path, text), path
    yield _ignore_local_files(root), GITIGNORE


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _wants_examples(root: Path) -> bool:
    """Return whether the folder has no resources yet, and its settings ignore the examples.

    Examples are documents like any other: other settings would have them applied.
    """
    if any(is_resource_file(path.name) for path in (root / "config").rglob("*")):
        return False
    settings = root / SETTINGS
    return not os.path.lexists(settings) or EXAMPLE_PATTERN in _read_scaffold_file(settings)


def _create(root: Path, path: str, text: str) -> str:
    """Write a file unless it exists, whatever is in it."""
    if os.path.lexists(root / path):
        return KEPT
    writer.write_file(root / path, text)
    return CREATED


def _refresh(root: Path, path: str, text: str) -> str:
    """Write a generated file: another version of the program may have written it."""
    exists = os.path.lexists(root / path)
    if exists and _read_scaffold_file(root / path) == text:
        return KEPT
    writer.write_file(root / path, text)
    return UPDATED if exists else CREATED


def _ignore_local_files(root: Path) -> str:
    """Keep journals and saved plans, which hold live values, out of git: add the missing lines."""
    path = root / GITIGNORE
    exists = os.path.lexists(path)
    text = _read_scaffold_file(path) if exists else ""
    present = {line.strip().strip("/") for line in text.splitlines()}
    missing = [line for line in IGNORED if line.strip("/") not in present]
    if not missing:
        return KEPT
    end = "" if text.endswith("\n") or not text else "\n"
    writer.write_file(path, text + end + "".join(f"{line}\n" for line in missing))
    return UPDATED if exists else CREATED


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
            why=explain_refusal(problem, otherwise="it is not UTF-8"),
            state="nothing was written",
            fix="correct it, or move it away",
        ) from problem
