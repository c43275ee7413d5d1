"""Keep the texts of files compressed: hardly any is read again, and together they are large."""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Final

from reconciler.lazy_dataclass import dataclass

_LEVEL: Final = 1  # of compression: fast, and YAML shrinks to a tenth
_FORMAT: Final = -zlib.MAX_WBITS  # without a checksum, which takes a third of the time


@dataclass(frozen=True, slots=True)
class PackedText:
    """Hold the content of a file."""

    packed: bytes

    def unpack(self) -> bytes:
        """Return the content."""
        return zlib.decompress(self.packed, _FORMAT)


def pack_text(data: bytes) -> PackedText:
    """Return the content of a file in little memory."""
    return PackedText(zlib.compress(data, _LEVEL, _FORMAT))


@dataclass(frozen=True, slots=True)
class PackedTexts(Mapping[str, bytes]):
    """Map names to contents, which are unpacked whenever they are read."""

    packed: dict[str, PackedText] = field(default_factory=dict)

    def __getitem__(self, name: str) -> bytes:
        return self.packed[name].unpack()

    def __iter__(self) -> Iterator[str]:
        return iter(self.packed)

    def __len__(self) -> int:
        return len(self.packed)
