"""The current folder of a run, which relative names and names in messages start from.

It is that of the process, unless several runs share the process and each has its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

_folder: Final[ContextVar[Path | None]] = ContextVar("run_folder", default=None)


def find_run_folder() -> Path:
    """Return the current folder of this run."""
    return _folder.get() or Path.cwd()  # noqa: TID251  the one place


@contextmanager
def run_in(folder: Path) -> Iterator[None]:
    """Make an absolute path the current folder of the run in this context."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)
