"""What one file may hold at most: the limits that both readers of YAML keep."""

from typing import Final

MAX_DEPTH: Final = 64
MAX_NODES: Final = 500_000
MAX_KEYS: Final = 100_000  # of one mapping
MAX_DOCUMENTS: Final = 100_000
MAX_ALIASES: Final = 100
MAX_ALIASED_NODES: Final = 100_000
MAX_FINDINGS: Final = 100

MAX_KNOWN_KEYS: Final = 10_000  # keys of all files are kept once, so many of them
MAX_KNOWN_KEY: Final = 100
