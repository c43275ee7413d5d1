"""Commands of the engine without a server: each error says what is missing."""

import pytest

from tests import acme

WITHOUT_THE_SDK = """
from importlib.machinery import PathFinder
find_spec = PathFinder.find_spec
def find_others(name, path=None, target=None):
    return None if name == "temporalio" else find_spec(name, path, target)
PathFinder.find_spec = find_others
"""
COMMANDS = (
    ("plan", "--engine", "temporal"),
    ("worker",),
    ("schedule", "set", "drift", "--every", "1h"),
    ("schedule", "list"),
    ("schedule", "delete", "drift"),
)


@pytest.fixture
def repository(world):
    repository = world(acme.seed())
    repository.write("config/flags.yaml", acme.flag("a", 10))
    repository.commit()
    return repository


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_without_the_extra_every_command_of_the_engine_says_how_to_install_it(repository, words):
    """Nothing of the SDK is imported before."""
    repository.write("without/sitecustomize.py", WITHOUT_THE_SDK)

    done = repository.run("fleet", *words, PYTHONPATH=str(repository.folder / "without"))

    assert (1, "") == (done.code, done.out)
    assert "pip install 'posthog-reconciler[temporal]'" in done.err


@pytest.mark.parametrize(
    "variables",
    [
        {"TEMPORAL_PROFILE": "unknown"},
        {"TEMPORAL_TLS": "true", "TEMPORAL_TLS_CLIENT_CERT_PATH": "/nowhere/client.pem"},
    ],
    ids=lambda variables: list(variables)[-1],
)
def test_settings_of_the_sdk_that_cannot_be_used_are_named(repository, variables):
    """A profile that is not there, and a file that cannot be read."""
    done = repository.run("fleet", "schedule", "list", real_process=True, **variables)

    assert (1, "") == (done.code, done.out)
    assert "error: the settings of Temporal's SDK cannot be used" in done.err
    assert "TEMPORAL_" in done.err


def test_a_schedule_without_an_interval_is_a_usage_error(repository):
    """The server is not asked."""
    done = repository.run("fleet", "schedule", "set", "drift", "--every", "0s")

    assert (64, "") == (done.code, done.out)
    assert "write something from 1s to 365d" in done.err
