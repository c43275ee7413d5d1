"""Fixtures: one sandbox process a worker, a repository beside it."""

import gc
import signal
from contextlib import ExitStack

import pytest

from tests.effort import register_profiles
from tests.forked import program_for_scripts
from tests.support import Repository, sandbox_process

register_profiles()

# A shell lets what it starts in the background ignore Ctrl-C, and processes inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Let the collector of cycles pass over what stays: modules, tests, schemas."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


@pytest.fixture(scope="session")
def start_sandbox():
    """A function that returns a server with these options; a worker starts each once.

    Each test resets what it uses. A test that needs several servers numbers them.
    """
    running = {}
    with ExitStack() as stack:

        def start(*options, number=0):
            key = (options, number)
            if key not in running:
                running[key] = stack.enter_context(sandbox_process(*options))
            return running[key]

        yield start


@pytest.fixture(scope="session")
def shared_sandbox(start_sandbox):
    """One server for all tests of a worker; each test resets it."""
    return start_sandbox()


@pytest.fixture(scope="session")
def program():
    """An executable `reconciler` for scripts."""
    with program_for_scripts() as executable:
        yield executable


@pytest.fixture
def world(shared_sandbox, tmp_path):
    """reset(seed) -> a repository beside a sandbox with that world."""

    def make(seed):
        shared_sandbox.reset(seed)
        return Repository(tmp_path, shared_sandbox)

    return make
