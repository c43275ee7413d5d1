"""Places as a code host names them: from the root of the repository, wherever the command runs."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.cli.session import Session
    from reconciler.model import Finding


def from_root(found: "Iterable[Finding]") -> "tuple[Finding, ...]":
    """The same findings; outside git, and of files outside of it, as they are."""
    return tuple(_moved(found))


def folder() -> str:
    """The current folder from the root of the repository; empty there, and outside git."""
    from reconciler.config.files import git_root

    cwd = Path(os.path.realpath(Path.cwd()))
    root = git_root(cwd)
    return "" if root is None or root == cwd else cwd.relative_to(root).as_posix()


def fixed(session: "Session", paths: "Iterable[str]") -> tuple[str, ...]:
    """Return paths of a command line as a saved plan names them, whatever the current folder is."""
    return tuple(Path(os.path.relpath(path, _anchor(session))).as_posix() for path in paths)


def here(session: "Session", paths: "Iterable[str]") -> tuple[str, ...]:
    """Return paths of a saved plan as one would type them here."""
    anchor = _anchor(session)
    return tuple(Path(os.path.relpath(anchor / path)).as_posix() for path in paths)


def _anchor(session: "Session") -> Path:
    """Return the folder of `reconciler.yaml`, else the repository's root, else the current one."""
    from reconciler.config.files import git_root

    found = session.settings().folder or git_root(Path.cwd()) or Path.cwd()
    return Path(os.path.realpath(found))


def _moved(found: "Iterable[Finding]") -> "Iterator[Finding]":
    from reconciler.config.files import git_root

    cwd = Path(os.path.realpath(Path.cwd()))
    root = git_root(cwd)
    for one in found:
        if root is None or one.source is None or not one.source.file:
            yield one
            continue
        path = Path(os.path.normpath(cwd / one.source.file))
        inside = path.relative_to(root).as_posix() if path.is_relative_to(root) else None
        yield replace(one, source=replace(one.source, file=inside)) if inside else one
