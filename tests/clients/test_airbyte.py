"""airbyte-source-posthog (PyPI), which copies PostHog's data into a warehouse."""

import json

import pytest

from tests.clients import world
from tests.clients.running import run_command

CLIENT = "airbyte-source-posthog"
operation = pytest.mark.operation


@pytest.fixture
def source(sandbox, environment, tmp_path):
    """Return a function that runs a command of the source and returns its messages."""
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps(
            {"api_key": world.KEY, "base_url": sandbox.url, "start_date": "2026-01-01T00:00:00Z"}
        )
    )

    def run(command, *options):
        output = run_command(
            "source-posthog", command, "--config", config, *options, environment=environment
        )
        return [json.loads(line) for line in output.splitlines()]

    return run


@pytest.fixture
def records(source, tmp_path):
    """Return a function that reads a stream."""

    def read(name):
        stream = {"name": name, "json_schema": {}, "supported_sync_modes": ["full_refresh"]}
        modes = {"sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}
        catalog = tmp_path / "catalog.json"
        catalog.write_text(json.dumps({"streams": [{"stream": stream, **modes}]}))
        messages = source("read", "--catalog", catalog)
        return [row["record"]["data"] for row in messages if row["type"] == "RECORD"]

    return read


@operation("start-up")
def test_it_checks_the_connection(source):
    [status] = [row for row in source("check") if row["type"] == "CONNECTION_STATUS"]

    assert {"status": "SUCCEEDED"} == status["connectionStatus"]


@operation("projects")
def test_it_copies_projects(records):
    assert ["Web", "Mobile", "Gated"] == [project["name"] for project in records("projects")]


@operation("read flags")
def test_it_copies_the_flags_of_every_project_on_all_pages(records):
    keys = {flag["key"] for flag in records("feature_flags")}

    assert world.FLAGS + 1 == len(keys)
    assert "flag-900" in keys
