"""mcparmory-posthog (PyPI), an MCP server generated from PostHog's OpenAPI document."""

import pytest

from tests.clients import world
from tests.clients.effects import (
    GROUPS,
    assert_waits_for_approval,
    find_flag,
    member_level,
    role_holders,
    rollout,
)
from tests.clients.running import RefusedError, driver

CLIENT = "mcparmory-posthog"
operation = pytest.mark.operation


@pytest.fixture(scope="session")
def running(environment):
    with driver("mcparmory.py", environment=environment) as tools:
        yield tools


@pytest.fixture
def call(running, sandbox):  # noqa: ARG001  the sandbox has to be fresh
    return running.call


@operation("start-up")
def test_it_offers_its_tools(call):
    assert 618 == len(call("list_tools"))


@operation("organizations")
def test_it_reads_organizations(call):
    assert ["Acme"] == [row["name"] for row in call("list_organizations")["results"]]


@operation("projects")
def test_it_reads_projects(call):
    page = call("list_projects_for_organization", organization_id=world.ORGANIZATION)
    web = call("get_project", organization_id=world.ORGANIZATION, id=str(world.WEB))

    assert ["Web", "Mobile", "Gated"] == [project["name"] for project in page["results"]]
    assert "Web" == web["name"]


@operation("members")
def test_it_reads_members_and_changes_a_level(call, sandbox):
    member = {"organization_id": world.ORGANIZATION, "user__uuid": world.MEMBER}
    page = call("list_organization_members", organization_id=world.ORGANIZATION)
    call("update_organization_member_level", level=8, **member)

    assert 2 == page["count"]
    assert 8 == member_level(sandbox)


@operation("members")
def test_it_removes_a_member(call, sandbox):
    member = {"organization_id": world.ORGANIZATION, "user__uuid": world.MEMBER}
    call("remove_member_from_organization", **member)

    assert member_level(sandbox) is None


@operation("roles")
def test_it_gives_a_role_and_takes_it_away(call, sandbox):
    role = {"organization_id": world.ORGANIZATION, "role_id": world.ROLE}
    membership = call("add_user_to_role", user_uuid=world.MEMBER, **role)
    given = role_holders(sandbox)
    call("remove_role_membership", id=membership["id"], **role)

    assert {"olga@acme.test", "max@acme.test"} == given
    assert {"olga@acme.test"} == role_holders(sandbox)


@operation("read flags")
def test_it_reads_flags_page_by_page_and_a_flag_by_id(call):
    pages = [
        call("list_feature_flags", project_id=str(world.WEB), limit=100, offset=offset)
        for offset in (0, 100, 200)
    ]
    flag = call("get_feature_flag", project_id=str(world.WEB), id=1)

    assert world.FLAGS == len({flag["key"] for page in pages for flag in page["results"]})
    assert "flag-001" == flag["key"]


@operation("write flags")
def test_it_creates_a_flag_and_changes_it_by_patch_and_put(call, sandbox):
    """It sends rollouts of a PATCH as 20.0, and those of a PUT as they are."""
    project = {"project_id": str(world.WEB)}
    groups = [{"properties": [], "rollout_percentage": 20}]
    call("create_feature_flag", key="new", filters={"groups": groups}, **project)
    created = find_flag(sandbox, "new")
    call("update_feature_flag_partial", id=created["id"], active=False, **project)
    patched = find_flag(sandbox, "new")
    put = {"key": "new", "filters": {"groups": GROUPS}, "active": True}
    call("update_feature_flag", id=created["id"], **put, **project)
    changed = find_flag(sandbox, "new")

    assert (True, 20) == (created["active"], rollout(created))
    assert (False, 20) == (patched["active"], rollout(patched))
    assert (True, 70) == (changed["active"], rollout(changed))


@operation("gated write")
def test_it_reports_a_write_that_waits_for_approval(call, sandbox):
    with pytest.raises(RefusedError, match="409"):
        call(
            "update_feature_flag_partial",
            project_id=str(world.GATED),
            id=world.GATED_FLAG,
            filters={"groups": GROUPS},
        )

    assert_waits_for_approval(sandbox)


@operation("activity log")
def test_it_reads_the_log_of_a_project(call):
    call("update_feature_flag_partial", project_id=str(world.WEB), id=1, tags=["seen"])
    [entry] = call("list_advanced_activity_logs", project_id=str(world.WEB))["results"]

    assert ("updated", "flag-001") == (entry["activity"], entry["detail"]["name"])


@operation("activity log", answer="not modelled")
def test_the_plain_activity_log_is_not_modelled(call):
    """Contract 1.1: 404, never 403."""
    with pytest.raises(RefusedError, match="not modelled by the sandbox"):
        call("list_activity_logs", project_id=str(world.WEB))
