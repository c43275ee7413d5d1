"""Who wrote a commit, and when a document was committed last. By git, offline."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler.git import process, repository

_FORMAT: Final = "%an <%ae>%n%(trailers:key=Co-authored-by,valueonly)"
_ADDRESS: Final = re.compile(r"<([^<>\s]+@[^<>\s]+)>")
_MARK: Final = re.compile(rb"---(?=[ \t\r]|$)")  # at column 1 nothing else is


def of_commit(commit: str, *, map_of: str, root: Path) -> tuple[str, ...]:
    """Return the email addresses of who wrote a commit, co-authors included.

    Args:
        commit: full id.
        map_of: the commit whose `.mailmap` says which addresses are whose.
        root: folder of the repository.

    """
    asked = ["show", "--no-patch", "--no-mailmap", f"--format={_FORMAT}", commit]
    rows = process.output(asked, root).decode("utf-8", "replace").splitlines()
    people = [row.strip() for row in rows if _ADDRESS.search(row)]
    named = (_ADDRESS.findall(row) for row in _mapped(people, map_of, root))
    return tuple(dict.fromkeys(email for found in named for email in found[-1:]))


def _mapped(people: list[str], map_of: str, root: Path) -> list[str]:
    """Return the people as the `.mailmap` of a commit names them.

    git also takes the one of the working tree, so it is given a working tree that has none.
    """
    if not people:
        return []
    folder = process.output(["rev-parse", "--absolute-git-dir"], root).decode().rstrip("\n")
    place = [
        f"--git-dir={folder}",
        f"--work-tree={folder}",
        "-c",
        f"mailmap.blob={map_of}:.mailmap",
    ]
    contacts = "".join(f"{one}\n" for one in people).encode()
    done = process.run([*place, "check-mailmap", "--stdin"], Path(folder), stdin=contacts)
    rows = done.stdout.decode("utf-8", "replace").splitlines()
    return rows if done.returncode == 0 and len(rows) == len(people) else people


def written_at(file: str | Path, line: int, *, cwd: Path) -> str | None:
    """When a document was committed last, as ISO 8601; None outside git, or if it never was."""
    rows = _log(file, line, ["--format=%cI", "-1", "HEAD"], cwd)
    return next((row.strip() for row in rows if row.strip()), None)


def _log(file: str | Path, line: int, asked: list[str], cwd: Path) -> list[str]:
    """`git log` of a document; of its whole file where HEAD has another one than is here."""
    path = Path(os.path.abspath(cwd / file))  # noqa: PTH100  links stay as they are
    root = repository.root(path)
    if root is None:
        return []
    inside = Path(os.path.relpath(path, root)).as_posix()
    whole = ["log", *asked, "--", str(path)]
    span = _in_head(path, inside, line, root)
    part = (
        whole if span is None else ["log", "--no-patch", f"-L{span[0]},{span[1]}:{inside}", *asked]
    )
    done = process.run(part, root)
    if done.returncode != 0:
        done = process.run(whole, root)
    return done.stdout.decode("utf-8", "replace").splitlines()


def _in_head(path: Path, inside: str, line: int, root: Path) -> tuple[int, int] | None:
    """The lines in HEAD of the document that has this line here; None if it is not the same."""
    try:
        here = path.read_bytes()
    except OSError:
        return None
    then = process.run(["cat-file", "blob", f"HEAD:{inside}"], root)
    wanted = next((text for first, last, text in _pieces(here) if first <= line <= last), None)
    if then.returncode != 0 or wanted is None:
        return None
    return next(
        ((first, last) for first, last, text in _pieces(then.stdout) if text == wanted), None
    )


def _pieces(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """First line, last line and content of each document of a file, comments before it included."""
    rows = data.removesuffix(b"\n").split(b"\n")
    marks = [number for number, row in enumerate(rows) if _MARK.match(row)]
    for start, end in zip([None, *marks], [*marks, len(rows)], strict=True):
        first = 0 if start is None else start
        if start is not None and not rows[start][3:].strip():
            first += 1  # the mark itself belongs to nobody: it comes with the next document
        if first < end:
            yield first + 1, end, b"\n".join(rows[first:end])
