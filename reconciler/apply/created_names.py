"""The names that PostHog gave to new objects instead of the requested ones, kept for later runs.

A create that was answered with another name must not be sent again: every run would make one
more. Where the name cannot be predicted, this file beside the journals knows of it.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from reconciler.model import Address
from reconciler.operating_system import BINARY, NO_FOLLOW

FILE: Final = "misnamed.jsonl"
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_FOLLOW | BINARY
_MOST: Final = 1024 * 1024  # bytes that are read: no run makes so many


def remember(folder: Path, address: Address, name: str) -> None:
    """Append that a create of `address` made an object called `name`, and see it on the disk.

    A file that cannot be written changes nothing about the run: its outcome says the same.
    """
    line = json.dumps({"address": str(address), "made": name}) + "\n"
    with suppress(OSError):
        file = os.open(folder / FILE, _FLAGS, 0o600)
        try:
            os.write(file, line.encode())
            os.fsync(file)
        finally:
            os.close(file)


def recall(folder: Path) -> Mapping[Address, frozenset[str]]:
    """Return the names under which creates of an address ended before."""
    names: dict[Address, frozenset[str]] = {}
    try:
        with (folder / FILE).open("rb") as file:
            lines = file.read(_MOST).splitlines()
    except OSError:
        return names
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            address = Address.parse(str(row["address"]))
            names[address] = names.get(address, frozenset()) | {str(row["made"])}
    return names
