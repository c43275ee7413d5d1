"""Find files of the working tree, and open them so that no link leads out of the repository.

Every folder and file is opened relative to an open folder and without following links, so that
nothing can change between the check and the read.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from reconciler.errors import ReconcilerError, explain_refusal
from reconciler.files.run_folder import find_run_folder
from reconciler.files.text import MAX_BYTES, RefusedError, make_error
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Source
from reconciler.operating_system import OpenFolder, open_file_inside

SUFFIXES: Final = (".yaml", ".yml")
SETTINGS: Final = "reconciler.yaml"
MAX_FOLDERS: Final = 64  # depth

Read = Callable[[], bytes]  # raises text.RefusedError
Entry = tuple[str, Read]  # display name, and how to read it before the next entry is taken


class Tree(Protocol):
    """A source of files: the working tree, or a commit."""

    @property
    def origin(self) -> str:
        """Return the value of `Declared.origin`."""
        ...

    @property
    def may_lack_paths(self) -> bool:
        """Return whether a path that does not exist is empty instead of an error."""
        ...

    def show_path(self, path: Path) -> str:
        """Return the name of a path in messages and plans."""
        ...

    def walk(self, path: Path, skip: Collection[Path] = ()) -> Iterator[Entry]:
        """Yield every YAML file of a path, sorted, but nothing below `skip`.

        Raises text.RefusedError if the path cannot be used.
        """
        ...


def make_refusal(
    file: str, message: str, *, why: str = "", fix: str = "", code: str = "R010"
) -> RefusedError:
    """Return the exception for a file or folder that cannot be used."""
    return RefusedError(make_error(code, message, Source(file, 1), why=why, fix=fix))


def is_resource_file(name: str) -> bool:
    """Return whether a name in a folder is that of a file with resources."""
    return name.lower().endswith(SUFFIXES) and name != SETTINGS and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is skipped, unless it is named explicitly."""
    return name.startswith(".")


def is_within(folder: str, path: str) -> bool:
    """Return whether a path with slashes is that folder, or below it; "" is the root."""
    return not folder or path == folder or path.startswith(f"{folder}/")


def find_git_root(path: Path) -> Path | None:
    """Return the innermost folder with a `.git` that holds `path`; None outside git."""
    folder, above = os.path.realpath(path), ""
    while folder != above:  # as text: this is asked of each file, and Path takes five times as long
        if os.path.exists(os.path.join(folder, ".git")):  # noqa: PTH110, PTH118  as above
            return Path(folder)
        folder, above = os.path.dirname(folder), folder  # noqa: PTH120  as above
    return None


def check_output(path: Path) -> None:
    """Refuse to write where a link leads out of the repository, or into its `.git`.

    Outside git the folder of `reconciler.yaml` counts as the repository, else the current folder.
    A path outside of it was typed by a person, and is not checked.

    Raises ReconcilerError: a committed link must not decide where a run writes.
    """
    lexical = Path(os.path.abspath(path))  # noqa: PTH100  links stay as they are
    real = Path(os.path.realpath(lexical))
    for root in _list_boundaries(lexical):
        inside = Path(os.path.realpath(root))
        if real.is_relative_to(inside) and not real.is_relative_to(inside / ".git"):
            continue
        why = f"a link leads it out of the repository, to {real}"
        fix = "remove the link, or name a path outside of the repository"
        if real.is_relative_to(inside / ".git"):
            why, fix = f"only git writes to {inside / '.git'}", "name another folder"
        raise ReconcilerError(
            f"{path} cannot be written", why=why, state="nothing was written there", fix=fix
        )


def _list_boundaries(path: Path) -> list[Path]:
    """Return the folders above a path that a link must not leave."""
    roots = [folder for folder in path.parents if (folder / ".git").exists()]
    settings = [folder for folder in path.parents if os.path.lexists(folder / SETTINGS)]
    return roots or settings or [folder for folder in path.parents if folder == find_run_folder()]


