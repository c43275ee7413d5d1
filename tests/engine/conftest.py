"""Fixtures: one Temporal server for each worker of the test run, a namespace for each world."""

import pytest

from tests.engine.fleets import Fleet, temporal_server


@pytest.fixture(scope="session")
def temporal():
    """One server for all tests of a worker."""
    with temporal_server() as running:
        yield running


@pytest.fixture(scope="session")
def slow_sandbox(start_sandbox):
    """A server that takes its time, so that something can happen meanwhile."""
    return start_sandbox("--latency", "60")


@pytest.fixture
def fleet(shared_sandbox, temporal, tmp_path):
    """(seed, sandbox) -> a repository beside a sandbox with that world, and an engine."""

    def make(seed, sandbox=shared_sandbox):
        sandbox.reset(seed)
        folder = tmp_path / "repo"
        folder.mkdir()
        return Fleet(folder, sandbox, temporal)

    return make
