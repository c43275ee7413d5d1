"""Check that our own loader accepts documents before they are written to disk."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Final

from reconciler.config import loader
from reconciler.config.documents.target_names import PLAIN_NAMES, TargetNames
from reconciler.config.edit import emitter
from reconciler.errors import ConfigError
from reconciler.files.working_tree import Entry
from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later
from reconciler.model import Address, Severity

_KNOWN_FILE: Final = "known.yaml"
_NEW_FILE: Final = "pulled.yaml"
_FIELD: Final = compile_later(r"  (\w+):", re.ASCII)
_FIELD_CODES: Final = frozenset({"R012", "R015"})  # findings about one field
_PER_FILE: Final = 2_000  # documents, so that no limit of the loader is reached


@dataclass(frozen=True, slots=True)
class _MemoryTree:
    """Texts in memory, as files for the loader."""

    texts: Mapping[str, bytes]
    origin: str = field(default="memory", init=False)
    may_lack_paths: bool = field(default=True, init=False)

    def show_path(self, path: Path) -> str:
        return path.as_posix()

    def walk(self, path: Path, skip: Collection[Path] = ()) -> Iterator[Entry]:
        del path, skip
        for name, data in self.texts.items():
            yield name, partial(bytes, data)


@dataclass(frozen=True, slots=True)
class LoaderRefusal:
    """The reason why the loader refuses a document, the fix, and the field that causes it."""

    reason: str
    fix: str
    field: str = ""  # of the spec; empty if the whole document is refused


def find_refusals(
    documents: Mapping[Address, str],
    known: Iterable[Address] = (),
    names: TargetNames = PLAIN_NAMES,
) -> dict[Address, LoaderRefusal]:
    """Return the documents that the loader refuses, with reason and fix.

    `known` are the declared addresses: a name may be refused because it looks like one of them.
    `names` are those of the target, by which the documents are read.
    """
    refusals: dict[Address, LoaderRefusal] = {}
    # Two names look alike only if one of them has characters outside of ASCII.
    is_any = any(not address.name.isascii() for address in documents)
    similar = (address for address in known if is_any or not address.name.isascii())
    stubs = "---\n".join(_format_stub(each, names) for each in similar) if documents else ""
    while True:
        remaining = {
            address: text for address, text in documents.items() if address not in refusals
        }
        new = _load_documents(remaining, stubs, names)
        if not new:
            return refusals
        refusals.update(new)


def _format_stub(address: Address, names: TargetNames) -> str:
    """Return a document with only an address: the rest of it was checked when it was loaded."""
    metadata = names.build_identity(KINDS[address.kind], address)
    return emitter.format_document({"kind": address.kind, "metadata": metadata})


def _find_field(document: str, line: int) -> str:
    """Return the field of the spec that a line of a written document belongs to, or ""."""
    field_name, in_spec = "", False
    for text in document.splitlines()[:line]:
        if not text.startswith(" "):
            field_name, in_spec = "", text.startswith("spec:")
        elif in_spec and (key := _FIELD.match(text)) is not None:
            field_name = key[1]
    return field_name


def _load_documents(
    documents: Mapping[Address, str], stubs: str, names: TargetNames
) -> dict[Address, LoaderRefusal]:
    """Load the documents once; return a refusal for each that has an error."""
    texts: dict[str, list[str]] = {}
    lines: dict[str, list[tuple[int, Address]]] = {}
    for number, (address, text) in enumerate(documents.items()):
        name = f"{number // _PER_FILE}-{_NEW_FILE}"
        rows = lines.setdefault(name, [])
        first = rows[-1][0] + texts[name][-1].count("\n") + 1 if rows else 1
        texts.setdefault(name, []).append(text)
        rows.append((first, address))
    fresh = {name: "---\n".join(parts).encode() for name, parts in texts.items()}
    tree = _MemoryTree({_KNOWN_FILE: stubs.encode(), **fresh} if stubs and fresh else fresh)
    try:
        loader.load_files((Path(),), names=names, tree=tree)
    except ConfigError as error:
        refusals: dict[Address, LoaderRefusal] = {}
        for finding in error.findings:
            if finding.severity is Severity.ERROR and finding.source is not None:
                if finding.source.file == _KNOWN_FILE:
                    continue  # `validate` reports it
                rows = lines[finding.source.file]
                begin, address = [row for row in rows if row[0] <= finding.source.line][-1]
                name = ""
                if finding.code in _FIELD_CODES:
                    name = _find_field(documents[address], finding.source.line - begin + 1)
                refusals.setdefault(address, LoaderRefusal(finding.message, finding.fix, name))
        if not refusals and not stubs:
            raise
        return refusals
    return {}