def locate_file(path: Path) -> Path:
    """Return the absolute path by which a file is known in its repository.

    A link inside the repository keeps its name, as git lists it. A link on the way to the
    repository does not: git knows only where the repository really is.
    """
    lexical = Path(os.path.abspath(path))  # noqa: PTH100  links stay as they are
    for candidate in _list_locations(lexical):
        root = find_git_root(candidate.parent)
        if (root and candidate.is_relative_to(root)) or candidate == find_git_root(candidate):
            return candidate
    return lexical


def _list_locations(lexical: Path) -> Iterator[Path]:
    yield lexical
    yield Path(os.path.realpath(lexical.parent)) / lexical.name
    yield Path(os.path.realpath(lexical))


def format_path(cwd: Path, path: Path, anchor: Path | None = None) -> str:
    """Return the name of a path for people: relative where that is clear.

    It is clear below the current folder, and where both are in one repository, however deep
    it is nested in others; outside git the folder of `reconciler.yaml` counts as one.
    """
    if path.is_relative_to(cwd):
        return path.relative_to(cwd).as_posix()
    common = Path(os.path.commonpath((path, cwd)))
    outer = find_git_root(common)
    if outer is None and anchor is not None and find_git_root(path.parent) is None:
        outer = anchor if common.is_relative_to(anchor) else None
    return path.as_posix() if outer is None else Path(os.path.relpath(path, cwd)).as_posix()


@dataclass(frozen=True, slots=True)
class WorkingTree:
    """The files on disk.

    Args:
        cwd: what relative paths and display names are relative to.
        anchor: folder of `reconciler.yaml`; links may not leave it where there is no git.
        skip: files and folders that are left out, unless a walk starts there.

    """

    cwd: Path
    anchor: Path | None = None
    skip: frozenset[Path] = frozenset()
    origin: str = field(default="working tree", init=False)
    may_lack_paths: bool = field(default=False, init=False)

    def walk(self, path: Path, skip: Collection[Path] = ()) -> Iterator[Entry]:
        """Yield every YAML file of a path, sorted, but nothing below `skip`."""
        lexical = Path(os.path.abspath(self.cwd / path))  # noqa: PTH100  links stay as they are
        display = self.show_path(lexical)
        try:
            real = Path(os.path.realpath(lexical))
            root = self._find_boundary(lexical)
            if not real.is_relative_to(root):
                raise _refuse_outside(display, root)
            mode = real.stat().st_mode
        except OSError as problem:
            raise _refuse_unreadable(display, problem) from None
        if stat.S_ISDIR(mode):
            skipped = (
                os.path.realpath(self.cwd / skipped_path) for skipped_path in (*self.skip, *skip)
            )
            left_out = frozenset(skipped) - {str(real)}
            prefix = "" if display == "." else display
            yield from _Walk(root, left_out, set(), self.cwd.parts).walk_folder(
                str(real), prefix, 0
            )
        else:
            yield display, partial(_read_real_file, root, real, display)

    def show_path(self, path: Path) -> str:
        """Return the name of a path in messages and plans: relative where that is clear."""
        return format_path(self.cwd, locate_file(self.cwd / path), self.anchor)

    def _find_boundary(self, path: Path) -> Path:
        """Return the folder that links must not leave."""
        folder = path if path.is_dir() and not path.is_symlink() else path.parent
        real = Path(os.path.realpath(folder))
        if root := find_git_root(real):
            return root
        for outer in (self.anchor, self.cwd):
            if outer and real.is_relative_to(outer_real := Path(os.path.realpath(outer))):
                return outer_real
        return real


