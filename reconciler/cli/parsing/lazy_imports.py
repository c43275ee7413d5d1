"""Load modules of the program when they are first used, so that `--help` starts quickly.

A command imports all that it needs to run. Its help needs only its options: with this, what is
imported as a module (`from reconciler.operations import inputs`) is read when a name of it is used.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Final

_PROGRAM: Final = "reconciler."


class _LazyFinder:
    """Finds the modules of the program as usual, and puts their execution off."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of the program, with a loader that waits; else None."""
        if not name.startswith(_PROGRAM):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def begin() -> None:
    """Load lazily from here on, to the end of the process. Not for commands that use threads."""
    sys.meta_path.insert(0, _LazyFinder)
