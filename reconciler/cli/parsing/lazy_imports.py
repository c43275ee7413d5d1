"""Load modules when they are first used, so that the program starts quickly.

A command puts off some modules of the standard library that few runs use, and that libraries
import too. Of the program it imports all that it needs to run. Its help needs only its options:
with `begin`, what is imported as a module (`from reconciler.operations import inputs`) is read when
a name of it is used.
"""

import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader, find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any, Final

# What these import may import none of them, or two threads could wait for each other for ever.
LIBRARY: Final = ("difflib", "shutil", "tempfile", "traceback", "zoneinfo")
_PROGRAM: Final = "reconciler."
_LOCK: Final = RLock()
_running: Final[set[str]] = set()


class _Deferred(ModuleType):
    """A module that runs when a name of it is needed: once, whichever thread needs it first."""

    def __getattr__(self, name: str) -> Any:
        with _LOCK:
            if self.__name__ in _running:  # it asks for a name before it has set it
                raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
            if type(self) is _Deferred:  # else another thread was quicker
                self._run()
        return getattr(self, name)

    def _run(self) -> None:
        _running.add(self.__name__)
        try:
            self.__spec__.loader.exec_module(self)  # type: ignore[union-attr]  # `defer` checks it
        finally:
            _running.discard(self.__name__)
        self.__class__ = ModuleType  # type: ignore[assignment]  # an ordinary module from here on


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


def defer(names: Iterable[str] = LIBRARY) -> None:
    """Put off modules of no package until a name is needed. Safe for commands that use threads."""
    for name in names:
        spec = find_spec(name) if name not in sys.modules else None
        if spec is None or spec.loader is None:
            continue
        module = module_from_spec(spec)
        module.__class__ = _Deferred
        sys.modules[name] = module


def begin() -> None:
    """Load lazily from here on, to the end of the process. Not for commands that use threads."""
    sys.meta_path.insert(0, _LazyFinder)
