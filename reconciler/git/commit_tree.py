"""Read the files of a commit as the working tree would be read. Nothing is fetched."""

import os
import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Final

from reconciler.errors import GitError
from reconciler.files.text import MAX_BYTES
from reconciler.files.working_tree import (
    Entry,
    find_git_root,
    format_path,
    is_hidden,
    is_resource_file,
    is_within,
    locate_file,
    make_refusal,
)
from reconciler.git import process
from reconciler.lazy_dataclass import dataclass
from reconciler.model import shorten_commit

MAX_TOTAL_BYTES: Final = 64 * 1024 * 1024

LINK: Final = "120000"
_BLOBS, _SUBMODULE = frozenset({"100644", "100755"}), "160000"


@dataclass(frozen=True, slots=True)
class CommitTree:
    """The files of a commit.

    Args:
        commit: full id.
        root: folder of the repository.
        cwd: what display names are relative to, as in the working tree.
        may_lack_paths: whether a path that does not exist yet is empty instead of an error.
        known: contents by object id that need not be read again.
        skip: files and folders that are left out, unless a walk starts there.

    """

    commit: str
    root: Path
    cwd: Path
    may_lack_paths: bool = False
    known: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    skip: tuple[Path, ...] = ()
    origin: str = field(default="", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", self.commit)

    def walk(self, path: Path, skip: Collection[Path] = ()) -> Iterator[Entry]:
        """Yield every YAML file of a path, sorted; RefusedError if the path cannot be used."""
        inside = self.to_git_path(path)
        left_out = self.list_left_out(path, skip)
        entries = self.list_entries(inside)
        if not entries:
            if self.may_lack_paths:
                return
            message = f"no such file or folder in commit {shorten_commit(self.commit)}"
            raise make_refusal(
                self.show_git_path(inside), message, fix="check the path, or commit it"
            )
        wanted = _select_files(entries, inside, left_out)
        self._check_sizes(wanted)
        contents = cache(partial(self._read_contents, wanted))  # not before one is asked for
        for link in (entry for entry in entries if entry.mode == LINK):
            if self._leads_to_resources(link):
                yield self.show_git_path(link.path), partial(self._refuse_link, link)
        for entry in wanted:
            yield self.show_git_path(entry.path), partial(self._take_content, entry, contents)

    def list_blobs(self, path: Path, skip: Collection[Path] = ()) -> dict[str, "TreeObject"]:
        """Return display name -> object of each file that `walk` would read, and of each link."""
        inside = self.to_git_path(path)
        left_out = self.list_left_out(path, skip)
        entries = self.list_entries(inside, sizes=False)
        links = [entry for entry in entries if entry.mode == LINK]
        wanted = (*_select_files(entries, inside, left_out), *links)
        return {self.show_git_path(entry.path): entry for entry in wanted}

    def list_left_out(self, path: Path, skip: Collection[Path]) -> list[str]:
        """Return what a walk that starts at a path leaves out, as git writes it."""
        return [self.to_git_path(other) for other in (*skip, *self.skip) if other != path]

    def read_file(self, path: Path) -> bytes | None:
        """Return the content of one file; None if the commit does not have it."""
        inside = self.to_git_path(path)
        wanted = [entry for entry in self.list_entries(inside) if entry.path == inside]
        plain = [entry for entry in wanted if entry.mode in _BLOBS]
        return self._take_content(plain[0], lambda: self._read_contents(plain)) if plain else None

    def show_path(self, path: Path) -> str:
        """Return the name of a path in messages and plans, as in the working tree."""
        return self.show_git_path(self.to_git_path(path))

    def to_git_path(self, path: Path) -> str:
        """Return a path as git writes it: from the root, with slashes; "" for the root."""
        location = locate_file(self.cwd / path)
        if location == self.root:
            return ""
        if location.is_relative_to(self.root) and find_git_root(location.parent) == self.root:
            return location.relative_to(self.root).as_posix()
        fix = "name a path inside the repository"
        raise make_refusal(str(path), f"is not in the repository {self.root.name}", fix=fix)

    def show_git_path(self, inside: str) -> str:
        """Return the name in messages of a path from the root of the repository."""
        above, below = _locate_cwd(self.root, self.cwd)
        if below is not None:
            return posixpath.join(below, inside) if below != "." else inside or "."
        return posixpath.relpath(f"/{inside}", f"/{above}")

    def find_missing_submodules(self, path: Path) -> list[str]:
        """Return submodules below a path that are not checked out: their documents are unknown."""
        inside = self.to_git_path(path)
        objects = list_objects(self.root, self.commit, inside, sizes=False)
        return [self.show_git_path(entry.path) for entry in objects if _is_gap(entry, inside)]

    def list_entries(self, inside: str, *, sizes: bool = True) -> list["TreeObject"]:
        """Return every object below a path, also those of its submodules."""
        entries = []
        for entry in list_objects(self.root, self.commit, inside, sizes=sizes):
            if entry.mode != _SUBMODULE:
                entries.append(entry)
            elif not _is_passed_over(entry.path, inside) and not _is_gap(entry, inside):
                entries.extend(self._list_submodule(entry, sizes=sizes))
        return entries

    def _list_submodule(self, link: "TreeObject", *, sizes: bool) -> Iterator["TreeObject"]:
        """Yield the objects of a submodule, at the commit that this one names."""
        root = self.root / link.path
        try:
            inner = replace(self, commit=link.oid, root=root).list_entries("", sizes=sizes)
        except GitError as problem:
            raise make_refusal(
                self.show_git_path(link.path),
                f"a submodule that lacks its commit {shorten_commit(link.oid)}",
                why=problem.why or "its documents at that commit are unknown",
                fix="fetch its history: `fetch-depth: 0` in actions/checkout, else git -C "
                f"{link.path} fetch --unshallow",
            ) from None
        for entry in inner:
            yield replace(entry, path=f"{link.path}/{entry.path}")

    def _check_sizes(self, wanted: Sequence["TreeObject"]) -> None:
        """Raise RefusedError for more files than are read."""
        if sum({entry.oid: entry.size for entry in wanted}.values()) > MAX_TOTAL_BYTES:
            raise make_refusal(
                self.show_git_path(""),
                f"more than {MAX_TOTAL_BYTES >> 20} MiB of YAML in commit "
                f"{shorten_commit(self.commit)}",
                fix="name fewer paths",
                code="R009",
            )

    def _read_contents(self, wanted: Sequence["TreeObject"]) -> dict[str, bytes]:
        """Return content by object id, read by one process for each repository."""
        by_root: dict[Path, list[str]] = {}
        for entry in wanted:
            if entry.size <= MAX_BYTES and entry.oid not in self.known:
                by_root.setdefault(entry.root, []).append(entry.oid)
        contents = {entry.oid: self.known[entry.oid] for entry in wanted if entry.oid in self.known}
        for root, oids in by_root.items():
            contents |= read_blobs(root, list(dict.fromkeys(oids)))
        return contents

    def _take_content(
        self, entry: "TreeObject", read_contents: Callable[[], Mapping[str, bytes]]
    ) -> bytes:
        contents = read_contents()
        if entry.oid not in contents:
            message = f"the file has {entry.size:,} bytes, more than {MAX_BYTES:,}"
            fix = "split it into several files"
            raise make_refusal(self.show_git_path(entry.path), message, fix=fix, code="R009")
        return contents[entry.oid]

    def _leads_to_resources(self, link: "TreeObject") -> bool:
        """Return whether a link leads to files that the working tree would have loaded."""
        if any(is_hidden(part) for part in link.path.split("/")):
            return False
        if is_resource_file(link.path.rsplit("/", 1)[-1]):
            return True
        target = process.read_output(["cat-file", "blob", link.oid], link.root).decode(
            "utf-8", "replace"
        )
        folder = os.path.normpath(os.path.join(os.path.dirname(link.path), target))  # noqa: PTH118, PTH120  git's paths, not the disk's
        if folder.startswith(("..", "/")):
            return False
        return any(is_wanted(entry.path, folder) for entry in self.list_entries(folder))

    def _refuse_link(self, link: "TreeObject") -> bytes:
        raise make_refusal(
            self.show_git_path(link.path),
            f"is a link in commit {shorten_commit(self.commit)}",
            why="links are followed in the working tree only",
            fix="commit a plain file or folder instead",
            code="R014",
        )


@dataclass(frozen=True, slots=True)
class TreeObject:
    """One line of `git ls-tree`: a blob, a link or a submodule."""

    mode: str
    oid: str
    size: int
    path: str  # from the root of the outermost repository
    root: Path  # of the repository that holds it


def read_blobs(root: Path, oids: Sequence[str]) -> dict[str, bytes]:
    """Return the contents of some blobs, read in one call."""
    output = process.read_output(["cat-file", "--batch"], root, stdin=_list_lines(oids))
    contents, at = {}, 0
    for oid in oids:
        end = output.index(b"\n", at)
        header = output[at:end].split()
        if len(header) != 3:  # noqa: PLR2004  "<oid> missing"
            raise process.make_partial_clone_error()
        size = int(header[2])
        contents[oid] = output[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
    return contents


def read_blob_sizes(root: Path, oids: Sequence[str]) -> dict[str, int]:
    """Return the sizes of some blobs, in the same order, read in one call."""
    output = process.read_output(["cat-file", "--batch-check"], root, stdin=_list_lines(oids))
    sizes = {}
    for oid, line in zip(oids, output.splitlines(), strict=True):
        header = line.split()
        if len(header) != 3:  # noqa: PLR2004  as above
            raise process.make_partial_clone_error()
        sizes[oid] = int(header[2])
    return sizes


def _list_lines(oids: Sequence[str]) -> bytes:
    return "".join(f"{oid}\n" for oid in oids).encode("ascii")


@lru_cache(maxsize=32)
def list_objects(root: Path, commit: str, inside: str, *, sizes: bool) -> tuple[TreeObject, ...]:
    """Return the objects of a commit below a path, recursively but not into submodules.

    A commit never changes, so it is read once.

    Sizes need each object, which a partial clone may lack; without `sizes` they are 0.
    """
    long = ["--long"] if sizes else []
    arguments = ["ls-tree", "-r", "-z", *long, "--full-tree", commit]
    output = process.read_output([*arguments, "--", inside] if inside else arguments, root)
    return tuple(_parse_object(line, root) for line in output.split(b"\0") if line)


def _parse_object(line: bytes, root: Path) -> TreeObject:
    header, path = line.split(b"\t", 1)
    mode, _, oid, *size = header.decode("ascii").split()
    number = int(size[0]) if size and size[0].isdigit() else 0
    return TreeObject(mode, oid, number, path.decode("utf-8", "backslashreplace"), root)


def _select_files(
    entries: Sequence[TreeObject], inside: str, left_out: Collection[str]
) -> list[TreeObject]:
    """Return the plain files with resources."""
    return [
        entry
        for entry in entries
        if entry.mode in _BLOBS
        and (entry.path == inside or is_wanted(entry.path, inside))
        and not any(is_within(skipped, entry.path) for skipped in left_out)
    ]


def _is_gap(entry: TreeObject, inside: str) -> bool:
    """Return whether an object is a submodule that is not checked out."""
    if entry.mode != _SUBMODULE or _is_passed_over(entry.path, inside):
        return False
    return not (entry.root / entry.path / ".git").exists()


def _is_passed_over(path: str, inside: str) -> bool:
    """Return whether a path below a folder has a hidden part."""
    return any(is_hidden(part) for part in path[len(inside) :].split("/"))


def is_wanted(path: str, inside: str) -> bool:
    """Return whether a path below a folder is a file with resources, as in the working tree."""
    *folders, name = path[len(inside) :].lstrip("/").split("/")
    return is_resource_file(name) and not any(is_hidden(folder) for folder in folders)


@lru_cache(maxsize=32)
def _locate_cwd(root: Path, cwd: Path) -> tuple[str, str | None]:
    """Return the current folder from the root; if it is not below, the root's display name."""
    real_cwd = Path(os.path.realpath(cwd))
    if real_cwd != root and real_cwd.is_relative_to(root):
        return real_cwd.relative_to(root).as_posix(), None
    return "", format_path(real_cwd, root)
