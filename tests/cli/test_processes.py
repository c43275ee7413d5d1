"""Each command once as people start it: the console script, in a process of its own."""

import pytest

from reconciler.cli.main import COMMANDS
from tests import acme, factories

CALLS = {
    "activity": (("activity", "list"), 0, "No entries."),
    "apply": (("apply", "--yes"), 0, "Apply: 1 done"),
    "ci": (("ci", "run", "plan"), 0, "1 to update"),
    "completion": (("completion", "bash"), 0, "complete"),
    "conformance": (("conformance", "--help"), 0, "--project"),  # it needs an empty project
    "coverage": (("coverage",), 0, "LOSE COVERAGE"),
    "doctor": (("doctor",), 0, "a personal API key"),
    "drift": (("drift",), 2, "rollout_percentage"),
    "explain": (("explain", "FeatureFlag"), 0, "filters"),
    "fleet": (("fleet", "plan"), 0, "default"),
    "init": (("init", "new"), 0, "new"),
    "list": (("list",), 0, "FeatureFlag/acme/Web/a  all.yaml:1"),
    "plan": (("plan",), 0, "1 to update"),
    "pull": (("pull", "--out", "pulled"), 0, "pulled"),
    "replay": (("replay",), 1, ""),
    "requests": (("requests", "list"), 0, "No change requests"),
    "rules": (("rules", "list"), 0, "No rules"),
    "sandbox": (("sandbox", "--help"), 0, "--seed"),  # every other test starts it
    "schema": (("schema",), 0, "FeatureFlag"),
    "show": (("show", "missing.json"), 1, ""),
    "status": (("status",), 0, "base:"),
    "undo": (("undo", "HEAD"), 0, "Nothing to undo"),
    "validate": (("validate",), 0, "Valid: 1 resource"),
}


def test_each_command_is_in_the_table():
    assert set(CALLS) == set(COMMANDS)


@pytest.mark.parametrize("name", CALLS)
def test_the_console_script_runs_it(world, name):
    """Its exit code reaches the shell, and its words standard output."""
    repo = world(factories.seed(acme.live_flag("a", 10)))
    repo.write("all.yaml", acme.flag("a", 50))
    repo.commit()
    words, code, said = CALLS[name]

    done = repo.run(*words, real_process=True)

    assert (code, True) == (done.code, said in done.out), done.out + done.err
