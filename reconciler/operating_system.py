"""What the program needs from the operating system beyond Python's portable functions.

All that exists on POSIX only is used here and nowhere else, with what takes its place on Windows:
opening files relative to an open folder, without following links; signals; process groups; limits
on the processor time and the memory of a process.
"""

import os
import signal
import stat
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final, Self

if TYPE_CHECKING:  # --help does not need them
    from pathlib import Path
    from subprocess import Popen
    from types import TracebackType

# Flags of os.open. A flag that the system does not have is 0 and changes nothing.
NO_FOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT: Final[int] = getattr(os, "O_NONBLOCK", 0)
CLOSE_ON_EXEC: Final[int] = getattr(os, "O_CLOEXEC", 0)
BINARY: Final[int] = getattr(os, "O_BINARY", 0)
_DIRECTORY: Final[int] = getattr(os, "O_DIRECTORY", 0)

READ_ONLY: Final = os.O_RDONLY | NO_WAIT | CLOSE_ON_EXEC | BINARY
_FOLDER: Final = os.O_RDONLY | _DIRECTORY | NO_FOLLOW | CLOSE_ON_EXEC

STOP_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

HAS_TIMER: Final = hasattr(signal, "setitimer")
"""Whether a process can be ended after some processor time, as `limit_processor_time` does."""

_OPENS_RELATIVELY: Final = os.open in os.supports_dir_fd and os.scandir in os.supports_fd


def kill_group(process: "Popen[bytes]") -> None:
    """Kill a process that leads its own session, and all its children.

    On Windows only the process itself: its children end when they find their pipes closed.
    """
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def limit_processor_time(seconds: float) -> None:
    """End this process once it has used so much more processor time; 0 lifts the limit.

    The kernel ends it, even inside a C function. On Windows this has no effect: the parent has to
    end the process.
    """
    if HAS_TIMER:
        signal.setitimer(signal.ITIMER_PROF, seconds)


def has_exceeded_processor_time(code: int | None) -> bool:
    """Return whether a process with this exit code was ended by `limit_processor_time`."""
    return HAS_TIMER and code == -signal.SIGPROF


def limit_memory(size: int) -> None:
    """Let this process have so many bytes of memory and no more, where the system can do that."""
    with suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415  POSIX only

        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def sync_folder(folder: "Path") -> None:
    """Write the entries of a folder to the disk, where a folder can be opened."""
    with suppress(PermissionError):  # Windows does not open folders
        handle = os.open(folder, os.O_RDONLY | _DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class OpenFolder:
    """A folder below a root, opened so that no link on the way to it is followed.

    Where files cannot be opened relative to a folder (Windows), the folder is known by its path.
    Each file is then checked after it was opened: it must be the one that the path names, and no
    link may be part of that path.
    """

    def __init__(self, root: "Path", real: "Path") -> None:
        self._path = real
        self._fd = _open_inside(root, real) if _OPENS_RELATIVELY else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        if self._fd is not None:
            os.close(self._fd)

    def list_entries(self) -> list[tuple[str, bool, bool]]:
        """Return name, whether it is a link, and whether it is a folder, of each entry; sorted."""
        with os.scandir(self._path if self._fd is None else self._fd) as listing:
            return sorted(
                (entry.name, entry.is_symlink(), entry.is_dir(follow_symlinks=False))
                for entry in listing
            )

    def open_file(self, name: str) -> int:
        """Return a descriptor of a file in this folder; OSError if it is a link."""
        if self._fd is not None:
            return os.open(name, READ_ONLY | NO_FOLLOW, dir_fd=self._fd)
        return _open_checked(self._path / name)


def open_file_inside(root: "Path", real: "Path") -> int:
    """Return a descriptor of a file below a root, opened without following any link."""
    with OpenFolder(root, real.parent) as folder:
        return folder.open_file(real.name)


def _open_inside(root: "Path", real: "Path") -> int:
    """Open a folder below `root` step by step."""
    fd = os.open(root, _FOLDER)
    for part in real.relative_to(root).parts:
        try:
            deeper = os.open(part, _FOLDER, dir_fd=fd)
        finally:
            os.close(fd)
        fd = deeper
    return fd


def _open_checked(path: "Path") -> int:
    """Open a file, then check that its path leads to it without a link."""
    fd = os.open(path, READ_ONLY)
    try:
        named = path.lstat()
        if stat.S_ISLNK(named.st_mode) or not os.path.samestat(named, os.fstat(fd)):
            raise PermissionError(0, "it was replaced by a link", str(path))
        if os.path.realpath(path) != str(path):
            raise PermissionError(0, "a link is part of its path", str(path))
    except OSError:
        os.close(fd)
        raise
    return fd


def try_lock_file(path: "Path") -> IO[bytes] | None:
    """Open a file and lock it until it is closed; None if another process holds the lock.

    Also None where files cannot be locked in this way (Windows).
    """
    try:
        import fcntl  # noqa: PLC0415  POSIX only
    except ImportError:
        return None
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
