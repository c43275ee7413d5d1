"""Fixtures: one sandbox process a worker, a repository beside it."""

import pytest

from tests.support import Repository, sandbox_process


@pytest.fixture(scope="session")
def shared_sandbox():
    """One server for all tests of a worker; each test resets it."""
    with sandbox_process() as running:
        yield running


@pytest.fixture
def world(shared_sandbox, tmp_path):
    """reset(seed) -> a repository beside a sandbox with that world."""

    def make(seed):
        shared_sandbox.reset(seed)
        return Repository(tmp_path, shared_sandbox)

    return make
