"""Would our own loader take what is about to be written? Asked before anything is on disk."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from reconciler.config import loader
from reconciler.config.files import Entry
from reconciler.errors import ConfigError
from reconciler.model import Address, Severity

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


def refused(documents: Mapping[Address, str]) -> dict[Address, tuple[str, str]]:
    """Documents that the loader refuses, each with the reason and what to do about it."""
    found: dict[Address, tuple[str, str]] = {}
    while True:
        left = {address: text for address, text in documents.items() if address not in found}
        new = _round(left)
        if not new:
            return found
        found.update(new)


def _round(documents: Mapping[Address, str]) -> dict[Address, tuple[str, str]]:
    texts: dict[str, list[str]] = {}
    lines: dict[str, list[tuple[int, Address]]] = {}
    for number, (address, text) in enumerate(documents.items()):
        name = f"{number // _PER_FILE}-{_FILE}"
        rows = lines.setdefault(name, [])
        first = rows[-1][0] + texts[name][-1].count("\n") + 1 if rows else 1
        texts.setdefault(name, []).append(text)
        rows.append((first, address))
    tree = _Memory({name: "---\n".join(found).encode() for name, found in texts.items()})
    try:
        loader.load((Path(),), tree=tree)
    except ConfigError as error:
        found: dict[Address, tuple[str, str]] = {}
        for finding in error.findings:
            if finding.severity is Severity.ERROR and finding.source is not None:
                rows = lines[finding.source.file]
                address = [one for line, one in rows if line <= finding.source.line][-1]
                found.setdefault(address, (finding.message, finding.fix))
        if not found:
            raise
        return found
    return {}
