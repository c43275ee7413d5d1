"""Choosing the targets of a fleet by their names."""

import pytest

from reconciler.errors import UsageError
from reconciler.fleet.selection import select_targets


def test_an_error_does_not_name_a_thousand_targets():
    names = [f"target-{number:04}" for number in range(1_000)]

    with pytest.raises(UsageError) as caught:
        select_targets(names, ["elsewhere"])

    assert "target-0000, target-0001, " in caught.value.why
    assert caught.value.why.endswith("target-0019 and 980 more")
