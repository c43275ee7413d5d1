"""The files of a commit: the same walk as through the working tree. Nothing is fetched."""

import os
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from reconciler.errors import GitError
from reconciler.files.text import MAX_BYTES
from reconciler.files.working_tree import (
    Entry,
    contains,
    git_root,
    is_hidden,
    is_resource_file,
    located,
    refuse,
    shown_from,
)
from reconciler.git import process

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
        may_lack_paths: whether a path that is not there yet is nothing instead of an error.
        known: contents by object id, which git need not be asked for.

    """

    commit: str
    root: Path
    cwd: Path
    may_lack_paths: bool = False
    known: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    origin: str = field(default="", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", self.commit)

    def walk(self, path: Path, skip: Collection[Path] = ()) -> Iterator[Entry]:
        """Every YAML file of a path, sorted; raises text.Refused if the path cannot be used."""
        inside = self.inside(path)
        left_out = [self.inside(other) for other in skip]
        listed = self.listed(inside)
        if not listed:
            if self.may_lack_paths:
                return
            where = f"no such file or folder in commit {self.commit[:10]}"
            raise refuse(self.shown(inside), where, fix="check the path, or commit it")
        wanted = _wanted(listed, inside, left_out)
        contents = self._contents(wanted)
        for link in (entry for entry in listed if entry.mode == LINK):
            if self._leads_to_resources(link):
                yield self.shown(link.path), partial(self._refuse_link, link)
        for entry in wanted:
            yield self.shown(entry.path), partial(self._read, entry, contents)

    def blobs(self, path: Path, skip: Collection[Path] = ()) -> dict[str, "Object"]:
        """Display name -> object of what `walk` would read, links included; nothing is read."""
        inside = self.inside(path)
        left_out = [self.inside(other) for other in skip]
        listed = self.listed(inside, sizes=False)
        links = [entry for entry in listed if entry.mode == LINK]
        wanted = (*_wanted(listed, inside, left_out), *links)
        return {self.shown(entry.path): entry for entry in wanted}

    def read(self, path: Path) -> bytes | None:
        """Content of one file; None if the commit does not have it."""
        inside = self.inside(path)
        wanted = [entry for entry in self.listed(inside) if entry.path == inside]
        plain = [entry for entry in wanted if entry.mode in _BLOBS]
        return self._read(plain[0], self._contents(plain)) if plain else None

    def display(self, path: Path) -> str:
        """The name of a path in messages and plans, as in the working tree."""
        return self.shown(self.inside(path))

    def inside(self, path: Path) -> str:
        """A path as git writes it: from the root, with slashes; "" for the root."""
        found = located(self.cwd / path)
        if found == self.root:
            return ""
        if found.is_relative_to(self.root) and git_root(found.parent) == self.root:
            return found.relative_to(self.root).as_posix()
        fix = "name a path inside the repository"
        raise refuse(str(path), f"is not in the repository {self.root.name}", fix=fix)

    def shown(self, inside: str) -> str:
        """A path from the root of the repository as messages show it."""
        above, below = _start(self.root, self.cwd)
        if below is not None:
            return posixpath.join(below, inside) if below != "." else inside or "."
        return posixpath.relpath(f"/{inside}", f"/{above}")

    def gaps(self, path: Path) -> list[str]:
        """Submodules below a path that are not checked out: what they declare is not known."""
        inside = self.inside(path)
        found = listing(self.root, self.commit, inside, sizes=False)
        return [self.shown(one.path) for one in found if _is_gap(one, inside)]

    def listed(self, inside: str, *, sizes: bool = True) -> list["Object"]:
        """Everything below a path, what its submodules hold included."""
        found = []
        for entry in listing(self.root, self.commit, inside, sizes=sizes):
            if entry.mode != _SUBMODULE:
                found.append(entry)
            elif not _is_passed_over(entry.path, inside) and not _is_gap(entry, inside):
                found.extend(self._submodule(entry, sizes=sizes))
        return found

    def _submodule(self, link: "Object", *, sizes: bool) -> Iterator["Object"]:
        """What a submodule holds at the commit that this one names."""
        root = self.root / link.path
        try:
            inner = replace(self, commit=link.oid, root=root).listed("", sizes=sizes)
        except GitError as problem:
            raise refuse(
                self.shown(link.path),
                f"a submodule that lacks its commit {link.oid[:10]}",
                why=problem.why or "what it declared there cannot be told",
                fix="fetch its history: `fetch-depth: 0` in actions/checkout, else git -C "
                f"{link.path} fetch --unshallow",
            ) from None
        for entry in inner:
            yield replace(entry, path=f"{link.path}/{entry.path}")

    def _contents(self, wanted: Sequence["Object"]) -> dict[str, bytes]:
        """Content by object id, read by one process a repository."""
        sizes = {entry.oid: entry.size for entry in wanted}
        if sum(sizes.values()) > MAX_TOTAL_BYTES:
            raise refuse(
                self.shown(""),
                f"more than {MAX_TOTAL_BYTES >> 20} MiB of YAML in commit {self.commit[:10]}",
                fix="name fewer paths",
                code="R009",
            )
        by_root: dict[Path, list[str]] = {}
        for entry in wanted:
            if entry.size <= MAX_BYTES and entry.oid not in self.known:
                by_root.setdefault(entry.root, []).append(entry.oid)
        contents = {oid: self.known[oid] for oid in sizes if oid in self.known}
        for root, oids in by_root.items():
            contents |= self._batch(root, list(dict.fromkeys(oids)))
        return contents

    def _batch(self, root: Path, oids: Sequence[str]) -> dict[str, bytes]:
        asked = "".join(f"{oid}\n" for oid in oids).encode("ascii")
        output = process.output(["cat-file", "--batch"], root, stdin=asked)
        contents, at = {}, 0
        for oid in oids:
            end = output.index(b"\n", at)
            header = output[at:end].split()
            if len(header) != 3:  # noqa: PLR2004  "<oid> missing"
                raise process.partial_clone()
            size = int(header[2])
            contents[oid] = output[end + 1 : end + 1 + size]
            at = end + 1 + size + 1
        return contents

    def _read(self, entry: "Object", contents: Mapping[str, bytes]) -> bytes:
        if entry.oid not in contents:
            message = f"the file has {entry.size:,} bytes, more than {MAX_BYTES:,}"
            fix = "split it into several files"
            raise refuse(self.shown(entry.path), message, fix=fix, code="R009")
        return contents[entry.oid]

    def _leads_to_resources(self, link: "Object") -> bool:
        """Whether a link stands for files that the working tree would have loaded."""
        if any(is_hidden(part) for part in link.path.split("/")):
            return False
        if is_resource_file(link.path.rsplit("/", 1)[-1]):
            return True
        target = process.output(["cat-file", "blob", link.oid], link.root).decode(
            "utf-8", "replace"
        )
        folder = os.path.normpath(os.path.join(os.path.dirname(link.path), target))  # noqa: PTH118, PTH120  git's paths, not the disk's
        if folder.startswith(("..", "/")):
            return False
        return any(is_wanted(entry.path, folder) for entry in self.listed(folder))

    def _refuse_link(self, link: "Object") -> bytes:
        raise refuse(
            self.shown(link.path),
            f"is a link in commit {self.commit[:10]}",
            why="links are followed in the working tree only",
            fix="commit a plain file or folder instead",
            code="R014",
        )


@dataclass(frozen=True, slots=True)
class Object:
    """One line of `git ls-tree`: a blob, a link or a submodule."""

    mode: str
    oid: str
    size: int
    path: str  # from the root of the outermost repository
    root: Path  # of the repository that holds it


@lru_cache(maxsize=32)
def listing(root: Path, commit: str, inside: str, *, sizes: bool) -> tuple[Object, ...]:
    """What a commit holds below a path, recursively; submodules are not entered.

    A commit never changes: it is asked once.

    Sizes take a look at each object, which a partial clone may lack; else they are 0.
    """
    long = ["--long"] if sizes else []
    arguments = ["ls-tree", "-r", "-z", *long, "--full-tree", commit]
    output = process.output([*arguments, "--", inside] if inside else arguments, root)
    return tuple(_object(line, root) for line in output.split(b"\0") if line)


def _object(line: bytes, root: Path) -> Object:
    about, path = line.split(b"\t", 1)
    mode, _, oid, *size = about.decode("ascii").split()
    number = int(size[0]) if size and size[0].isdigit() else 0
    return Object(mode, oid, number, path.decode("utf-8", "backslashreplace"), root)


def _wanted(listed: Sequence[Object], inside: str, left_out: Collection[str]) -> list[Object]:
    """The plain files with resources."""
    return [
        entry
        for entry in listed
        if entry.mode in _BLOBS
        and (entry.path == inside or is_wanted(entry.path, inside))
        and not any(contains(other, entry.path) for other in left_out)
    ]


def _is_gap(entry: Object, inside: str) -> bool:
    """Whether a line stands for a submodule of which there is nothing here."""
    if entry.mode != _SUBMODULE or _is_passed_over(entry.path, inside):
        return False
    return not (entry.root / entry.path / ".git").exists()


def _is_passed_over(path: str, inside: str) -> bool:
    """Whether a folder below another is hidden, or in one that is."""
    return any(is_hidden(part) for part in path[len(inside) :].split("/"))


def is_wanted(path: str, inside: str) -> bool:
    """Whether a path below a folder is that of a file with resources, as in the working tree."""
    *folders, name = path[len(inside) :].lstrip("/").split("/")
    return is_resource_file(name) and not any(is_hidden(folder) for folder in folders)


@lru_cache(maxsize=32)
def _start(root: Path, cwd: Path) -> tuple[str, str | None]:
    """Return the current folder from the root, or, where it is not below, the root's own name."""
    here = Path(os.path.realpath(cwd))
    if here != root and here.is_relative_to(root):
        return here.relative_to(root).as_posix(), None
    return "", shown_from(here, root)
