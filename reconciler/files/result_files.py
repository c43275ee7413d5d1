"""Write result files, whole or not at all, readable by their owner only; and read them back."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from reconciler.errors import ReconcilerError, explain_refusal
from reconciler.files.working_tree import check_output
from reconciler.operating_system import READ_ONLY, sync_folder


def check_place(name: str) -> None:
    """Refuse a place where no file of ours may go, before there is anything to write to it.

    Only a regular file is ever replaced: no folder, no device, and no link that somebody planted.
    """
    path = Path(name)
    try:
        check_output(path)
        mode = path.lstat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise _refused(path, f"the folder {path.parent} does not exist") from None
        return
    except (OSError, ValueError) as error:
        raise _refused(path, explain_refusal(error)) from error
    if stat.S_ISLNK(mode):
        raise _refused(path, "it is a link, and links are not followed")
    if stat.S_ISDIR(mode):
        raise _refused(path, "it is a folder")
    if not stat.S_ISREG(mode):
        raise _refused(path, "it is not a regular file")


def write_private(name: str, text: str) -> None:
    """Write through a temporary file and a rename; raises ReconcilerError, leaves no half file."""
    write_lines(name, (text,))


def write_lines(name: str, lines: Iterable[str]) -> int:
    """Write what comes piece by piece; return how many pieces there were.

    An error while the pieces are made leaves no file either.
    """
    check_place(name)
    path, count = Path(name), 0
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=".reconciler-", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            for line in lines:
                file.write(line)
                count += 1
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)  # replaces a link, never its target
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        raise _refused(path, explain_refusal(error)) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return count


def read_whole_file(name: str, most: int) -> str:
    """Return the text of a regular file; raise OSError if it is larger, ValueError if not UTF-8."""
    data = read_result_file(name, most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, "it is too large")
    return data.decode("utf-8")


def read_result_file(name: str, most: int) -> bytes:
    """Return the first bytes of a regular file; raise OSError for others: a pipe could hang."""
    handle = os.open(name, READ_ONLY)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file")
    with os.fdopen(handle, "rb") as file:
        return file.read(most)


def _refused(path: Path, why: str) -> ReconcilerError:
    fix = "name a file in a folder that exists and is writable"
    return ReconcilerError(f"{path} cannot be written", why=why, fix=fix)
