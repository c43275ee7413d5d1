"""Fixtures: a code host on loopback, and what a build's environment says of it."""

import json
from functools import partial

import pytest

from tests import acme, factories, fleets
from tests.code_hosts import TOKEN, serving
from tests.project_fleet import build_fleet


@pytest.fixture
def code_host():
    with serving() as running:
        yield running


@pytest.fixture
def repo(world):
    """A committed repository of two flags; one of them differs from what is live."""
    flags = [acme.live_flag("a", 10), acme.live_flag("b", 20)]
    repo = world(factories.seed(*flags))
    repo.write("flags.yaml", acme.flag("a", 50), acme.flag("b", 20))
    repo.commit()
    return repo


@pytest.fixture
def github(code_host, tmp_path):
    """The environment of a workflow step in a pull request's build."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}), encoding="utf-8")
    return {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": code_host.url,
        "GITHUB_GRAPHQL_URL": f"{code_host.url}/graphql",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_REPOSITORY": "acme/config",
        "GITHUB_RUN_ID": "42",
        "GITHUB_SERVER_URL": "https://github.test",
        "GITHUB_SHA": "0123456789abcdef",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_TOKEN": TOKEN,
        "RUNNER_TEMP": str(tmp_path / "temp"),
    }


@pytest.fixture
def fleet(world):
    """A function that makes a repository with four targets (`build_fleet`)."""
    return partial(build_fleet, world)


@pytest.fixture(scope="module")
def sandboxes(start_sandbox):
    """A sandbox for each target of `make_fleet`."""
    return fleets.several_sandboxes(start_sandbox)


@pytest.fixture
def make_fleet(sandboxes, tmp_path):
    """A function that makes a repository with a target on each sandbox (`fleets.make_fleet`)."""
    return partial(fleets.make_fleet, tmp_path, sandboxes)
