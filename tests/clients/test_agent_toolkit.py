"""@posthog/agent-toolkit (npm), PostHog's own tools for agents."""

import json

import pytest

from tests.clients import world
from tests.clients.effects import (
    GROUPS,
    assert_waits_for_approval,
    find_flag,
    read_flag,
    rollout,
)
from tests.clients.running import RefusedError, driver

CLIENT = "@posthog/agent-toolkit"
operation = pytest.mark.operation


@pytest.fixture(scope="session")
def running(environment):
    with driver("agent_toolkit.mjs", environment=environment) as toolkit:
        yield toolkit


@pytest.fixture
def toolkit(running, sandbox):  # noqa: ARG001  the sandbox has to be fresh
    running.call("switch-project", projectId=world.WEB)
    return running


@operation("start-up")
def test_it_reads_its_scopes_and_offers_its_tools(toolkit):
    assert 42 == len(toolkit.call("list_tools"))


@operation("organizations")
def test_it_reads_organizations(toolkit):
    acme = {"id": world.ORGANIZATION, "name": "Acme"}

    assert [acme] == json.loads(toolkit.call("organizations-get"))
    assert acme == json.loads(toolkit.call("organization-details-get"))


@operation("projects")
def test_it_reads_projects_and_changes_between_them(toolkit):
    names = [project["name"] for project in json.loads(toolkit.call("projects-get"))]
    toolkit.call("switch-project", projectId=world.MOBILE)

    assert ["Web", "Mobile", "Gated"] == names
    assert [] == json.loads(toolkit.call("feature-flag-get-all"))


@operation("read flags")
def test_it_reads_flags_on_all_pages_and_by_key(toolkit):
    flags = json.loads(toolkit.call("feature-flag-get-all"))
    flag = json.loads(toolkit.call("feature-flag-get-definition", flagKey="flag-001"))

    assert world.FLAGS == len({flag["key"] for flag in flags})
    assert 50 == rollout(flag)


@operation("write flags")
def test_it_creates_a_flag_and_changes_it(toolkit, sandbox):
    toolkit.call(
        "create-feature-flag",
        name="New",
        key="new",
        description="",
        active=False,
        filters={"groups": [{"properties": [], "rollout_percentage": 20}]},
    )
    created = find_flag(sandbox, "new")
    toolkit.call(
        "update-feature-flag", flagKey="new", data={"active": True, "filters": {"groups": GROUPS}}
    )
    changed = find_flag(sandbox, "new")

    assert (False, 20) == (created["active"], rollout(created))
    assert (True, 70) == (changed["active"], rollout(changed))


@operation("gated write")
def test_it_reports_a_write_that_waits_for_approval(toolkit, sandbox):
    toolkit.call("switch-project", projectId=world.GATED)
    with pytest.raises(RefusedError, match="approval_required"):
        toolkit.call(
            "update-feature-flag", flagKey="flag-900", data={"filters": {"groups": GROUPS}}
        )

    assert_waits_for_approval(sandbox)


@operation("delete flags")
def test_it_deletes_a_flag(toolkit, sandbox):
    toolkit.call("delete-feature-flag", flagKey="flag-001")

    assert read_flag(sandbox, 1)["deleted"]
