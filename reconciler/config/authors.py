"""Who wrote a document: the authors of the commits that changed its lines. By git, offline."""

import os
import re
from pathlib import Path
from typing import Final

from reconciler.config import git, git_process

_FORMAT: Final = "%aE%n%(trailers:key=Co-authored-by,valueonly)"
_ADDRESS: Final = re.compile(r"<([^<>\s]+@[^<>\s]+)>")
_END: Final = 10_000_000  # git stops at the end of the file


def of_lines(
    file: str | Path, first: int, last: int | None, *, since: str | None, cwd: Path
) -> tuple[str, ...]:
    """Email addresses of who changed these lines after a commit, co-authors included.

    Without a commit: of who changed them last. `.mailmap` counts, so that people may say which
    addresses are theirs. Nothing outside git, and nothing for lines that are in no commit yet.
    """
    path = Path(os.path.abspath(cwd / file))  # noqa: PTH100  links stay as they are
    root = git.root(path)
    if root is None:
        return ()
    inside = os.path.relpath(path, root)
    lines = f"-L{first},{last or _END}:{Path(inside).as_posix()}"
    span = [f"{since}..HEAD"] if since is not None else ["-1", "HEAD"]
    done = git_process.run(["log", "--no-patch", lines, f"--format={_FORMAT}", *span], root)
    if done.returncode != 0:  # the lines have moved in the working tree: all of the file
        asked = ["log", f"--format={_FORMAT}", *span, "--", str(path)]
        done = git_process.run(asked, root)
    found: list[str] = []
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        text = line.strip()
        named = _ADDRESS.findall(text)
        found += named or ([text] if "@" in text and " " not in text else [])
    return tuple(dict.fromkeys(found))
