"""YAML files become documents of values that know where they stand.

What is written as most people write it is read by `quick_reader`, all else by `yaml_events`; both
give the same values. Scalars follow the core schema of YAML 1.2, except that digits with a leading
zero, `_` or `:` are never numbers.
"""

from collections.abc import Sequence
from functools import partial

from reconciler.config import quick_reader
from reconciler.config.text import Refused, check, decode
from reconciler.model import Finding
from reconciler.source import Document, Places, Row


def read(data: bytes, file: str, findings: list[Finding]) -> list[Document]:
    """Read every document of a file that is not empty; what is wrong goes to `findings`.

    Never raises for any content. After an error the list may be shorter than the file.
    """
    try:
        text = decode(data, file)
        check(text, file, findings)
    except Refused as stop:
        findings.append(stop.finding)
        return []
    quick = quick_reader.read(text, Places(file, partial(_places, data, file)))
    if quick is not None:
        return quick
    from reconciler.config import yaml_events  # PyYAML takes a while to import

    return yaml_events.read(text, file, findings)


def _places(data: bytes, file: str) -> Sequence[Row]:
    """Places of everything in a file that `quick_reader` has read."""
    from reconciler.config import yaml_events

    return yaml_events.places(decode(data, file), file)
