"""Name the journal of a run, and find the newest ones of a target.

The name says the target, so that the journals of a large fleet are not all read for each target.
"""

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(".reconciler", "runs")


def name_journal(folder: Path, stamp: str, target: str) -> Path:
    """Return `.reconciler/runs/<time>-<target>.jsonl` below the configuration's folder."""
    return folder / _FOLDER / f"{stamp}-{target}.jsonl"


def list_journals(folder: Path, target: str, most: int) -> list[Path]:
    """Return the newest journals that may be of a target, the oldest first.

    Older versions did not write the target into the name: their journals may be of any target.
    """
    try:
        paths = sorted((folder / _FOLDER).glob("*.jsonl"))
    except OSError:
        return []
    return [path for path in paths if _may_be_of(path.stem, target)][-most:]


def _may_be_of(stem: str, target: str) -> bool:
    """Return whether a name is that of a target, also with a number that makes it unique."""
    _, _, name = stem.partition("-")
    before, _, number = name.rpartition("-")
    return name == target or (number.isdecimal() and before in {"", target}) or not name
