"""arcade-posthog-api (PyPI), tools generated from an OpenAPI document of PostHog."""

import json

import pytest

from tests.clients import world
from tests.clients.effects import (
    GROUPS,
    assert_waits_for_approval,
    find_flag,
    member_level,
    read_flag,
    role_holders,
    rollout,
)
from tests.clients.running import RefusedError, driver

CLIENT = "arcade-posthog-api"
operation = pytest.mark.operation


@pytest.fixture(scope="session")
def running(environment):
    with driver("arcade.py", environment=environment) as tools:
        yield tools


@pytest.fixture
def read(running, sandbox):  # noqa: ARG001  the sandbox has to be fresh
    """Return a function that calls a tool without a body."""
    return running.call


@pytest.fixture
def write(running, sandbox):  # noqa: ARG001  the sandbox has to be fresh
    """Return a function that calls a tool with a body, and returns what PostHog answers."""

    def call(name, body, **arguments):
        request = {"mode": "execute", "request_body": json.dumps(body), **arguments}
        return running.call(name, **request)["response_json"]

    return call


def _results(answer):
    return answer["response_json"]["results"]


@operation("start-up")
@operation("organizations")
def test_it_reads_organizations(read):
    acme = read("get_organization_details", organization_id=world.ORGANIZATION)

    assert ["Acme"] == [found["name"] for found in _results(read("list_organizations"))]
    assert 2 == acme["response_json"]["member_count"]


@operation("projects")
def test_it_reads_projects(read):
    listed = read("get_current_org_projects", organization_identifier=world.ORGANIZATION)

    assert ["Web", "Mobile", "Gated"] == [project["name"] for project in _results(listed)]


@operation("members")
def test_it_reads_members_and_changes_a_level(read, write, sandbox):
    listed = read("list_organization_members", organization_id=world.ORGANIZATION)
    write(
        "update_organization_member_details",
        {"level": 8},
        organization_identifier=world.ORGANIZATION,
        member_user_uuid=world.MEMBER,
    )

    assert {11, 12} == {member["user"]["id"] for member in _results(listed)}
    assert 8 == member_level(sandbox)


@operation("members")
def test_it_removes_a_member(read, sandbox):
    read("remove_organization_member", organization_id=world.ORGANIZATION, user_uuid=world.MEMBER)

    assert member_level(sandbox) is None


@operation("roles")
def test_it_creates_a_role_and_deletes_it(read, write):
    """Contract 8.1: nobody is the creator of a role that was created over the API."""
    role = write("create_role_in_organization", {"name": "New"}, organization_id=world.ORGANIZATION)
    deletion = {"organization_id": world.ORGANIZATION, "role_id": role["id"]}
    read("delete_role_in_organization", **deletion)
    listed = read("list_organization_roles", organization_identifier=world.ORGANIZATION)

    assert role["created_by"] is None
    assert ["Devs"] == [role["name"] for role in _results(listed)]


@operation("roles")
def test_it_gives_a_role_and_takes_it_away(read, write, sandbox):
    membership = write(
        "create_role_membership",
        {"user_uuid": world.MEMBER},
        organization_id=world.ORGANIZATION,
        role_identifier=world.ROLE,
    )
    given = role_holders(sandbox)
    read(
        "remove_role_membership",
        organization_identifier=world.ORGANIZATION,
        role_id=world.ROLE,
        role_membership_id=membership["id"],
    )

    assert {"olga@acme.test", "max@acme.test"} == given
    assert {"olga@acme.test"} == role_holders(sandbox)


@operation("read flags")
def test_it_reads_flags_page_by_page(read):
    pages = [
        _results(
            read(
                "list_feature_flags",
                project_identifier=str(world.WEB),
                results_per_page=100,
                results_offset_index=offset,
            )
        )
        for offset in (0, 100, 200)
    ]

    assert world.FLAGS == len({flag["key"] for page in pages for flag in page})


@operation("write flags")
def test_it_creates_a_flag_and_changes_it(write, sandbox):
    body = {"key": "new", "filters": {"groups": [{"rollout_percentage": 20}]}}
    write("create_feature_flag", body, project_unique_identifier=str(world.WEB))
    created = find_flag(sandbox, "new")
    write(
        "update_feature_flags",
        {"active": False, "filters": {"groups": GROUPS}},
        project_identifier=str(world.WEB),
        feature_flag_id=created["id"],
    )
    changed = find_flag(sandbox, "new")

    assert (True, 20) == (created["active"], rollout(created))
    assert (False, 70) == (changed["active"], rollout(changed))


@operation("gated write")
def test_it_reports_a_write_that_waits_for_approval(write, sandbox):
    with pytest.raises(RefusedError, match="409"):
        write(
            "update_feature_flags",
            {"filters": {"groups": GROUPS}},
            project_identifier=str(world.GATED),
            feature_flag_id=world.GATED_FLAG,
        )

    assert_waits_for_approval(sandbox)


@operation("delete flags", answer="refused")
def test_its_hard_delete_is_refused(read, sandbox):
    """Contract 9: DELETE of a flag is 405."""
    with pytest.raises(RefusedError, match="405"):
        read("mark_feature_flag_deleted", project_identifier=str(world.WEB), feature_flag_id=1)

    assert not read_flag(sandbox, 1)["deleted"]


@operation("activity log", answer="not modelled")
def test_the_plain_activity_log_is_not_modelled(read):
    """Contract 1.1: 404, never 403."""
    with pytest.raises(RefusedError, match="404"):
        read("get_project_activity_log", project_identifier=str(world.WEB))
