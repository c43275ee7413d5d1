"""Read from the journals of earlier runs which commits they applied, and what they created.

They are optional: a build has none, and relies on git.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from reconciler.files.journal_files import list_journals
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later
from reconciler.model import Action, Address, Result

_RUNS: Final = 200  # journals, the newest
_LARGEST: Final = 32 * 1024 * 1024  # bytes of a journal that is read
_REFUSALS: Final = frozenset({400, 401, 402, 403, 404, 409})  # nothing was written
_COMMIT: Final = compile_later(r"(?:[0-9a-f]{40}|[0-9a-f]{64})")
_CHANGED: Final = frozenset({Result.DONE, Result.WAITING, Result.FAILED})


@dataclass(frozen=True)
class JournalledRun:
    """A run of this folder.

    Attributes:
        path: its journal.
        commit: the commit that it applied; None if the journal does not say so.
        base: the commit that was applied before it, if one was known.

    """

    path: Path
    commit: str | None
    base: str | None

    @cached_property
    def touched(self) -> frozenset[Address]:
        """Return what the run changed, or may have changed."""
        written = (row for row in self._rows if row.get("event") == "write")
        ended = (
            row
            for row in self._rows
            if row.get("event") == "outcome"
            and (row.get("outcome") in _CHANGED or row.get("written"))
        )
        return frozenset(_read_addresses(written)) | frozenset(_read_addresses(ended))

    @cached_property
    def ended(self) -> frozenset[Address]:
        """Return the addresses for which the run has an outcome."""
        return frozenset(
            _read_addresses(row for row in self._rows if row.get("event") == "outcome")
        )

    @cached_property
    def created(self) -> frozenset[Address]:
        """Return what the run created, or filed a change request to create."""
        return frozenset(_read_addresses(row for row in self._rows if _has_created(row)))

    @cached_property
    def unanswered(self) -> frozenset[Address]:
        """Return what the run may have created: PostHog did not refuse it."""
        sent = (row for row in self._rows if row.get("event") == "write" and _is_create(row))
        answered = (row for row in self._rows if _is_refused(row))
        return frozenset(_read_addresses(sent)) - frozenset(_read_addresses(answered))

    @cached_property
    def _rows(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(_read_rows(self.path))


def read_runs(folder: Path, target: str, host: str) -> list[JournalledRun]:
    """Return the runs of a target that were journalled below a folder, the oldest first.

    A run against another host says nothing about this one.
    """
    runs = []
    for path in list_journals(folder, target, _RUNS):
        begin = next(_read_rows(path, first=True), {})
        if begin.get("event") == "begin" and (begin.get("target"), begin.get("host")) == (
            target,
            host,
        ):
            commit, base = _read_commit(begin, "commit"), _read_commit(begin, "base")
            runs.append(JournalledRun(path, commit, base))
    return runs


def _read_commit(begin: Mapping[str, Any], name: str) -> str | None:
    """Return the full id of a commit; None if the journal does not have it."""
    commit = begin.get(name)
    return commit if isinstance(commit, str) and _COMMIT.fullmatch(commit) else None


def _read_rows(path: Path, *, first: bool = False) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a journal, or its first line; what cannot be read is left out."""
    try:
        with path.open("rb") as file:
            data = file.readline(_LARGEST) if first else file.read(_LARGEST)
    except OSError:
        return
    for line in data.splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # cut short by a kill
            continue
        if isinstance(row, dict):
            yield row


def _has_created(row: Mapping[str, Any]) -> bool:
    """Return whether a line says that an object was created, or will be once it is approved."""
    if row.get("event") == "outcome":
        return row.get("action") == Action.CREATE and row.get("outcome") == Result.DONE
    is_done = row.get("status") == "ok" or "change_request" in row
    return row.get("event") == "answer" and is_done and _is_create(row)


def _is_refused(row: Mapping[str, Any]) -> bool:
    """Return whether a line says that PostHog refused to create an object."""
    is_refusal = row.get("status") in _REFUSALS
    return row.get("event") == "answer" and is_refusal and _is_create(row)


def _is_create(row: Mapping[str, Any]) -> bool:
    """Return whether a line is about the call that makes an object."""
    kind = KINDS.get(str(row.get("address") or "").partition("/")[0])
    if row.get("method") != "POST" or kind is None:
        return False
    return str(row.get("path")).endswith(f"/{kind.collection.rstrip('/').rpartition('/')[2]}/")


def _read_addresses(rows: Iterator[Mapping[str, Any]]) -> Iterator[Address]:
    for row in rows:
        try:
            yield Address.parse(str(row.get("address")))
        except ValueError:
            continue
