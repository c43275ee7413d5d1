"""`drift --adopt`, `--patch`: write live values into the files, as a change people can review."""

import json
import os
import shlex
from collections.abc import Iterable, Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any

import click

from reconciler.cli.session import Session
from reconciler.config.edit import writer
from reconciler.config.edit.adopt import DocumentEdit, Patch
from reconciler.config.edit.documents import SkippedEdit
from reconciler.errors import ReconcilerError, explain_refusal
from reconciler.files import excerpts
from reconciler.git import repository
from reconciler.git.commit_tree import CommitTree
from reconciler.model import format_path, shorten_commit
from reconciler.operations import adopt as operations_adopt
from reconciler.operations.adopt import Adopted
from reconciler.operations.drift import DriftInputs, DriftResult
from reconciler.render import text as render_text
from reconciler.render.shared.sanitize import make_visible

BRANCH = "adopt-drift"
LISTED = 20  # fields of a resource that are named


def adopt(session: Session, drift: DriftResult, given: DriftInputs, format_: str) -> int:
    """Write what is live into the files; return 1 if something of it cannot be written."""
    adopted = _edit_files(session, drift, given)
    _refuse_changed_files(adopted, given)
    for patch in adopted.patches.values():
        _write(patch)
    if format_ == "json":
        click.echo(json.dumps(_document(adopted, given), indent=2))
    else:
        _print_adopted(adopted, given)
    return 1 if drift.report.errors or adopted.skipped else 0


def print_patch(session: Session, drift: DriftResult, given: DriftInputs) -> int:
    """Print the same as a diff for `git apply`; write no file."""
    adopted = _edit_files(session, drift, given)
    print_diffs(adopted.patches.values(), given.tree)
    return 1 if drift.report.errors or adopted.skipped else 0


def print_diffs(patches: Iterable[Patch], tree: CommitTree) -> None:
    """Print patches of the files of a commit as a diff for `git apply`."""
    for patch in patches:
        click.echo("".join(_diff(patch, tree)), nl=False)


def show_skipped(skipped: Iterable[SkippedEdit]) -> None:
    """Say on stderr what no document can say, and why."""
    for skip in skipped:
        click.echo(f"left out: {make_visible(f'{skip.address}: {skip.reason}')}", err=True)
        click.echo(f"  fix:   {make_visible(skip.fix)}", err=True)


def _edit_files(session: Session, drift: DriftResult, given: DriftInputs) -> Adopted:
    """Return what the files become; say on stderr what stays as it is."""
    if waiting := drift.report.not_applied:
        session.note(f"{len(waiting)} not applied yet: only git has changed them; `apply` does it")
    session.report.plan(drift.report, drift=True)
    adopted = operations_adopt.adopt(drift, given)
    if drift.report.errors:
        click.echo(render_text.findings(drift.report.errors, color=False), err=True)
    for change in adopted.held:
        if change.hold is not None:
            session.note(f"held until {change.hold.written}, not changed: {change.address}")
    show_skipped(adopted.skipped)
    return adopted


def _refuse_changed_files(adopted: Adopted, given: DriftInputs) -> None:
    """Refuse to write over uncommitted changes: files have to be as in the commit."""
    changed = []
    for patch in adopted.patches.values():
        try:
            data: bytes | None = Path(patch.file).read_bytes()
        except OSError:
            data = None
        if data != given.tree.read_file(Path(patch.file)):
            changed.append(patch.file)
    if changed:
        raise ReconcilerError(
            f"{', '.join(changed[:5])}: not as in commit {shorten_commit(given.tree.commit)}",
            why="live values go into what is committed, so that the difference shows nothing else",
            state="no file was written",
            fix="commit or stash your changes first; --patch prints the difference instead",
        )


def _write(patch: Patch) -> None:
    path = Path(os.path.realpath(patch.file))
    if patch.after is not None:
        writer.write_file(path, patch.after)
        return
    try:
        path.unlink()
    except OSError as error:
        raise ReconcilerError(
            f"{patch.file} cannot be removed",
            why=explain_refusal(error),
            state="files before it are written, those after it are not",
            fix="git diff shows what was written; to adopt again is safe",
        ) from error


