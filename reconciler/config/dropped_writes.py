"""Read from the journals of earlier runs which fields PostHog did not keep.

Planning works without it: then the same write is tried once more.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final

from reconciler.config.loaded import Loaded
from reconciler.files.journal_files import list_journals
from reconciler.kinds import KINDS

EVENT: Final = "not_kept"
_RUNS: Final = 50  # journals, the newest
_LARGEST: Final = 32 * 1024 * 1024  # bytes of a journal that is read

DroppedValues = Mapping[
    tuple[str, str], tuple[Any, Any]
]  # address, field -> value, version of the object


def has_droppable_fields(loaded: Loaded) -> bool:
    """Return whether any document contains a field that PostHog may drop silently."""
    fields = {name: kind.droppable for name, kind in KINDS.items() if kind.droppable}
    templates = (template.resource for template in loaded.templates)
    return any(
        name in resource.spec
        for resource in chain(loaded.declared.resources.values(), templates)
        for name in fields.get(resource.address.kind, ())
    )


def read_journals(folder: Path, target: str) -> DroppedValues:
    """Return the dropped fields in the newest journals of a target; later runs win."""
    dropped: dict[tuple[str, str], tuple[Any, Any]] = {}
    for path in list_journals(folder, target, _RUNS):
        for row in _read_rows(path, target):
            dropped[str(row.get("address")), str(row.get("field"))] = (
                row.get("value"),
                row.get("version"),
            )
    return dropped


def _read_rows(path: Path, target: str) -> Iterator[Mapping[str, Any]]:
    try:
        data = path.read_bytes() if path.stat().st_size <= _LARGEST else b""
    except OSError:
        return
    lines = data.splitlines() if EVENT.encode() in data else ()
    for line in lines:
        if b'"begin"' not in line and EVENT.encode() not in line:
            continue
        try:
            row = json.loads(line)
        except ValueError:  # cut short by a kill
            continue
        if row.get("event") == "begin" and row.get("target") != target:
            return
        if row.get("event") == EVENT:
            yield row
