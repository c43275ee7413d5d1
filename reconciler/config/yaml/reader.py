"""Read YAML files: documents of values that know their position.

Simple files are read by `fast_path`, all others by `events`; both
give the same values. Scalars follow the core schema of YAML 1.2, except that digits with a leading
zero, `_` or `:` are never numbers.
"""

from collections.abc import Sequence
from functools import partial

from reconciler.config.yaml import fast_path
from reconciler.files.packed_texts import PackedText, pack_text
from reconciler.files.text import RefusedError, check_text, decode_text
from reconciler.model import Document, Finding, Places, Row


def read_documents(
    data: bytes, file: str, findings: list[Finding], kept: PackedText | None = None
) -> list[Document]:
    """Read every document of a file that is not empty; what is wrong goes to `findings`.

    Never raises for any content. After an error the list may be shorter than the file. `kept` is
    the content, if it is packed already.
    """
    try:
        text = decode_text(data, file)
        check_text(text, file, findings)
    except RefusedError as stop:
        findings.append(stop.finding)
        return []
    kept = kept or pack_text(data)  # for positions, which hardly any file is asked for
    places = Places(file, partial(_read_places, kept, file), partial(_read_again, kept))
    quick = fast_path.read_documents(text, places)
    if quick is not None:
        return quick
    from reconciler.config.yaml import events  # noqa: PLC0415  PyYAML: most files do without

    return events.read_documents(text, file, findings)


def _read_again(kept: PackedText, places: Places) -> Sequence[Document]:
    """Return the documents of a file that `fast_path` has read."""
    text = decode_text(kept.unpack(), places.file)
    return fast_path.read_documents(text, places) or ()


def _read_places(kept: PackedText, file: str) -> Sequence[Row]:
    """Return the positions of everything in a file that `fast_path` has read."""
    from reconciler.config.yaml import events  # noqa: PLC0415  PyYAML: most files do without

    return events.read_places(decode_text(kept.unpack(), file), file)
