"""Make data classes whose `__init__` is compiled when the first object is made.

`dataclasses.dataclass` compiles up to eight methods of each class while its module is imported:
a third of the time of a short command, and most of them are never called. What it promises holds
here as well, and the type checker sees the decorator of the standard library.
"""

import dataclasses
import operator
from collections.abc import Callable
from types import MemberDescriptorType
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
            "__init__": _build_init(cls, frozen=frozen),
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


def _build_init(cls: Any, *, frozen: bool) -> Callable[..., None]:
    """Return an `__init__` that, the first time, puts the real one in its place."""

    def initialize(self: Any, *args: Any, **values: Any) -> None:
        cls.__init__ = _compile_init(cls, frozen=frozen)
        cls.__init__(self, *args, **values)

    return initialize


def _compile_init(cls: Any, *, frozen: bool) -> Any:
    """Return a function that takes the fields of a class as arguments and sets them."""
    scope: dict[str, Any] = {"__MISSING": dataclasses.MISSING}  # what the text below refers to
    positional, named, body = ["self"], ["*"], []
    for field in dataclasses.fields(cls):
        parameter, value = _write_value(field, scope)
        if parameter:
            (named if field.kw_only else positional).append(parameter)
        if value:
            body.append(_write_assignment(cls, field.name, value, scope, frozen=frozen))
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join(positional + (named if len(named) > 1 else []))
    lines = (f"def __init__({parameters}):", *(body or ["pass"]))
    exec("\n ".join(lines), scope)  # noqa: S102  the only names are those of the class itself
    scope["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return scope["__init__"]


def _write_value(field: "dataclasses.Field[Any]", scope: dict[str, Any]) -> tuple[str, str]:
    """Return the parameter of a field, and the expression of its value; "" for none."""
    name = field.name
    if field.default_factory is not dataclasses.MISSING:
        scope[f"__make_{name}"] = field.default_factory
        if not field.init:
            return "", f"__make_{name}()"
        return f"{name}=__MISSING", f"__make_{name}() if {name} is __MISSING else {name}"
    if field.default is dataclasses.MISSING:
        return (name, name) if field.init else ("", "")
    scope[f"__default_{name}"] = field.default
    return (f"{name}=__default_{name}", name) if field.init else ("", f"__default_{name}")


def _write_assignment(
    cls: Any, name: str, value: str, scope: dict[str, Any], *, frozen: bool
) -> str:
    """Return the statement that sets a field; frozen objects refuse an ordinary assignment."""
    if not frozen:
        return f"self.{name} = {value}"
    slot = getattr(cls, name, None)
    if not isinstance(slot, MemberDescriptorType):
        return f"self.__dict__[{name!r}] = {value}"
    scope[f"__set_{name}"] = slot.__set__
    return f"__set_{name}(self, {value})"


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