@dataclass(frozen=True, slots=True)
class _Walk:
    """One walk through folders; `seen` stops cycles of links."""

    root: Path
    skip: frozenset[str]
    seen: set[str]  # real paths of files and folders
    cwd: tuple[str, ...]  # parts of the folder that display names are relative to

    def walk_folder(self, real: str, display: str, depth: int) -> Iterator[Entry]:
        if real in self.seen or real in self.skip:
            return
        self.seen.add(real)
        if depth > MAX_FOLDERS:
            raise make_refusal(display, f"more than {MAX_FOLDERS} nested folders", code="R009")
        try:
            folder = OpenFolder(self.root, Path(real))
        except OSError as problem:
            raise _refuse_unreadable(display or ".", problem) from None
        with folder:
            for name, is_link, is_folder in folder.list_entries():
                if is_hidden(name):
                    continue
                child, child_display = f"{real}{os.sep}{name}", self._join_display(display, name)
                if is_link:
                    yield from self._follow_link(Path(child), child_display, depth)
                elif is_folder:
                    yield from self.walk_folder(child, child_display, depth + 1)
                elif is_resource_file(name) and self._is_new(child):
                    yield child_display, partial(_read_entry, folder, name, child_display)

    def _join_display(self, display: str, name: str) -> str:
        """Return the display name of an entry of a folder, without a way up and back down.

        From `config/flags`, `../flags/a.yaml` is `a.yaml`, as git and every other message have it.
        """
        up = display.count("..")
        if up and display == "/".join([".."] * up) and self.cwd[-up] == name:
            return display[3:]
        return f"{display}/{name}" if display else name

    def _follow_link(self, link: Path, display: str, depth: int) -> Iterator[Entry]:
        try:
            real = Path(os.path.realpath(link))
        except OSError as problem:  # it changed during the check
            yield display, partial(_raise_refusal, _refuse_unreadable(display, problem))
            return
        if not real.is_relative_to(self.root):
            yield display, partial(_raise_refusal, _refuse_outside(display, self.root))
        elif real.is_dir():
            yield from self.walk_folder(str(real), display, depth + 1)
        elif is_resource_file(link.name) and self._is_new(str(real)):
            yield display, partial(_read_real_file, self.root, real, display)

    def _is_new(self, real: str) -> bool:
        if real in self.seen or real in self.skip:
            return False
        self.seen.add(real)
        return True


def _raise_refusal(problem: RefusedError) -> bytes:
    raise problem


def _refuse_outside(display: str, root: Path) -> RefusedError:
    return make_refusal(
        display,
        "leads out of the repository",
        why=f"it is, or is a link to, something outside {root.name or root}",
        fix="put a copy of the file inside",
    )


def _refuse_unreadable(display: str, problem: OSError) -> RefusedError:
    if isinstance(problem, FileNotFoundError):
        return make_refusal(display, "no such file or folder", fix="check the path")
    return make_refusal(display, "cannot be read", why=explain_refusal(problem))


def read_file_inside(path: Path, display: str) -> bytes:
    """Return the content of a file; RefusedError if a link leads out of its repository."""
    try:
        folder = Path(os.path.realpath(path.parent))
        root, real = find_git_root(folder) or folder, Path(os.path.realpath(path))
        if not real.is_relative_to(root):
            raise _refuse_outside(display, root)
    except OSError as problem:
        raise _refuse_unreadable(display, problem) from None
    return _read_real_file(root, real, display)


def _read_real_file(root: Path, real: Path, display: str) -> bytes:
    try:
        fd = open_file_inside(root, real)
    except OSError as problem:
        raise _refuse_unreadable(display, problem) from None
    return _read_descriptor(fd, display)


def _read_entry(folder: OpenFolder, name: str, display: str) -> bytes:
    try:
        fd = folder.open_file(name)
    except OSError as problem:
        raise _refuse_unreadable(display, problem) from None
    return _read_descriptor(fd, display)


def _read_descriptor(fd: int, display: str) -> bytes:
    """Return the content of an open regular file, and close it."""
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise make_refusal(display, "is not a regular file", fix="only plain files are read")
        pieces = []
        remaining = MAX_BYTES + 1
        while remaining > 0 and (piece := os.read(fd, remaining)):
            pieces.append(piece)
            remaining -= len(piece)
        return b"".join(pieces)
    except OSError as problem:
        raise _refuse_unreadable(display, problem) from None
    finally:
        os.close(fd)
