"""YAML that is sound, and means too much: limits hold before anything is compared pair by pair."""

from tests.unit.config import hostile


def test_what_means_too_much_ends_soon_and_small():
    """Under 6 s of CPU, which counts for more where cores are shared, and 256 MiB."""
    costs = hostile.measure("documents")

    assert len(costs) == len(hostile.DOCUMENTS)
    for name, (status, mebibytes, seconds) in costs.items():
        assert status == 0, name
        assert mebibytes < 256, name
        assert seconds < 6, name
