"""Make data classes whose `__init__` is compiled when the first object is made.

`dataclasses.dataclass` compiles up to eight methods of each class while its module is imported:
a third of the time of a short command, and most of them are never called. What it promises holds
here as well, and the type checker sees the decorator of the standard library.
"""

import dataclasses
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

_Values = Callable[[Any], tuple[Any, ...]]


def _decorate(
    cls: type | None = None,
    /,
    *,
    frozen: bool = False,
    order: bool = False,
    slots: bool = False,
    kw_only: bool = False,
) -> Any:
    """Make a class a data class. The options mean what they mean in the standard library."""

    def decorate(cls: type) -> type:
        written = {name for name, value in cls.__dict__.items() if value is not None}
        add_fields = dataclasses.dataclass(
            init=False, repr=False, eq=False, slots=slots, kw_only=kw_only
        )
        cls = add_fields(cls)
        values = _build_reader(cls)
        methods = {
            "__init__": _build_init(cls, frozen=frozen, slots=slots),
            "__repr__": _represent,
            "__hash__": None,
            **_build_comparisons(values, order=order),
            **(_build_frozen(values) if frozen else {}),
        }
        for name, method in methods.items():
            if name not in written:
                setattr(cls, name, method)
        return cls

    return decorate if cls is None else decorate(cls)


if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = _decorate

__all__ = ["dataclass"]


def _build_init(cls: Any, *, frozen: bool, slots: bool) -> Callable[..., None]:
    """Return an `__init__` that, the first time, puts the real one in its place."""

    def initialize(self: Any, *args: Any, **values: Any) -> None:
        fields = [(field.name, field.type, field) for field in dataclasses.fields(cls)]
        calls = {"__post_init__": None} if hasattr(cls, "__post_init__") else {}
        twin: Any = dataclasses.make_dataclass(
            cls.__name__,
            fields,
            namespace=calls,
            repr=False,
            eq=False,
            frozen=frozen,
            slots=slots,
        )
        twin.__init__.__qualname__ = f"{cls.__qualname__}.__init__"
        cls.__init__ = twin.__init__
        twin.__init__(self, *args, **values)

    return initialize


def _build_reader(cls: Any) -> _Values:
    """Return a function from an object to the values that are compared."""
    names = tuple(field.name for field in dataclasses.fields(cls) if field.compare)
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _build_comparisons(values: _Values, *, order: bool) -> dict[str, Any]:
    """Return the methods that compare two objects of one class."""

    def build(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def method(self: Any, other: Any) -> Any:
            if other.__class__ is not self.__class__:
                return NotImplemented
            return compare(values(self), values(other))

        return method

    methods = {"__eq__": build(operator.eq)}
    if order:
        methods |= {"__lt__": build(operator.lt), "__le__": build(operator.le)}
        methods |= {"__gt__": build(operator.gt), "__ge__": build(operator.ge)}
    return methods


def _represent(self: Any) -> str:
    shown = (field.name for field in dataclasses.fields(self) if field.repr)
    pairs = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
    return f"{self.__class__.__qualname__}({pairs})"


def _build_frozen(values: _Values) -> dict[str, Any]:
    """Return the methods of objects that never change."""

    def refuse_value(_: Any, name: str, _value: Any) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def refuse_deletion(_: Any, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    return {
        "__hash__": lambda self: hash(values(self)),
        "__setattr__": refuse_value,
        "__delattr__": refuse_deletion,
    }
