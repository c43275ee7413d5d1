"""Check that our own loader accepts new documents, before anything is written to disk."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from reconciler.config import loader
from reconciler.config.edit import emitter
from reconciler.errors import ConfigError
from reconciler.files.working_tree import Entry
from reconciler.kinds import KINDS
from reconciler.model import Address, Severity

_THERE: Final = "there.yaml"
_FILE: Final = "pulled.yaml"
_FIELD: Final = re.compile(r"  (\w+):", re.ASCII)
_OF_CONDITIONS: Final = frozenset({"R012", "R015"})  # names that look alike, and cycles
_PER_FILE: Final = 2_000  # documents, so that no limit on files or sizes is met


@dataclass(frozen=True, slots=True)
class _MemoryTree:
    """Texts in memory that the loader reads as files."""

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
    """Why the loader refuses a document, what to do about it, and the field that it is about."""

    reason: str
    fix: str
    field: str = ""  # of the spec; empty if it is the document as a whole


def find_refusals(
    documents: Mapping[Address, str], known: Iterable[Address] = ()
) -> dict[Address, LoaderRefusal]:
    """Return documents that the loader refuses, each with the reason and what to do about it.

    `known` is declared already: a name may be refused because it looks like one of those.
    """
    refusals: dict[Address, LoaderRefusal] = {}
    has_unicode = any(
        not address.name.isascii() for address in documents
    )  # else only odd ones look alike
    similar = (one for one in known if has_unicode or not one.name.isascii())
    stubs = "---\n".join(map(_format_stub, similar)) if documents else ""
    while True:
        pending = {address: text for address, text in documents.items() if address not in refusals}
        new = _load_documents(pending, stubs)
        if not new:
            return refusals
        refusals.update(new)


def _format_stub(address: Address) -> str:
    """Return the smallest document of an address: its contents were checked before."""
    key = KINDS[address.kind].key
    names = {"organization": address.organization, "project": address.project, key: address.name}
    metadata = {name: value for name, value in names.items() if value is not None}
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


def _load_documents(documents: Mapping[Address, str], stubs: str) -> dict[Address, LoaderRefusal]:
    texts: dict[str, list[str]] = {}
    lines: dict[str, list[tuple[int, Address]]] = {}
    for number, (address, text) in enumerate(documents.items()):
        name = f"{number // _PER_FILE}-{_FILE}"
        rows = lines.setdefault(name, [])
        first = rows[-1][0] + texts[name][-1].count("\n") + 1 if rows else 1
        texts.setdefault(name, []).append(text)
        rows.append((first, address))
    new_files = {name: "---\n".join(refusals).encode() for name, refusals in texts.items()}
    tree = _MemoryTree({_THERE: stubs.encode(), **new_files} if stubs and new_files else new_files)
    try:
        loader.load_files((Path(),), tree=tree)
    except ConfigError as error:
        refusals: dict[Address, LoaderRefusal] = {}
        for finding in error.findings:
            if finding.severity is Severity.ERROR and finding.source is not None:
                if finding.source.file == _THERE:
                    continue  # reported by `validate`
                rows = lines[finding.source.file]
                begin, address = [row for row in rows if row[0] <= finding.source.line][-1]
                name = ""
                if finding.code in _OF_CONDITIONS:
                    name = _find_field(documents[address], finding.source.line - begin + 1)
                refusals.setdefault(address, LoaderRefusal(finding.message, finding.fix, name))
        if not refusals and not stubs:
            raise
        return refusals
    return {}
