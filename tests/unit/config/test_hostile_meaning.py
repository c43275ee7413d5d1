"""YAML that is sound, and means too much: limits hold before anything is compared pair by pair."""

from tests.effort import effort
from tests.unit.config import hostile


def test_what_means_too_much_ends_soon_and_small():
    """Under 6 s of CPU, which counts for more where cores are shared, and 256 MiB.

    The soak reads texts as large as a file may be; the gate an eighth of that, in half of both.
    """
    costs = hostile.measure("documents", share=effort(8, 1))

    assert len(costs) == len(hostile.DOCUMENTS)
    for name, (status, mebibytes, seconds) in costs.items():
        assert status == 0, name
        assert mebibytes < effort(128, 256), name
        assert seconds < effort(3, 6), name
