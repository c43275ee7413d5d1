"""Would our own loader take what is about to be written? Asked before anything is on disk."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from reconciler.config import loader, writer_yaml
from reconciler.config.files import Entry
from reconciler.errors import ConfigError
from reconciler.kinds import KINDS
from reconciler.model import Address, Severity

_THERE: Final = "there.yaml"
_FILE: Final = "pulled.yaml"
_PER_FILE: Final = 2_000  # documents, so that no limit on files or sizes is met


@dataclass(frozen=True, slots=True)
class _Memory:
    """Texts as the loader sees files."""

    texts: Mapping[str, bytes]
    origin: str = field(default="memory", init=False)
    may_lack_paths: bool = field(default=True, init=False)

    def display(self, path: Path) -> str:
        return path.as_posix()

    def walk(self, path: Path, skip: Collection[Path] = ()) -> Iterator[Entry]:
        del path, skip
        for name, data in self.texts.items():
            yield name, partial(bytes, data)


def refused(
    documents: Mapping[Address, str], known: Iterable[Address] = ()
) -> dict[Address, tuple[str, str]]:
    """Documents that the loader refuses, each with the reason and what to do about it.

    `known` is declared already: a name may be refused because it looks like one of those.
    """
    found: dict[Address, tuple[str, str]] = {}
    odd = any(not address.name.isascii() for address in documents)  # else only odd ones look alike
    alike = (one for one in known if odd or not one.name.isascii())
    there = "---\n".join(map(_named, alike)) if documents else ""
    while True:
        left = {address: text for address, text in documents.items() if address not in found}
        new = _round(left, there)
        if not new:
            return found
        found.update(new)


def _named(address: Address) -> str:
    """The least document of an address: what is in it has been read before."""
    key = KINDS[address.kind].key
    names = {"organization": address.organization, "project": address.project, key: address.name}
    metadata = {name: value for name, value in names.items() if value is not None}
    return writer_yaml.document({"kind": address.kind, "metadata": metadata})


def _round(documents: Mapping[Address, str], there: str) -> dict[Address, tuple[str, str]]:
    texts: dict[str, list[str]] = {}
    lines: dict[str, list[tuple[int, Address]]] = {}
    for number, (address, text) in enumerate(documents.items()):
        name = f"{number // _PER_FILE}-{_FILE}"
        rows = lines.setdefault(name, [])
        first = rows[-1][0] + texts[name][-1].count("\n") + 1 if rows else 1
        texts.setdefault(name, []).append(text)
        rows.append((first, address))
    fresh = {name: "---\n".join(found).encode() for name, found in texts.items()}
    tree = _Memory({_THERE: there.encode(), **fresh} if there and fresh else fresh)
    try:
        loader.load((Path(),), tree=tree)
    except ConfigError as error:
        found: dict[Address, tuple[str, str]] = {}
        for finding in error.findings:
            if finding.severity is Severity.ERROR and finding.source is not None:
                if finding.source.file == _THERE:
                    continue  # said by `validate`
                rows = lines[finding.source.file]
                address = [one for line, one in rows if line <= finding.source.line][-1]
                found.setdefault(address, (finding.message, finding.fix))
        if not found and not there:
            raise
        return found
    return {}
