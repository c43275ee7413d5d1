"""Check the address patterns in settings and rules: of an unknown kind, they match nothing."""

from collections.abc import Iterator
from typing import Any

from reconciler.files.text import make_error
from reconciler.kinds import KINDS
from reconciler.model import Finding
from reconciler.suggest import closest_match


def check_patterns(node: Any, key: str) -> Iterator[Finding]:
    """Yield an error for each address pattern of an unknown kind: it matches nothing."""
    for index in range(len(node.get(key, ()))):
        yield from check_address_kind(node[key], index)


def check_address_kind(node: Any, key: str | int) -> Iterator[Finding]:
    """Yield an error if the address pattern at a place is of an unknown kind."""
    kind, slash, _ = node[key].partition("/")
    if "*" in kind or (slash and kind in KINDS):
        return
    match = closest_match(kind, KINDS)
    fix = f'did you mean "{match}/…"?' if match else f"one of {', '.join(KINDS)}, or `*`"
    message = f'no address begins with "{kind}{slash}"'
    yield make_error("R005", message, node.value_source(key), fix=fix, width=len(kind))
