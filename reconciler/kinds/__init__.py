"""Hold one module per kind. They are discovered, not listed; no kind knows another."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from reconciler.model import Address, Kind


def _discover() -> Mapping[str, Kind]:
    kinds: list[Kind] = [
        import_module(f"{__name__}.{module.name}").KIND for module in iter_modules(__path__)
    ]
    kinds.sort(key=lambda kind: kind.rank)
    return MappingProxyType({kind.name: kind for kind in kinds})


READ: Mapping[str, Kind] = _discover()
"""Every kind that is read, by name, in the order of rank: also kinds that files only name."""

KINDS: Mapping[str, Kind] = MappingProxyType({n: kind for n, kind in READ.items() if kind.declared})
"""The kinds that files declare."""

FOLDING = frozenset(name for name, kind in KINDS.items() if kind.folds_case)
"""Those of them that compare names without case."""


def fold_name(address: Address) -> Address:
    """Return the address in the form in which its kind compares names."""
    if address.kind not in FOLDING:
        return address
    return Address(address.kind, (*address.parts[:-1], address.name.casefold()))


def find_project(address: Address) -> str | None:
    """Return the name of the project that an address is, or is a part of, or is in."""
    if "Project" in {address.kind, READ[address.kind].part_of}:
        return address.name
    return address.project
