"""`drift --adopt` and `--patch`: live values into the files, as a change that people can review."""

import json
import os
import shlex
from collections.abc import Callable, Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any

import click

from reconciler.cli.session import Session
from reconciler.config.edit import writer
from reconciler.config.edit.adopt import DocumentEdit, Patch
from reconciler.config.settings import Target
from reconciler.errors import ReconcilerError
from reconciler.git import repository
from reconciler.model import print_path
from reconciler.operations import adopt as operations_adopt
from reconciler.operations.adopt import Adopted, Files
from reconciler.operations.drift import DriftResult
from reconciler.posthog.client import Reader
from reconciler.render import text as render_text
from reconciler.render.shared.sanitize import make_visible

BRANCH = "adopt-drift"
LISTED = 20  # fields of a resource that are named


def adopt(
    session: Session,
    target: Target,
    look: Callable[[Reader], DriftResult],
    files: Files,
    format_: str,
) -> int:
    """Write what is live into the files. 1 if something of it cannot be written."""
    found, adopted = _made(session, target, look, files)
    _need_untouched(adopted, files)
    for patch in adopted.patches.values():
        _write(patch)
    if format_ == "json":
        click.echo(json.dumps(_document(adopted, files), indent=2))
    else:
        _show(adopted, files)
    return 1 if found.report.errors or adopted.doubts else 0


def patch(
    session: Session,
    target: Target,
    look: Callable[[Reader], DriftResult],
    files: Files,
) -> int:
    """The same as a diff for `git apply`; no file is written."""
    found, adopted = _made(session, target, look, files)
    for one in adopted.patches.values():
        click.echo("".join(_diff(one, files)), nl=False)
    return 1 if found.report.errors or adopted.doubts else 0


def _made(
    session: Session, target: Target, look: Callable[[Reader], DriftResult], files: Files
) -> tuple[DriftResult, Adopted]:
    """What the files become; what stays as it is, is said on stderr."""
    with session.reader(target) as reader:
        found = look(reader)
    if waiting := found.report.not_applied:
        session.note(f"{len(waiting)} not applied yet: only git has changed them; `apply` does it")
    session.report.plan(found.report, drift=True)
    adopted = operations_adopt.adopt(found, files)
    if found.report.errors:
        click.echo(render_text.findings(found.report.errors, color=False), err=True)
    for change in adopted.held:
        if change.hold is not None:
            session.note(f"held until {change.hold.written}, left alone: {change.address}")
    for doubt in adopted.doubts:
        click.echo(f"left out: {_visible(f'{doubt.address}: {doubt.reason}')}", err=True)
        click.echo(f"  fix:   {_visible(doubt.fix)}", err=True)
    return found, adopted


def _visible(text: str) -> str:
    return make_visible(text)


def _need_untouched(adopted: Adopted, files: Files) -> None:
    """What somebody is just writing is not written over: files have to be as in the commit."""
    moved = []
    for patch in adopted.patches.values():
        try:
            there: bytes | None = Path(patch.file).read_bytes()
        except OSError:
            there = None
        if there != files.tree.read(Path(patch.file)):
            moved.append(patch.file)
    if moved:
        raise ReconcilerError(
            f"{', '.join(moved[:5])}: not as in commit {files.tree.commit[:10]}",
            why="live values go into what is committed, so that the difference is theirs alone",
            state="no file was written",
            fix="commit or stash your changes first; --patch prints the difference instead",
        )


def _write(patch: Patch) -> None:
    path = Path(os.path.realpath(patch.file))
    if patch.after is not None:
        writer.write(path, patch.after)
        return
    try:
        path.unlink()
    except OSError as error:
        raise ReconcilerError(
            f"{patch.file} cannot be removed",
            why=error.strerror or str(error),
            state="files before it are written, those after it are not",
            fix="git diff shows what was written; to adopt again is safe",
        ) from error


def _paths(wish: DocumentEdit) -> list[str]:
    """The fields of a wish, as a person reads them."""
    named = [] if wish.name is None else ["its name"]
    state = ["lifecycle.state"] if wish.restored else []
    return [*named, *state, *sorted(map(print_path, wish.values))]


def _document(adopted: Adopted, files: Files) -> dict[str, Any]:
    rows = [
        {
            "path": one.file,
            "action": "updated" if one.after is not None else "removed",
        }
        for one in adopted.patches.values()
    ]
    return {
        "files": rows,
        "adopted": [
            {"address": str(address), "removed": wish.removed, "paths": _paths(wish)}
            for wish in adopted.wishes
            for address in wish.addresses
        ],
        "left_out": [
            {"address": str(one.address), "reason": one.reason, "fix": one.fix}
            for one in adopted.doubts
        ],
        "held": [str(change.address) for change in adopted.held],
        "next": list(_next(adopted, files)),
    }


def _show(adopted: Adopted, files: Files) -> None:
    """What was written, a line a resource; then what to do with it."""
    for patch in adopted.patches.values():
        click.echo(f"{'updated' if patch.after is not None else 'removed'}  {_visible(patch.file)}")
    for wish in adopted.wishes:
        paths = _paths(wish)
        more = f" and {len(paths) - LISTED} more" if len(paths) > LISTED else ""
        what = "is not live any more" if wish.removed else f"{', '.join(paths[:LISTED])}{more}"
        for address in wish.addresses:
            click.echo(f"  {_visible(f'{address}: {what}')}")
    if not adopted.wishes:
        click.echo("Nothing to adopt.")
        return
    number = sum(len(wish.addresses) for wish in adopted.wishes)
    click.echo(f"\nAdopted {number} resource{'s' if number > 1 else ''}. Next:")
    for line in _next(adopted, files):
        click.echo(f"  {line}")


def _next(adopted: Adopted, files: Files) -> Iterator[str]:
    """The commands that make a pull request of it."""
    if not adopted.patches:
        return
    names = " ".join(shlex.quote(_visible(patch.file)) for patch in adopted.patches.values())
    addresses = [str(address) for wish in adopted.wishes for address in wish.addresses]
    more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
    yield f"git switch --create {BRANCH}"
    yield f"git add {names}"
    yield f"git commit --message {shlex.quote(_visible(f'Adopt drift: {addresses[0]}{more}'))}"
    if repository.has_remote(files.tree.root):
        yield f"git push --set-upstream origin {BRANCH}"


def _diff(patch: Patch, files: Files) -> Iterator[str]:
    """One file as git writes it; names from the root of the repository, as `git apply` wants."""
    path = Path(os.path.abspath(files.tree.cwd / patch.file))  # noqa: PTH100  links stay as they are
    name = Path(os.path.relpath(path, files.tree.root)).as_posix()
    yield f"diff --git a/{name} b/{name}\n"
    if patch.after is None:
        yield "deleted file mode 100644\n"
    to = f"b/{name}" if patch.after is not None else "/dev/null"
    before, after = _lines(patch.before), _lines(patch.after or "")
    for line in unified_diff(before, after, f"a/{name}", to):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(text: str) -> list[str]:
    """Lines as git counts them: a lone carriage return ends none."""
    return [line + "\n" for line in text.split("\n")[:-1]] + (
        [] if text.endswith("\n") or not text else [text.rsplit("\n", 1)[-1]]
    )
