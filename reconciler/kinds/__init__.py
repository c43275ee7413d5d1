"""Every module in here is a kind. They are found, not listed; none knows another."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from reconciler.model import Address, Kind


def _find() -> Mapping[str, Kind]:
    found: list[Kind] = [
        import_module(f"{__name__}.{module.name}").KIND for module in iter_modules(__path__)
    ]
    found.sort(key=lambda kind: kind.rank)
    return MappingProxyType({kind.name: kind for kind in found})


READ: Mapping[str, Kind] = _find()
"""Every kind that is read, by name, in the order of their rank: also what files only name."""

KINDS: Mapping[str, Kind] = MappingProxyType({n: kind for n, kind in READ.items() if kind.declared})
"""The kinds that files declare."""


def fold(address: Address) -> Address:
    """The address by which its kind compares names; an unknown kind compares them as they are."""
    kind = KINDS.get(address.kind)
    if kind is None or not kind.folds_case:
        return address
    return Address(address.kind, (*address.parts[:-1], address.name.casefold()))
