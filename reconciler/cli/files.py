"""Writing a result file: whole or not at all, readable by its owner only."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from reconciler.errors import ReconcilerError


def write_private(name: str, text: str) -> None:
    """Write through a temporary file and a rename; raises ReconcilerError, leaves no half file."""
    write_lines(name, (text,))


def write_lines(name: str, lines: Iterable[str]) -> int:
    """The same for what comes piece by piece; how many pieces there were.

    An error while the pieces are made leaves no file either.
    """
    path, count = Path(name), 0
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            for line in lines:
                file.write(line)
                count += 1
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise ReconcilerError(
            f"{path} cannot be written",
            why=error.strerror or str(error),
            fix="choose a folder that exists and is writable",
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return count
