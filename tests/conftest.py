"""Fixtures: one sandbox process a worker, a repository beside it."""

import signal

import pytest

from tests.effort import register_profiles
from tests.support import Repository, sandbox_process

register_profiles()

# A shell lets what it starts in the background ignore Ctrl-C, and processes inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
