"""A second comparison of one run takes over what the first has found."""

from dataclasses import replace

import pytest

from reconciler.model import Address, Declared, Live, LiveResource, Resource
from reconciler.plan.diff import three_way
from reconciler.plan.diff.base_index import BaseIndex
from reconciler.plan.diff.known_changes import KnownChanges

ADDRESS = Address("FeatureFlag", ("acme", "Web", "checkout"))
RESOURCE = Resource(ADDRESS, {"name": "new"})
SAME = Resource(Address("FeatureFlag", ("acme", "Web", "same")), {"name": "old"})


def _live(*resources, **more):
    by_address = {resource.address: resource for resource in resources}
    return Live(by_address, {a: (r.id,) for a, r in by_address.items()}, {}, {}, **more)


def _flag(address, id_):
    return LiveResource(address, id_, {"name": "old"}, {"id": id_, "name": "old"})


LIVE = _live(_flag(ADDRESS, "1"), _flag(SAME.address, "2"))
DESIRED = Declared({ADDRESS: RESOURCE, SAME.address: SAME}, "")


def _compare(known=None, desired=DESIRED, base=None, live=LIVE):
    changes, problems = three_way.compare_all(desired, base, live, known)
    assert not problems
    return {change.address: change for change in changes}


def _know(base=None):
    return KnownChanges(tuple(_compare(base=base).values()), BaseIndex(DESIRED, base))


@pytest.mark.parametrize("base", [None, Declared({}, ""), Declared({SAME.address: SAME}, "")])
def test_nothing_is_compared_twice(base):
    """What was read meanwhile does not concern these flags."""
    first = _compare(base=base)
    known = KnownChanges(tuple(first.values()), BaseIndex(DESIRED, base))
    live = replace(LIVE, listed=frozenset({("Role", ("acme",))}))
    second = _compare(known, base=base, live=live)

    assert second == first
    assert all(second[address] is first[address] for address in first)


@pytest.mark.parametrize(
    "other",
    [
        {"desired": Declared({ADDRESS: Resource(ADDRESS, {"name": "newer"})}, "")},
        {
            "live": _live(
                LiveResource(ADDRESS, "1", {"name": "moved"}, {}), _flag(SAME.address, "2")
            )
        },
        {"base": Declared({ADDRESS: Resource(ADDRESS, {"name": "old"})}, "")},
    ],
    ids=["another declaration", "another live object", "another base"],
)
def test_what_differs_is_compared_again(other):
    """The result is that of a comparison without any memory."""
    base = Declared({}, "")
    known = _know(base)

    assert _compare(known, **other) == _compare(**other)
    assert _compare(known, **other)[ADDRESS] != _compare(known, base=base)[ADDRESS]
