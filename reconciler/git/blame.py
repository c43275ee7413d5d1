"""Find out who wrote a commit, and when a document was committed last. Offline."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler.git import process, repository
from reconciler.lazy_pattern import compile_later

_FORMAT: Final = "%an <%ae>%n%(trailers:key=Co-authored-by,valueonly)"
_ADDRESS: Final = compile_later(r"<([^<>\s]+@[^<>\s]+)>")
_MARK: Final = compile_later(rb"---(?=[ \t\r]|$)")  # only a mark starts so at column 1


def read_authors(commit: str, *, map_of: str, root: Path) -> tuple[str, ...]:
    """Return the email addresses of the authors of a commit, co-authors included.

    Args:
        commit: full id.
        map_of: the commit whose `.mailmap` says which addresses belong together.
        root: folder of the repository.

    """
    arguments = ["show", "--no-patch", "--no-mailmap", f"--format={_FORMAT}", commit]
    lines = process.read_output(arguments, root).decode("utf-8", "replace").splitlines()
    people = [line.strip() for line in lines if _ADDRESS.search(line)]
    addresses = (_ADDRESS.findall(line) for line in _apply_mailmap(people, map_of, root))
    return tuple(dict.fromkeys(email for emails in addresses for email in emails[-1:]))


def list_authors(base: str, head: str, *, root: Path) -> tuple[str, ...]:
    """Return the email addresses of the authors of the commits since a base, in lower case.

    Co-authors count, merges do not. Addresses are mapped as in `read_authors`, by the base.
    """
    arguments = ["log", "--no-merges", "--no-mailmap", f"--format={_FORMAT}", "--end-of-options"]
    lines = process.read_output([*arguments, f"{base}..{head}"], root).decode("utf-8", "replace")
    people = dict.fromkeys(line.strip() for line in lines.split("\n") if _ADDRESS.search(line))
    addresses = (_ADDRESS.findall(line) for line in _apply_mailmap([*people], base, root))
    return tuple(dict.fromkeys(email.lower() for emails in addresses for email in emails[-1:]))


def _apply_mailmap(people: list[str], map_of: str, root: Path) -> list[str]:
    """Return the people as the `.mailmap` of a commit names them.

    Git also reads the file of the working tree, so it gets a working tree without files.
    """
    if not people:
        return []
    folder = process.read_output(["rev-parse", "--absolute-git-dir"], root).decode().rstrip("\n")
    options = [
        f"--git-dir={folder}",
        f"--work-tree={folder}",
        "-c",
        f"mailmap.blob={map_of}:.mailmap",
        *("-c", "mailmap.file="),
    ]
    contacts = "".join(f"{person}\n" for person in people).encode()
    result = process.run_offline(
        [*options, "check-mailmap", "--stdin"], Path(folder), stdin=contacts
    )
    lines = result.stdout.decode("utf-8", "replace").splitlines()
    return lines if result.returncode == 0 and len(lines) == len(people) else people


def read_commit_time(file: str | Path, line: int, *, cwd: Path) -> str | None:
    """Return when a document was committed last, as ISO 8601; None if it never was."""
    lines = _read_log(file, line, ["--format=%cI", "-1", "HEAD"], cwd)
    return next((row.strip() for row in lines if row.strip()), None)


def _read_log(file: str | Path, line: int, options: list[str], cwd: Path) -> list[str]:
    """Return `git log` of a document, or of its file if HEAD has the document otherwise."""
    path = Path(os.path.abspath(cwd / file))  # noqa: PTH100  links stay as they are
    root = repository.find_root(path)
    if root is None:
        return []
    inside = Path(os.path.relpath(path, root)).as_posix()
    of_file = ["log", *options, "--", str(path)]
    head_lines = _find_lines_in_head(path, inside, line, root)
    of_document = (
        of_file
        if head_lines is None
        else ["log", "--no-patch", f"-L{head_lines[0]},{head_lines[1]}:{inside}", *options]
    )
    result = process.run_offline(of_document, root)
    if result.returncode != 0:
        result = process.run_offline(of_file, root)
    return result.stdout.decode("utf-8", "replace").splitlines()


def _find_lines_in_head(path: Path, inside: str, line: int, root: Path) -> tuple[int, int] | None:
    """Return the lines in HEAD of the document at this line; None if HEAD has it otherwise."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    head_file = process.run_offline(["cat-file", "blob", f"HEAD:{inside}"], root)
    wanted = next(
        (text for first, last, text in _split_documents(data) if first <= line <= last), None
    )
    if head_file.returncode != 0 or wanted is None:
        return None
    return next(
        (
            (first, last)
            for first, last, text in _split_documents(head_file.stdout)
            if text == wanted
        ),
        None,
    )


def _split_documents(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield first line, last line and content of each document, comments before it included."""
    lines = data.removesuffix(b"\n").split(b"\n")
    marks = [number for number, line in enumerate(lines) if _MARK.match(line)]
    for start, end in zip([None, *marks], [*marks, len(lines)], strict=True):
        first = 0 if start is None else start
        if start is not None and not lines[start][3:].strip():
            first += 1  # a bare mark is not part of a document: a new one brings its own
        if first < end:
            yield first + 1, end, b"\n".join(lines[first:end])
