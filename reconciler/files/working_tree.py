"""Files of the working tree: found, and opened so that no link leads out of the repository.

Every folder and file is opened relative to an open folder and without following links, so that
nothing changes between looking and reading.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from reconciler.errors import ReconcilerError
from reconciler.files.text import MAX_BYTES, Refused, error
from reconciler.model import Source

SUFFIXES: Final = (".yaml", ".yml")
SETTINGS: Final = "reconciler.yaml"
MAX_FOLDERS: Final = 64  # one in the other

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Read = Callable[[], bytes]  # raises text.Refused
Entry = tuple[str, Read]  # display name, and how to read it before the next entry is asked for


class Tree(Protocol):
    """Where files come from: the working tree, or a commit."""

    @property
    def origin(self) -> str:
        """What `Declared.origin` says."""
        ...

    @property
    def may_lack_paths(self) -> bool:
        """Whether a path that is not there is nothing, instead of an error."""
        ...

    def display(self, path: Path) -> str:
        """The name of a path in messages and plans."""
        ...

    def walk(self, path: Path, skip: Collection[Path] = ()) -> Iterator[Entry]:
        """Every YAML file of a path, sorted, but nothing below `skip`.

        Raises text.Refused if the path cannot be used.
        """
        ...


def refuse(file: str, message: str, *, why: str = "", fix: str = "", code: str = "R010") -> Refused:
    """Make the exception for a file or folder that cannot be used."""
    return Refused(error(code, message, Source(file, 1), why=why, fix=fix))


def is_resource_file(name: str) -> bool:
    """Whether a name in a folder is that of a file with resources."""
    return name.lower().endswith(SUFFIXES) and name != SETTINGS and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is passed over, unless it is named outright."""
    return name.startswith(".")


def contains(folder: str, path: str) -> bool:
    """Whether a path with slashes is that folder, or below it; "" is the root."""
    return not folder or path == folder or path.startswith(f"{folder}/")


def git_root(path: Path) -> Path | None:
    """The innermost folder with a `.git` that holds `path`; None outside git."""
    real = Path(os.path.realpath(path))
    return next((folder for folder in (real, *real.parents) if (folder / ".git").exists()), None)


def check_output(path: Path) -> None:
    """Refuse a place that a link leads out of the repository, or into its `.git`.

    Outside git the folder of `reconciler.yaml` counts as the repository, else the current folder. A
    place outside of it is what somebody typed, and is not looked at.

    Raises ReconcilerError: people who can commit a link must not choose where a run writes.
    """
    lexical = Path(os.path.abspath(path))  # noqa: PTH100  links stay as they are
    real = Path(os.path.realpath(lexical))
    for root in _repositories(lexical):
        inside = Path(os.path.realpath(root))
        if real.is_relative_to(inside) and not real.is_relative_to(inside / ".git"):
            continue
        raise ReconcilerError(
            f"{path} cannot be written",
            why=f"a link leads it out of the repository, to {real}",
            state="nothing was written there",
            fix="remove the link, or name a place outside of the repository",
        )


def _repositories(path: Path) -> list[Path]:
    """Return the folders above a path that no link may lead it out of."""
    roots = [folder for folder in path.parents if (folder / ".git").exists()]
    settings = [folder for folder in path.parents if os.path.lexists(folder / SETTINGS)]
    return roots or settings or [folder for folder in path.parents if folder == Path.cwd()]


def located(path: Path) -> Path:
    """Return the absolute path by which a file is known in its repository.

    A link inside the repository keeps its name, as git lists it. A link on the way to the
    repository does not: git knows only where the repository really is.
    """
    lexical = Path(os.path.abspath(path))  # noqa: PTH100  links stay as they are
    real = Path(os.path.realpath(lexical))
    for candidate in (lexical, Path(os.path.realpath(lexical.parent)) / lexical.name, real):
        root = git_root(candidate.parent)
        if candidate == git_root(candidate) or (root and candidate.is_relative_to(root)):
            return candidate
    return lexical


def shown_from(cwd: Path, path: Path, anchor: Path | None = None) -> str:
    """Return the name of a path for people: relative where that says enough.

    It says enough below the current folder, and where both are in one repository, however deep
    it is nested in others; outside git the folder of `reconciler.yaml` counts as one.
    """
    if path.is_relative_to(cwd):
        return path.relative_to(cwd).as_posix()
    common = Path(os.path.commonpath((path, cwd)))
    outer = git_root(common)
    if outer is None and anchor is not None and git_root(path.parent) is None:
        outer = anchor if common.is_relative_to(anchor) else None
    return path.as_posix() if outer is None else Path(os.path.relpath(path, cwd)).as_posix()


@dataclass(frozen=True, slots=True)
class WorkingTree:
    """The files on disk.

    Args:
        cwd: what relative paths and display names are relative to.
        anchor: folder of `reconciler.yaml`; links may not leave it where there is no git.
        skip: files and folders that are left out, unless they are walked themselves.

    """

    cwd: Path
    anchor: Path | None = None
    skip: frozenset[Path] = frozenset()
    origin: str = field(default="working tree", init=False)
    may_lack_paths: bool = field(default=False, init=False)

    def walk(self, path: Path, skip: Collection[Path] = ()) -> Iterator[Entry]:
        """Every YAML file of a path, sorted, but nothing below `skip`."""
        lexical = Path(os.path.abspath(self.cwd / path))  # noqa: PTH100  links stay as they are
        display = self.display(lexical)
        try:
            real = Path(os.path.realpath(lexical))
            root = self._root(lexical)
            if not real.is_relative_to(root):
                raise _outside(display, root)
            mode = real.stat().st_mode
        except OSError as problem:
            raise _unreadable(display, problem) from None
        if stat.S_ISDIR(mode):
            others = (os.path.realpath(self.cwd / other) for other in (*self.skip, *skip))
            left_out = frozenset(others) - {str(real)}
            shown = "" if display == "." else display
            yield from _Walk(root, left_out, set(), self.cwd.parts).folder(str(real), shown, 0)
        else:
            yield display, partial(_read_real, root, real, display)

    def display(self, path: Path) -> str:
        """The name of a path in messages and plans: relative where that says enough."""
        return shown_from(self.cwd, located(self.cwd / path), self.anchor)

    def _root(self, path: Path) -> Path:
        """What links may not leave."""
        folder = path if path.is_dir() and not path.is_symlink() else path.parent
        real = Path(os.path.realpath(folder))
        if root := git_root(real):
            return root
        for outer in (self.anchor, self.cwd):
            if outer and real.is_relative_to(outer_real := Path(os.path.realpath(outer))):
                return outer_real
        return real


