"""`lazy_dataclass.dataclass` means the same as the decorator of the standard library."""

import copy
import dataclasses
import inspect
import pickle
from typing import ClassVar

import pytest

from reconciler import lazy_dataclass

BOTH = pytest.mark.parametrize(
    "dataclass", [dataclasses.dataclass, lazy_dataclass.dataclass], ids=["standard", "lazy"]
)


def make(dataclass, **options):
    @dataclass(**options)
    class Point:
        x: int
        y: int = 2
        tags: list[str] = dataclasses.field(default_factory=list, compare=False)
        note: str = dataclasses.field(default="", repr=False)

        def total(self):
            return self.x + self.y

    return Point


def refusal(call, *args, **values):
    with pytest.raises((TypeError, dataclasses.FrozenInstanceError)) as caught:
        call(*args, **values)
    return type(caught.value), str(caught.value)


@BOTH
def test_values_come_by_place_by_name_or_by_default(dataclass):
    """Each object has its own default that a factory makes; the second object is like the first."""
    kind = make(dataclass, frozen=True, slots=True)

    first, second = kind(1), kind(x=1, y=3, tags=["a"])

    assert (first.x, first.y, first.tags, first.note) == (1, 2, [], "")
    assert (second.x, second.y, second.tags) == (1, 3, ["a"])
    assert kind(1).tags is not first.tags
    assert second.total() == 4
    assert not hasattr(first, "__dict__")


@BOTH
def test_wrong_values_are_refused_the_first_time_and_later(dataclass):
    """With the message of any function."""
    kind = make(dataclass, frozen=True)
    missing = f"{kind.__qualname__}.__init__() missing 1 required positional argument: 'x'"

    assert refusal(kind) == refusal(kind) == (TypeError, missing)
    assert "unexpected keyword argument 'z'" in refusal(kind, 1, z=2)[1]


@BOTH
def test_objects_compare_print_and_hash_by_their_values(dataclass):
    """Only by those that count; objects of other classes are never equal."""
    kind, other = make(dataclass, frozen=True), make(dataclass, frozen=True)

    assert kind(1, tags=["a"]) == kind(1)
    assert hash(kind(1, tags=["a"])) == hash(kind(1))
    assert kind(1) != kind(2)
    assert kind(1) != other(1)
    assert kind(1, note="n") != kind(1)
    assert repr(kind(1, note="n")).endswith("Point(x=1, y=2, tags=[])")
    with pytest.raises(TypeError, match="not supported"):
        sorted([kind(2), kind(1)])
    ordered = make(dataclass, frozen=True, order=True)
    assert min(ordered(2), ordered(1, 3), ordered(1)) == ordered(1)
    assert ordered(1) <= ordered(1) < ordered(2) > ordered(1, 9) >= ordered(1, 9)


@BOTH
def test_frozen_objects_refuse_changes_and_others_take_them(dataclass):
    """What can change has no hash."""
    frozen, mutable = make(dataclass, frozen=True, slots=True)(1), make(dataclass, slots=True)(1)

    assert refusal(setattr, frozen, "x", 2)[0] is dataclasses.FrozenInstanceError
    assert refusal(delattr, frozen, "x")[1] == "cannot delete field 'x'"
    assert frozen.x == 1
    mutable.x = 5
    assert mutable == type(mutable)(5)
    assert refusal(hash, mutable)[0] is TypeError


@BOTH
def test_what_the_standard_library_offers_for_data_classes_works(dataclass):
    """`fields`, `replace`, `asdict`, and `match` by place."""
    kind = make(dataclass, frozen=True, slots=True)
    value = kind(1, tags=["a"])

    assert dataclasses.is_dataclass(kind)
    assert [field.name for field in dataclasses.fields(kind)] == ["x", "y", "tags", "note"]
    assert dataclasses.replace(value, x=3) == kind(3)
    assert dataclasses.asdict(value) == {"x": 1, "y": 2, "tags": ["a"], "note": ""}
    match value:
        case kind(x, 2):
            assert x == 1


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    x: int
    tags: list[str] = dataclasses.field(default_factory=list)


@lazy_dataclass.dataclass(frozen=True, slots=True)
class Lazy:
    x: int
    tags: list[str] = dataclasses.field(default_factory=list)


@pytest.mark.parametrize("kind", [Standard, Lazy])
def test_objects_can_be_copied(kind):
    """Frozen ones with slots too, which refuse assignments."""
    value = kind(1, ["a"])

    copied = copy.deepcopy(value)

    assert copied == value == copy.copy(value)
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301  our own bytes
    assert copied.tags is not value.tags


@BOTH
def test_class_variables_are_no_fields_and_a_field_may_have_to_be_named(dataclass):
    """`match` takes by place what can be set by place."""

    @dataclass(slots=True)
    class Box:
        count: ClassVar[int] = 5
        names: ClassVar[tuple[str, ...]] = ()
        x: int
        note: str = dataclasses.field(default="", kw_only=True)
        inner: int = dataclasses.field(default=3, init=False)

    assert [field.name for field in dataclasses.fields(Box)] == ["x", "note", "inner"]
    assert Box.__match_args__ == ("x",)
    assert (Box.count, Box(1, note="n").note, Box(1).inner) == (5, "n", 3)
    assert refusal(Box, 1, "n")[0] is TypeError
    assert dataclasses.replace(Box(1), note="m") == Box(1, note="m")


@BOTH
def test_methods_that_a_class_defines_are_kept(dataclass):
    """And `__post_init__` is called, with what a field without a place in `__init__` needs."""

    @dataclass(frozen=True, slots=True)
    class Named:
        name: str
        length: int = dataclasses.field(init=False)
        origin: str = dataclasses.field(default="here", init=False)

        def __post_init__(self):
            object.__setattr__(self, "length", len(self.name))

        def __repr__(self):
            return f"<{self.name}>"

        def __eq__(self, other):
            return isinstance(other, Named) and self.name.lower() == other.name.lower()

        def __hash__(self):
            return hash(self.name.lower())

    assert (Named("abc").length, Named("abc").origin) == (3, "here")
    assert repr(Named("abc")) == "<abc>"
    assert {Named("ABC"), Named("abc")} == {Named("abc")}


@BOTH
def test_a_subclass_has_the_fields_of_both_classes(dataclass):
    """Those of the base come first, and values may have to be named."""
    base = make(dataclass, frozen=True, kw_only=True)

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Sub(base):
        z: int

    value = Sub(z=3, x=1)
    assert (value.x, value.z, base(x=1).x) == (1, 3, 1)
    assert value != base(x=1)
    assert value == Sub(x=1, z=3)
    assert refusal(Sub, 1, 2)[0] is TypeError


def test_init_is_compiled_after_a_few_objects():
    """Afterwards nothing stands between the class and the compiled function."""
    kind = make(lazy_dataclass.dataclass, frozen=True)

    objects = [kind(number, tags=["a"]) for number in range(50)]

    assert [(value.x, value.y, value.tags) for value in objects] == [
        (n, 2, ["a"]) for n in range(50)
    ]
    assert list(inspect.signature(kind.__init__).parameters) == ["self", "x", "y", "tags", "note"]