def _paths(edit: DocumentEdit) -> list[str]:
    """Return the fields of an edit, as a person reads them."""
    named = [] if edit.name is None else ["its name"]
    state = ["lifecycle.state"] if edit.restored else []
    return [*named, *state, *sorted(map(format_path, edit.values))]


def _document(adopted: Adopted, given: DriftInputs) -> dict[str, Any]:
    rows = [
        {
            "path": patch.file,
            "action": "updated" if patch.after is not None else "removed",
        }
        for patch in adopted.patches.values()
    ]
    return {
        "files": rows,
        "adopted": [
            {"address": str(address), "removed": edit.removed, "paths": _paths(edit)}
            for edit in adopted.edits
            for address in edit.addresses
        ],
        "left_out": [
            {"address": str(skip.address), "reason": skip.reason, "fix": skip.fix}
            for skip in adopted.skipped
        ],
        "held": [str(change.address) for change in adopted.held],
        "next": list(_next_steps(adopted, given)),
    }


def _print_adopted(adopted: Adopted, given: DriftInputs) -> None:
    """Print what was written, one line per resource; then what to do with it."""
    for patch in adopted.patches.values():
        click.echo(
            f"{'updated' if patch.after is not None else 'removed'}  {make_visible(patch.file)}"
        )
    for edit in adopted.edits:
        paths = _paths(edit)
        more = f" and {len(paths) - LISTED} more" if len(paths) > LISTED else ""
        what = "is not live any more" if edit.removed else f"{', '.join(paths[:LISTED])}{more}"
        for address in edit.addresses:
            click.echo(f"  {make_visible(f'{address}: {what}')}")
    if not adopted.edits:
        click.echo("Nothing to adopt.")
        return
    number = sum(len(edit.addresses) for edit in adopted.edits)
    click.echo(f"\nAdopted {number} resource{'s' if number > 1 else ''}. Next:")
    for line in _next_steps(adopted, given):
        click.echo(f"  {line}")


def _next_steps(adopted: Adopted, given: DriftInputs) -> Iterator[str]:
    """Yield the commands that make a pull request of it."""
    if not adopted.patches:
        return
    names = " ".join(shlex.quote(make_visible(patch.file)) for patch in adopted.patches.values())
    addresses = [str(address) for edit in adopted.edits for address in edit.addresses]
    more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
    yield f"git switch --create {BRANCH}"
    yield f"git add {names}"
    yield f"git commit --message {shlex.quote(make_visible(f'Adopt drift: {addresses[0]}{more}'))}"
    if repository.has_remote(given.tree.root):
        yield f"git push --set-upstream origin {BRANCH}"


def _diff(patch: Patch, tree: CommitTree) -> Iterator[str]:
    """Yield the diff of a file as git writes it.

    Names are from the root of the repository, as `git apply` wants them.
    """
    path = Path(os.path.abspath(tree.cwd / patch.file))  # noqa: PTH100  links stay as they are
    name = Path(os.path.relpath(path, tree.root)).as_posix()
    to = f"b/{name}" if patch.after is not None else "/dev/null"
    start = "/dev/null" if patch.is_new else f"a/{name}"
    old, after = _lines(patch.before), _lines(patch.after or "")
    secret = {line.rstrip("\n") for lines in (old, after) for line in _list_secret_lines(lines)}
    for context in (3, 2, 1, 0):  # fewer, where they would show an encrypted payload
        lines = list(unified_diff(old, after, start, to, n=context))
        if secret.isdisjoint(line[1:].rstrip("\n") for line in lines):
            break
    else:
        yield f"# not shown: the changed lines of {name} hold payloads of an encrypted flag\n"
        return
    if not context:
        yield "# without context, which holds payloads of an encrypted flag: --unidiff-zero\n"
    yield f"diff --git a/{name} b/{name}\n"
    if patch.after is None:
        yield "deleted file mode 100644\n"
    if patch.is_new:
        yield "new file mode 100644\n"
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _list_secret_lines(lines: list[str]) -> Iterator[str]:
    yield from (lines[n] for n in excerpts.find_secret_lines(lines) if lines[n].strip())


def _lines(text: str) -> list[str]:
    """Return lines as git counts them: a lone carriage return does not end one."""
    return [line + "\n" for line in text.split("\n")[:-1]] + (
        [] if text.endswith("\n") or not text else [text.rsplit("\n", 1)[-1]]
    )