@dataclass(frozen=True, slots=True)
class _Walk:
    """One walk through folders; `seen` keeps links from leading round in circles."""

    root: Path
    skip: frozenset[str]
    seen: set[str]  # real paths of what was met
    cwd: tuple[str, ...]  # parts of the folder that display names are relative to

    def folder(self, real: str, display: str, depth: int) -> Iterator[Entry]:
        if real in self.seen or real in self.skip:
            return
        self.seen.add(real)
        if depth > MAX_FOLDERS:
            raise refuse(display, f"more than {MAX_FOLDERS} folders in each other", code="R009")
        try:
            fd = _open_inside(self.root, Path(real), _FOLDER)
        except OSError as problem:
            raise _unreadable(display or ".", problem) from None
        try:
            with os.scandir(fd) as listing:
                entries = sorted(
                    (entry.name, entry.is_symlink(), entry.is_dir(follow_symlinks=False))
                    for entry in listing
                    if not is_hidden(entry.name)
                )
            for name, is_link, is_folder in entries:
                shown = self._shown(display, name)
                if is_link:
                    yield from self._link(Path(real, name), shown, depth)
                elif is_folder:
                    yield from self.folder(f"{real}/{name}", shown, depth + 1)
                elif is_resource_file(name) and self._is_new(f"{real}/{name}"):
                    yield shown, partial(_read, name, shown, dir_fd=fd)
        finally:
            os.close(fd)

    def _shown(self, display: str, name: str) -> str:
        """Return the display name of what is in a folder; the way back down is not shown.

        From `config/flags`, `../flags/a.yaml` is `a.yaml`, as git and every other message have it.
        """
        up = display.count("..")
        if up and display == "/".join([".."] * up) and self.cwd[-up] == name:
            return display[3:]
        return f"{display}/{name}" if display else name

    def _link(self, link: Path, display: str, depth: int) -> Iterator[Entry]:
        try:
            real = Path(os.path.realpath(link))
        except OSError as problem:  # it changed while it was looked at
            yield display, partial(_raise, _unreadable(display, problem))
            return
        if not real.is_relative_to(self.root):
            yield display, partial(_raise, _outside(display, self.root))
        elif real.is_dir():
            yield from self.folder(str(real), display, depth + 1)
        elif is_resource_file(link.name) and self._is_new(str(real)):
            yield display, partial(_read_real, self.root, real, display)

    def _is_new(self, real: str) -> bool:
        if real in self.seen or real in self.skip:
            return False
        self.seen.add(real)
        return True


def _raise(problem: Refused) -> bytes:
    raise problem


def _outside(display: str, root: Path) -> Refused:
    return refuse(
        display,
        "leads out of the repository",
        why=f"it is, or is a link to, something outside {root.name or root}",
        fix="put a copy of the file inside",
    )


def _unreadable(display: str, problem: OSError) -> Refused:
    if isinstance(problem, FileNotFoundError):
        return refuse(display, "no such file or folder", fix="check the path")
    return refuse(display, "cannot be read", why=problem.strerror or str(problem))


def _open_inside(root: Path, real: Path, flags: int) -> int:
    """Open a path below `root` step by step, following no link."""
    fd = os.open(root, _FOLDER)
    parts = real.relative_to(root).parts
    for index, part in enumerate(parts):
        try:
            deeper = os.open(part, flags if index == len(parts) - 1 else _FOLDER, dir_fd=fd)
        finally:
            os.close(fd)
        fd = deeper
    return fd


def read_inside(path: Path, display: str) -> bytes:
    """Content of one file; no link leads out of its repository, else its folder. Or Refused."""
    try:
        folder = Path(os.path.realpath(path.parent))
        root, real = git_root(folder) or folder, Path(os.path.realpath(path))
        if not real.is_relative_to(root):
            raise _outside(display, root)
    except OSError as problem:
        raise _unreadable(display, problem) from None
    return _read_real(root, real, display)


def _read_real(root: Path, real: Path, display: str) -> bytes:
    try:
        fd = _open_inside(root, real, _FILE)
    except OSError as problem:
        raise _unreadable(display, problem) from None
    return _read_open(fd, display)


def _read(name: str, display: str, *, dir_fd: int) -> bytes:
    try:
        fd = os.open(name, _FILE, dir_fd=dir_fd)
    except OSError as problem:
        raise _unreadable(display, problem) from None
    return _read_open(fd, display)


def _read_open(fd: int, display: str) -> bytes:
    """Content of an open file, which has to be a regular one; closes it."""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise refuse(display, "is no regular file", fix="only plain files are read")
        pieces = []
        left = MAX_BYTES + 1
        while left > 0 and (piece := os.read(fd, left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)
    except OSError as problem:
        raise _unreadable(display, problem) from None
    finally:
        os.close(fd)
