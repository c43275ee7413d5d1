"""Words of other tools: carried out where they mean the same, answered with the right name else."""

import pytest

from reconciler.cli.main import COMMANDS
from reconciler.cli.parsing import synonyms
from tests import acme, factories


@pytest.fixture
def repo(world):
    """Return a repository with one flag that differs."""
    repo = world(factories.seed(acme.live_flag("a", 10), acme.live_flag("b", 10)))
    repo.write("flags.yaml", acme.flag("a", 50), acme.flag("b", 50))
    return repo


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--json"),
        ("plan", "-json"),
        ("plan", "-o", "json"),
        ("plan", "-o=json"),
        ("plan", "--output", "json"),
        ("diff", "--json"),
        ("-no-color", "preview", "--json"),
    ],
)
def test_a_synonym_does_what_the_option_does(repo, words):
    """As Terraform and kubectl spell it."""
    assert 2 == repo.run(*words).json["summary"]["update"]


def test_terraform_words_of_apply(repo):
    """One resource, without a question."""
    done = repo.run("apply", "-target=FeatureFlag/acme/Web/a", "-auto-approve", "-parallelism", "1")

    assert (0, 1) == (done.code, len(repo.sandbox.writes())), done.err


def test_help_is_a_command(repo):
    """As in `git help log`."""
    assert "Usage: reconciler plan" in repo.run("help", "plan").out
    assert "Commands:" in repo.run("help").out
    assert (64, True) == ((bare := repo.run()).code, "Commands:" in bare.err)
    assert 64 == repo.run("help", "plna").code


@pytest.mark.parametrize("name", synonyms.OTHER_COMMANDS)
def test_a_command_of_another_tool_is_answered_with_the_right_name(repo, name):
    """And carries nothing out."""
    done = repo.run(name)

    assert (64, True) == (done.code, synonyms.OTHER_COMMANDS[name] in done.err)
    assert [] == repo.sandbox.requests()


@pytest.mark.parametrize("name", synonyms.OTHER_OPTIONS)
def test_an_option_of_another_tool_is_answered_with_the_right_name(repo, name):
    """With a value or without."""
    for words in ((name,), (f"{name}=x",)):
        done = repo.run("apply", "--yes", *words)
        assert (64, True) == (done.code, synonyms.OTHER_OPTIONS[name] in done.err)
    assert [] == repo.sandbox.requests()


def test_what_looks_like_a_synonym_may_be_a_value(repo):
    """The value of an option, and what stands behind `--`, stay as they are."""
    assert "-json" in repo.run("validate", "--", "-json").err
    assert "'-o'" in repo.run("plan", "--select", "-o").err
    assert "write it after the command" in repo.run("--json", "plan").err


def test_a_synonym_hides_no_command():
    """Every replacement is a command of the program."""
    assert set(synonyms.SAME_COMMANDS.values()) <= set(COMMANDS)
    assert {*synonyms.SAME_COMMANDS, *synonyms.OTHER_COMMANDS}.isdisjoint(COMMANDS)


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        (("plan", "--formt", "json"), "no such option: --formt", "did you mean --format"),
        (("plna",), "no such command: plna", "did you mean `plan`?"),
        (("requests", "show"), "missing argument 'ID'", "reconciler requests show --help"),
        (("plan", "--format", "yaml"), "'yaml' is not one of", "reconciler plan --help"),
        (("list", "--kind", "flg"), "no such kind: flg; known: Organization, ", "list --help"),
        (("pull", "--kind", "Rle"), "no such kind: Rle; did you mean Role?", "pull --help"),
        (("requests",), "missing command: reconciler requests COMMAND\n", "of approve, cancel,"),
        (("completion",), "missing argument: SHELL\n", "write one of bash, zsh, fish;"),
        (("ci", "run"), "missing argument: COMMAND\n", "write one of plan, apply, drift, validate"),
    ],
)
def test_a_usage_error_has_the_parts_of_every_error(repo, words, what, fix):
    """What, state and fix; in the log of a build, too."""
    done = repo.run(*words)
    logged = repo.run("--log-format", "json", *words)

    assert 64 == done.code == logged.code
    assert done.err.startswith("error: ")
    assert (True, True) == (what in done.err, fix in done.err), done.err
    assert "state: nothing was contacted, nothing was written" in done.err
    assert ('"fix": ' in logged.err) == (words != ("plna",))  # no command, no run
