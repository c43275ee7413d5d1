"""phog-cli (PyPI), a command line whose command is `posthog`."""

import json

import pytest

from tests.clients import world
from tests.clients.effects import assert_waits_for_approval, read_flag, rollout
from tests.clients.running import RefusedError, run_command

CLIENT = "phog-cli"
operation = pytest.mark.operation


@pytest.fixture
def phog(sandbox, environment):  # noqa: ARG001  the sandbox has to be fresh
    """Return a function that runs a command and returns what it prints."""

    def run(*arguments, project=world.WEB):
        variables = {**environment, "POSTHOG_PROJECT_ID": str(project)}
        return run_command("posthog", "--json", "--yes", *arguments, environment=variables)

    return run


@operation("start-up")
def test_it_logs_in(phog, sandbox):
    phog("auth", "login", "--api-key", world.KEY, "--host", sandbox.url)


@operation("start-up", answer="refused")
def test_it_refuses_to_log_in_with_an_unknown_key(phog, sandbox):
    with pytest.raises(RefusedError, match="Authentication failed"):
        phog("auth", "login", "--api-key", "phx_unknown", "--host", sandbox.url)


@operation("organizations")
def test_it_reads_organizations(phog):
    assert world.ORGANIZATION in phog("org", "list")
    assert "Acme" in phog("org", "get", world.ORGANIZATION)


@operation("projects")
def test_it_reads_projects_and_changes_between_them(phog):
    listed = phog("project", "list")

    assert all(name in listed for name in ("Web", "Mobile", "Gated"))
    assert "Mobile" in phog("project", "current", project=world.MOBILE)
    with pytest.raises(RefusedError, match="404"):
        phog("project", "switch", "99")


@operation("read flags")
def test_it_searches_flags_and_reads_a_flag(phog):
    keys = {flag["key"] for flag in json.loads(phog("flag", "list", "--search", "flag-22"))}

    assert {f"flag-22{digit}" for digit in range(10)} == keys
    assert "flag-230" == json.loads(phog("flag", "get", "230"))["key"]


@operation("write flags")
def test_it_creates_a_flag_and_changes_it(phog, sandbox):
    new = ("--key", "new", "--name", "New", "--rollout-percentage", "20")
    number = json.loads(phog("flag", "create", *new))["id"]
    created = read_flag(sandbox, number)
    phog("flag", "update", str(number), "--rollout-percentage", "70", "--no-active")
    changed = read_flag(sandbox, number)

    assert (True, 20) == (created["active"], rollout(created))
    assert (False, 70) == (changed["active"], rollout(changed))


@operation("gated write")
def test_it_reports_a_write_that_waits_for_approval(phog, sandbox):
    change = ("flag", "update", str(world.GATED_FLAG), "--rollout-percentage", "70")
    with pytest.raises(RefusedError, match=r"409.*pending approval"):
        phog(*change, project=world.GATED)

    assert_waits_for_approval(sandbox)


@operation("delete flags", answer="refused")
def test_its_hard_delete_is_refused(phog, sandbox):
    """Contract 9: DELETE of a flag is 405, and the body is a JSON string."""
    with pytest.raises(RefusedError, match=r"405.*Hard delete"):
        phog("flag", "delete", "1")

    assert not read_flag(sandbox, 1)["deleted"]
