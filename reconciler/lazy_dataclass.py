"""Make data classes of which only the slots are made while a module is imported.

`dataclasses.dataclass` compiles up to eight methods of each class then, and describes each field
by an object of thirteen attributes: a third of the time of a short command, and most of it is
never used. Here `__init__` is compiled for a class of which more than a few objects are made.
What the standard library promises holds here as well, and the type checker sees its decorator.
"""

import dataclasses
import operator
from collections.abc import Callable, Mapping
from types import GenericAlias, MemberDescriptorType, UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Final, get_origin

_UNCOMPILED: Final = 20  # objects that take as long to make as it takes to compile an `__init__`
_NO_CLASS_VAR: Final = (type, str, GenericAlias, UnionType)  # most annotations: asked first
_FEW: Final = 5  # fields for which it does not pay to change the class of an object
_Values = Callable[[Any], tuple[Any, ...]]
_Compare = Callable[[Any, Any], Any]
_Assign = Callable[[Any, str, Any], None]
_Fields = Mapping[str, "tuple[dataclasses.Field[Any] | Any, bool]"]
"""By name: what the class assigns to it (MISSING: nothing), and whether only a name sets it."""


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
        fields = _collect_fields(cls, kw_only=kw_only)
        compared, matched = _select_names(fields)
        values = _build_reader(compared)
        methods = {
            "__repr__": _represent,
            "__hash__": None,
            "__match_args__": matched,
            **_build_comparisons(values, order=order),
            **({**_FROZEN, "__hash__": lambda self: hash(values(self))} if frozen else {}),
        }
        written = cls.__dict__
        added = {name: method for name, method in methods.items() if written.get(name) is None}
        added["_lazy_fields"] = fields
        if slots:
            cls = _add_slots(cls, added, kw_only=kw_only)
        else:
            cls = _describe_fields(cls, kw_only=kw_only)
            for name, value in added.items():
                setattr(cls, name, value)
        if "__init__" not in written:
            setattr(cls, "__init__", _build_init(cls, matched, frozen=frozen))  # noqa: B010  mypy refuses to assign `__init__`
        return cls

    return decorate if cls is None else decorate(cls)


if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = _decorate

__all__ = ["dataclass"]


def _collect_fields(cls: type, *, kw_only: bool) -> _Fields:
    """Return the fields of a class, those of its bases first."""
    fields: dict[str, tuple[Any, bool]] = {}
    for base in reversed(cls.__mro__[1:]):
        fields |= base.__dict__.get("_lazy_fields", {})
    for name, annotation in cls.__annotations__.items():
        if not isinstance(annotation, _NO_CLASS_VAR) and _is_class_variable(annotation):
            continue
        assigned, is_named = cls.__dict__.get(name, dataclasses.MISSING), kw_only
        if isinstance(assigned, dataclasses.Field) and assigned.kw_only is not dataclasses.MISSING:
            is_named = assigned.kw_only
        fields[name] = assigned, is_named
    return fields


def _is_class_variable(annotation: Any) -> bool:
    return get_origin(annotation) is ClassVar


def _select_names(fields: _Fields) -> tuple[list[str], tuple[str, ...]]:
    """Return the names of the compared fields, and of those that `match` takes by place."""
    compared, matched = [], []
    for name, (assigned, is_named) in fields.items():
        is_described = isinstance(assigned, dataclasses.Field)
        if not is_described or assigned.compare:
            compared.append(name)
        if not is_named and (not is_described or assigned.init):
            matched.append(name)
    return compared, tuple(matched)


def _add_slots(cls: type, added: dict[str, Any], *, kw_only: bool) -> type:
    """Return a class like `cls`, with a slot for each field and with what is added."""
    fields, namespace = added["_lazy_fields"], dict(cls.__dict__)
    namespace.pop("__dict__", None)
    namespace.pop("__weakref__", None)
    inherited = {name for base in cls.__mro__[1:] for name in base.__dict__.get("__slots__", ())}
    added["__slots__"] = tuple(name for name in fields if name not in inherited)
    added["__qualname__"] = cls.__qualname__
    added["__dataclass_fields__"] = _Description(namespace, kw_only=kw_only)
    kept = {name: value for name, value in namespace.items() if name not in fields}
    return type(cls)(cls.__name__, cls.__bases__, kept | added)


class _Description:
    """Stand for the description of the fields of a class until somebody asks for it."""

    def __init__(self, namespace: dict[str, Any], *, kw_only: bool) -> None:
        self._namespace = namespace  # of the class as it was before it got slots
        self._kw_only = kw_only

    def __set_name__(self, owner: Any, name: str) -> None:
        self._owner = owner

    def __get__(self, instance: object, owner: type) -> Any:
        slotted = self._owner
        plain = type(slotted)(slotted.__name__, slotted.__bases__, dict(self._namespace))
        described: Any = _describe_fields(plain, kw_only=self._kw_only)
        slotted.__dataclass_params__ = described.__dataclass_params__
        slotted.__dataclass_fields__ = described.__dataclass_fields__
        return described.__dataclass_fields__


