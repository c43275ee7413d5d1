"""Read YAML files: documents of values that know their position.

Simple files are read by `fast_path`, all others by `events`; both
give the same values. Scalars follow the core schema of YAML 1.2, except that digits with a leading
zero, `_` or `:` are never numbers.
"""

import zlib
from collections.abc import Sequence
from functools import partial
from typing import Final

from reconciler.config.yaml import fast_path
from reconciler.files.text import RefusedError, check_text, decode_text
from reconciler.model import Document, Finding, Places, Row

_LEVEL: Final = 1  # of compression: 1 GB/s, and a tenth is left


def read_documents(data: bytes, file: str, findings: list[Finding]) -> list[Document]:
    """Read every document of a file that is not empty; what is wrong goes to `findings`.

    Never raises for any content. After an error the list may be shorter than the file.
    """
    try:
        text = decode_text(data, file)
        check_text(text, file, findings)
    except RefusedError as stop:
        findings.append(stop.finding)
        return []
    packed = zlib.compress(data, _LEVEL)  # for positions, which hardly any file is asked for
    places = Places(file, partial(_read_places, packed, file), partial(_read_again, packed))
    quick = fast_path.read_documents(text, places)
    if quick is not None:
        return quick
    from reconciler.config.yaml import events  # noqa: PLC0415  PyYAML: most files do without

    return events.read_documents(text, file, findings)


def _read_again(packed: bytes, places: Places) -> Sequence[Document]:
    """Return the documents of a file that `fast_path` has read."""
    text = decode_text(zlib.decompress(packed), places.file)
    return fast_path.read_documents(text, places) or ()


def _read_places(packed: bytes, file: str) -> Sequence[Row]:
    """Return the positions of everything in a file that `fast_path` has read."""
    from reconciler.config.yaml import events  # noqa: PLC0415  PyYAML: most files do without

    return events.read_places(decode_text(zlib.decompress(packed), file), file)
