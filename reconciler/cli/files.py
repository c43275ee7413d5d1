"""Writing a result file: whole or not at all, readable by its owner only."""

import os
import tempfile
from pathlib import Path

from reconciler.errors import ReconcilerError


def write_private(name: str, text: str) -> None:
    """Write through a temporary file and a rename; raises ReconcilerError, leaves no half file."""
    path = Path(name)
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise ReconcilerError(
            f"{path} cannot be written",
            why=error.strerror or str(error),
            fix="choose a folder that exists and is writable",
        ) from error
