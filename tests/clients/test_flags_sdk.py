"""@flags-sdk/posthog (npm), which shows a project's flags in Vercel's toolbar."""

import pytest

from tests.clients import world
from tests.clients.running import driver

CLIENT = "@flags-sdk/posthog"
operation = pytest.mark.operation


@pytest.fixture(scope="session")
def running(environment):
    with driver("flags_sdk.mjs", environment=environment) as adapter:
        yield adapter


@pytest.fixture
def adapter(running, sandbox):  # noqa: ARG001  the sandbox has to be fresh
    return running


@operation("start-up")
def test_it_needs_one_call_to_begin(adapter):
    data = adapter.call("getProviderData", projectId=str(world.GATED))

    assert ["flag-900"] == list(data["definitions"])
    assert [] == data["hints"]


@operation("read flags")
def test_it_reads_flags_on_all_pages(adapter):
    data = adapter.call("getProviderData", projectId=str(world.WEB))

    assert world.FLAGS == len(data["definitions"])
    assert [{"value": False}, {"value": True}] == data["definitions"]["flag-001"]["options"]


@operation("read flags", answer="refused")
def test_it_names_the_status_for_a_project_that_is_not_there(adapter):
    data = adapter.call("getProviderData", projectId="99")

    assert {} == data["definitions"]
    assert "404" in data["hints"][0]["text"]
