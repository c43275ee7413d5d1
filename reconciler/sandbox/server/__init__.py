"""The server: as a process (`run`) or as a thread of this one (`background`)."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.sandbox.server.server import RunningSandbox, background, run

__all__ = ["RunningSandbox", "background", "run"]


def __getattr__(name: str) -> object:
    """Import the server when it is used: the pytest plugin beside it loads without it.

    Starlette and uvicorn come with an extra, which may not be installed.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("reconciler.sandbox.server.server"), name)
