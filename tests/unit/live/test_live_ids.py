"""The ids of live addresses read like one dict of all of them."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.live.live_ids import LiveIds
from reconciler.model import Address, LiveResource

_ADDRESSES = [Address("FeatureFlag", ("acme", "Web", name)) for name in "abcd"]


@given(
    st.dictionaries(st.sampled_from(_ADDRESSES), st.sampled_from("123")),
    st.dictionaries(st.sampled_from(_ADDRESSES), st.lists(st.sampled_from("789"), min_size=1)),
)
def test_it_reads_like_the_ids_of_the_resources_below_the_others(own, others):
    resources = {address: LiveResource(address, id_, {}, {}) for address, id_ in own.items()}
    several = {address: tuple(ids) for address, ids in others.items()}
    expected = {address: (id_,) for address, id_ in own.items()} | several

    ids = LiveIds(resources, several)

    assert list(expected) == list(ids)
    assert list(expected.items()) == list(ids.items())
    assert len(expected) == len(ids)
    assert {a: expected.get(a) for a in _ADDRESSES} == {a: ids.get(a) for a in _ADDRESSES}
    assert [a in expected for a in _ADDRESSES] == [a in ids for a in _ADDRESSES]
