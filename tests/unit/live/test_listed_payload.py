"""A packed row of a listing reads like the row that came."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.kinds import KINDS, READ
from reconciler.live import names
from reconciler.live.listed_payload import ListedPayload, build_picker
from reconciler.normal_form.encrypted_payloads import Concealed
from tests import acme

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
)


def pack(row):
    return ListedPayload(*build_picker(frozenset())(row), "a", "1")


@given(st.dictionaries(st.text(), _VALUES))
def test_every_value_reads_back_as_it_came(row):
    """In the same order and of the same types: what is sent back to PostHog comes from here."""
    packed = pack(row)

    assert json.dumps(dict(packed)) == json.dumps(row)
    assert len(packed) == len(row)


def test_a_missing_field_is_missing():
    packed = pack({"id": 1, "filters": {}})

    assert packed.get("deleted") is None
    assert "deleted" not in packed
    with pytest.raises(KeyError, match="deleted"):
        packed["deleted"]


def test_concealed_text_stays_concealed():
    """It prints as a placeholder, and holds the value for those who compare it."""
    packed = pack({"payload": {"true": Concealed("secret")}})

    assert "secret" not in str(packed["payload"])
    assert packed["payload"]["true"].value == "secret"


def test_equal_groups_of_a_file_and_a_listing_are_one_object():
    """However often each of their values is in use elsewhere."""
    flag = json.loads(json.dumps(acme.live_flag("a", 10, id=101)))
    written = {"filters": {"groups": [{"properties": [], "rollout_percentage": 10}]}}
    kind = KINDS["FeatureFlag"]

    (group,) = names.build_taker(kind)(flag).spec["filters"]["groups"]
    (other,) = kind.canonical(written)["filters"]["groups"]

    assert group is other


_NUMBERS = st.sampled_from([None, 0, 1, 1.0])
_GROUPS = st.fixed_dictionaries(
    {"properties": st.just([])},
    optional={"aggregation_group_type_index": _NUMBERS, "rollout_percentage": _NUMBERS},
)
_FILTERS = st.fixed_dictionaries(
    {"groups": st.lists(_GROUPS, max_size=3) | st.none()},
    optional={"aggregation_group_type_index": _NUMBERS, "multivariate": st.none()},
)


@given(_FILTERS)
def test_a_listed_flag_has_the_normal_form_of_its_spec(filters):
    """Whether it is read in one pass or in two."""
    flag, kind = {**acme.live_flag("a", 10, id=101), "filters": filters}, KINDS["FeatureFlag"]

    assert json.dumps(kind.plain(flag)) == json.dumps(kind.canonical(kind.to_spec(flag)))


def test_equal_groups_of_two_flags_are_one_object():
    """So that a flag without changes takes its place in memory once."""
    first, second = (acme.live_flag(key, 10, id=101) for key in ("a", "b"))
    take = names.build_taker(KINDS["FeatureFlag"])

    (group,), (other,) = (take(flag).spec["filters"]["groups"] for flag in (first, second))

    assert group == {"properties": [], "rollout_percentage": 10}
    assert group is other


@given(st.lists(st.dictionaries(st.sampled_from("abcdefg"), st.integers()), min_size=1))
def test_each_item_keeps_exactly_the_listed_fields_that_it_has(rows):
    """Whatever fields the items before it had."""
    listed = frozenset("abcd")
    pick = build_picker(listed)

    for row in rows:
        kept = dict(zip(*pick(row), strict=True))
        assert kept == {name: value for name, value in row.items() if name in listed}


class _Recorder(dict):
    """Note the fields that are read."""

    def __init__(self, fields):
        super().__init__(fields)
        self.read = set()

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)

    def __contains__(self, name):
        self.read.add(name)
        return super().__contains__(name)

    def get(self, name, default=None):
        self.read.add(name)
        return super().get(name, default)


@pytest.mark.parametrize("kind", [k for k in READ.values() if k.listed], ids=lambda k: k.name)
def test_a_spec_is_built_from_fields_that_are_kept(kind):
    """The whole item and what is kept of it have the same spec, name and id."""
    flag = acme.live_flag("a", 10, id=101) if kind.name == "FeatureFlag" else {}
    texts = dict.fromkeys(kind.listed & {"id", "name", "domain"}, "a")
    row = _Recorder({**dict.fromkeys(kind.listed), **texts, **flag})

    kind.identify(row), kind.identity(row), kind.to_spec(row)

    assert row.read
    assert row.read <= kind.listed


@pytest.mark.parametrize("kind", READ.values(), ids=lambda kind: kind.name)
def test_the_id_of_a_packed_item_is_the_id_of_its_row(kind):
    """By it an item is recognized that comes on two pages."""
    row = {"id": 7, "user": {"email": "ann@acme.test", "uuid": "u-7"}}
    names_by_field = dict.fromkeys(("name", "key", "slug", "domain", "action_key"), "a")

    taken = names.build_taker(kind)({**row, **names_by_field})

    assert not isinstance(taken, ListedPayload) or taken.id == "7"
