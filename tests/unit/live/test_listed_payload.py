"""A packed row of a listing reads like the row that came."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.kinds import KINDS
from reconciler.live import names
from reconciler.live.listed_payload import ListedPayload
from reconciler.normal_form.encrypted_payloads import Concealed
from tests import acme

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
)


@given(st.dictionaries(st.text(), _VALUES))
def test_every_value_reads_back_as_it_came(row):
    """In the same order and of the same types: what is sent back to PostHog comes from here."""
    packed = ListedPayload(row, None)

    assert json.dumps(dict(packed)) == json.dumps(row)
    assert len(packed) == len(row)


def test_a_missing_field_is_missing():
    packed = ListedPayload({"id": 1, "filters": {}}, None)

    assert packed.get("deleted") is None
    assert "deleted" not in packed
    with pytest.raises(KeyError, match="deleted"):
        packed["deleted"]


def test_concealed_text_stays_concealed():
    """It prints as a placeholder, and holds the value for those who compare it."""
    packed = ListedPayload({"payload": {"true": Concealed("secret")}}, None)

    assert "secret" not in str(packed["payload"])
    assert packed["payload"]["true"].value == "secret"


def test_equal_groups_of_two_flags_are_one_object():
    """So that a flag without changes takes its place in memory once."""
    first, second = (acme.live_flag(key, 10, id=101) for key in ("a", "b"))
    take = names.build_taker(KINDS["FeatureFlag"])

    (group,), (other,) = (take(flag).spec["filters"]["groups"] for flag in (first, second))

    assert group == {"properties": [], "rollout_percentage": 10}
    assert group is other
