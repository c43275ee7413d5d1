"""Paths as code hosts and saved plans name them, whatever the current directory is."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from reconciler.files.run_folder import find_run_folder
from reconciler.files.working_tree import find_git_root
from reconciler.model import Finding


def locate_from_root(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings with paths from the root of the repository, as code hosts name them.

    Outside git, and for files outside of the repository, paths stay as they are.
    """
    return tuple(_locate(findings))


def find_current_folder() -> str:
    """Return the current folder from the root of the repository; "" there, and outside git."""
    cwd = Path(os.path.realpath(find_run_folder()))
    root = find_git_root(cwd)
    return "" if root is None or root == cwd else cwd.relative_to(root).as_posix()


def anchor_paths(settings_folder: Path | None, paths: Iterable[str]) -> tuple[str, ...]:
    """Return paths of a command line as a saved plan names them, whatever the current folder is."""
    anchor, cwd = _find_anchor(settings_folder), find_run_folder()
    return tuple(Path(os.path.relpath(cwd / path, anchor)).as_posix() for path in paths)


def localize_paths(settings_folder: Path | None, paths: Iterable[str]) -> tuple[str, ...]:
    """Return paths of a saved plan as a user would type them in the current folder."""
    anchor, cwd = _find_anchor(settings_folder), find_run_folder()
    return tuple(Path(os.path.relpath(anchor / path, cwd)).as_posix() for path in paths)


def _find_anchor(settings_folder: Path | None) -> Path:
    """Return the folder of `reconciler.yaml`, else the repository's root, else the current one."""
    anchor = settings_folder or find_git_root(find_run_folder()) or find_run_folder()
    return Path(os.path.realpath(anchor))


def _locate(findings: Iterable[Finding]) -> Iterator[Finding]:
    cwd = Path(os.path.realpath(find_run_folder()))
    root = find_git_root(cwd)
    for finding in findings:
        if root is None or finding.source is None or not finding.source.file:
            yield finding
            continue
        path = Path(os.path.normpath(cwd / finding.source.file))
        if path.is_relative_to(root):
            file = path.relative_to(root).as_posix()
            yield replace(finding, source=replace(finding.source, file=file))
        else:
            yield finding