def _describe_fields(cls: type, *, kw_only: bool) -> type:
    """Let the standard library describe the fields of a class, for `fields` and `replace`."""
    return dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)


def _build_init(cls: Any, positional: tuple[str, ...], *, frozen: bool) -> Callable[..., None]:
    """Return an `__init__` that makes a few objects, and then puts a compiled one in its place."""
    assign, left = object.__setattr__ if frozen else setattr, _UNCOMPILED

    def initialize(self: Any, *args: Any, **values: Any) -> None:
        nonlocal left
        left -= 1
        given = dict(zip(positional, args, strict=False)) | values
        is_clear = len(given) == len(args) + len(values)
        if left < 0 or not is_clear or not _set_fields(self, cls._lazy_fields, given, assign):
            cls.__init__ = _compile_init(cls, frozen=frozen)
            cls.__init__(self, *args, **values)  # this raises the error, if there is one
        elif hasattr(self, "__post_init__"):
            self.__post_init__()

    return initialize


def _set_fields(self: Any, fields: _Fields, given: dict[str, Any], assign: _Assign) -> bool:
    """Set the fields of a new object; return False if these values do not make one."""
    for name, (assigned, _) in fields.items():
        field = assigned if isinstance(assigned, dataclasses.Field) else None
        value = assigned if field is None else field.default
        if name in given and (field is None or field.init):
            value = given.pop(name)
        elif field is not None and field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        elif value is dataclasses.MISSING and field is not None and not field.init:
            continue  # `__post_init__` sets it
        if value is dataclasses.MISSING:
            return False
        assign(self, name, value)
    return not given


def _compile_init(cls: Any, *, frozen: bool) -> Any:
    """Return a function that takes the fields of a class as arguments and sets them."""
    scope: dict[str, Any] = {"__MISSING": dataclasses.MISSING}  # what the text below refers to
    positional, named, values = ["self"], ["*"], dict[str, str]()
    for name, (assigned, is_named) in cls._lazy_fields.items():
        parameter, value = _write_value(name, _as_field(assigned), scope)
        if parameter:
            (named if is_named else positional).append(parameter)
        if value:
            values[name] = value
    if frozen and len(values) > _FEW and cls.__mro__ == (cls, object) and hasattr(cls, "__slots__"):
        body = _write_open_assignments(cls, values, scope)
    else:
        body = [
            _write_assignment(cls, name, value, scope, frozen=frozen)
            for name, value in values.items()
        ]
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join(positional + (named if len(named) > 1 else []))
    lines = (f"def __init__({parameters}):", *(body or ["pass"]))
    exec("\n ".join(lines), scope)  # noqa: S102  the only names are those of the class itself
    scope["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return scope["__init__"]


def _as_field(assigned: Any) -> "dataclasses.Field[Any]":
    """Return what a class says of a field."""
    if isinstance(assigned, dataclasses.Field):
        return assigned
    field: dataclasses.Field[Any] = dataclasses.field(default=assigned)
    return field


def _write_value(
    name: str, field: "dataclasses.Field[Any]", scope: dict[str, Any]
) -> tuple[str, str]:
    """Return the parameter of a field, and the expression of its value; "" for none."""
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


def _write_open_assignments(
    cls: Any, values: Mapping[str, str], scope: dict[str, Any]
) -> list[str]:
    """Return the statements that set many fields of a frozen object with slots.

    To set a field by the descriptor of its slot takes seven times as long as an assignment. So the
    object has a class that accepts assignments until it is complete.
    """
    scope["__open"] = type(cls.__name__, (), {"__slots__": cls.__slots__})
    scope["__class"], scope["__set"] = cls, object.__setattr__
    return [
        '__set(self, "__class__", __open)',
        *(f"self.{name} = {value}" for name, value in values.items()),
        "self.__class__ = __class",
    ]


def _build_reader(names: list[str]) -> _Values:
    """Return a function from an object to the values that are compared."""
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _build_comparisons(values: _Values, *, order: bool) -> dict[str, Any]:
    """Return the methods that compare two objects of one class."""

    def build(compare: _Compare) -> _Compare:
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


def _refuse_value(_: Any, name: str, _value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(_: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _get_state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self._lazy_fields]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(self._lazy_fields, state, strict=True):
        object.__setattr__(self, name, value)


_FROZEN: Final = {
    "__setattr__": _refuse_value,
    "__delattr__": _refuse_deletion,
    "__getstate__": _get_state,  # for copies: the ordinary way would assign
    "__setstate__": _set_state,
}
