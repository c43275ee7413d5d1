"""cased-piglet (PyPI), a command line."""

import json

import pytest

from tests.clients import world
from tests.clients.effects import assert_waits_for_approval, read_flag, rollout
from tests.clients.running import RefusedError, run_command

CLIENT = "cased-piglet"
operation = pytest.mark.operation


@pytest.fixture
def piglet(sandbox, environment):  # noqa: ARG001  the sandbox has to be fresh
    """Return a function that runs a command and returns the JSON that it prints."""

    def run(*arguments, project=world.WEB):
        options = ("--json", "--project-id", str(project))
        return json.loads(run_command("piglet", *options, *arguments, environment=environment))

    return run


@operation("start-up")
@operation("projects")
def test_it_reads_projects(piglet):
    names = [project["name"] for project in piglet("projects", "list")["results"]]

    assert ["Web", "Mobile", "Gated"] == names
    assert "Mobile" == piglet("projects", "get", str(world.MOBILE))["name"]


@operation("read flags")
def test_it_reads_the_first_page_of_flags_and_a_flag_by_key(piglet):
    """It knows neither later pages nor where PostHog has kept the rollout since 2026."""
    flags = piglet("flags", "list", "--active")

    assert 100 == len(flags)
    assert world.FLAGS == piglet("flags", "get", "flag-230")["id"]
    assert "rollout_percentage" not in flags[0]


@operation("write flags")
def test_it_creates_a_flag_and_changes_it(piglet, sandbox):
    number = piglet("flags", "create", "--key", "new", "--rollout-percentage", "20")["id"]
    created = read_flag(sandbox, number)
    piglet("flags", "update", str(number), "--rollout-percentage", "70", "--inactive")
    changed = read_flag(sandbox, number)

    assert (True, 20) == (created["active"], rollout(created))
    assert (False, 70) == (changed["active"], rollout(changed))


@operation("gated write")
def test_it_reports_a_write_that_waits_for_approval(piglet, sandbox):
    change = ("flags", "update", str(world.GATED_FLAG), "--rollout-percentage", "70")
    with pytest.raises(RefusedError, match="approval_required"):
        piglet(*change, project=world.GATED)

    assert_waits_for_approval(sandbox)


@operation("delete flags")
def test_it_deletes_a_flag(piglet, sandbox):
    piglet("flags", "delete", "1", "--yes")

    assert read_flag(sandbox, 1)["deleted"]
