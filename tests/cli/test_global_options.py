"""Global options go before or after the command, as in every tool that people know."""

import re
import subprocess
import sys

import click
import pytest

from reconciler.cli import global_options
from reconciler.cli.main import COMMANDS, group, run
from tests import acme


def leaves(command, words):
    """Yield the words of every command that runs something, and the command."""
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from leaves(child, [*words, name])
    else:
        yield words, command


def test_every_command_takes_every_global_option_after_it(capsys):
    """A new command or a new option is covered without an edit here."""
    own = {("sandbox", "--host")}  # the address to listen on
    options = [names for names, _ in global_options._OPTIONS]
    for command in COMMANDS:
        for words, leaf in leaves(group.get_command(None, command), [command]):
            taken = {name for parameter in leaf.params for name in parameter.opts}
            for names in options:
                assert set(names) <= taken or (command, names[0]) in own, (words, names)
            assert 0 == run([*words, "-q", "-v", "--help"]), capsys.readouterr().err


def test_options_mean_the_same_before_and_after_the_command(world, tmp_path):
    """Also -C, and --verbose, which the plan itself advises."""
    repo = world(acme.seed(projects=[{"name": "Web", "feature_flags": [acme.live_flag("a")]}]))
    repo.write("config/flags.yaml", acme.flag("a", 20))
    (tmp_path / "elsewhere").mkdir()
    before = repo.run("--verbose", "-C", "config", "--color", "always", "plan", "--zoom", "fields")
    after = repo.run("plan", "--zoom", "fields", "-vC", "config", "--color=always")

    times = re.compile(r"\S+T\S+Z")
    assert times.sub("", before.out) == times.sub("", after.out)
    assert "\x1b[" in after.out
    assert "rollout_percentage" in after.out
    assert '{"at":' in repo.run("plan", "--log-format", "json").err
    assert 0 == repo.run("requests", "list", "--host", repo.sandbox.url, "--quiet").code


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--target", "a", "plan", "--target", "b"), "for one target, not for a, b"),
        (("plan", "--target", "a", "--target", "b"), "`reconciler fleet` runs for several"),
        (("apply", "--yes", "--target", "eu-*"), "`reconciler fleet` runs for several"),
        (("--host", "http://a", "plan", "--host", "http://b"), "--host is given twice"),
        (("plan", "-C", "nowhere"), "cannot run in nowhere"),
        (("-C", "a.txt", "validate"), "cannot run in a.txt"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(world, arguments, words):
    """Two different targets, or a directory that does not exist: nothing is contacted."""
    repo = world(acme.seed())
    (repo.folder / "a.txt").write_text("")
    done = repo.run(*arguments)

    assert (64, True) == (done.code, words in done.err), done.err
    assert [] == repo.sandbox.requests()


def test_a_target_after_the_command_replaces_that_of_the_environment(world):
    """A target that is typed twice is still one target."""
    repo = world(acme.seed(projects=[{"name": "Web", "feature_flags": [acme.live_flag("a")]}]))
    repo.write("reconciler.yaml", "version: 1\ntargets: {mine: {}, other: {}}\n")
    repo.write("flags.yaml", acme.flag("a", 20))
    plan = ("plan", "--format", "json")

    for words in ((), ("--target", "mine"), ("--target", "mine") * 2):
        assert "mine" == repo.run(*plan, *words, RECONCILER_TARGET="mine").json["target"]["name"]
    replaced = repo.run(*plan, "--target", "other", RECONCILER_TARGET="mine")
    assert "other" == replaced.json["target"]["name"]


@pytest.mark.parametrize("words", [("plan",), ("requests", "show"), ("pull",), ("validate",)])
def test_help_of_a_command_is_quick_and_refers_to_the_global_options(words):
    """It loads neither the planner nor the HTTP client, and no YAML."""
    code = (
        "import sys\nfrom reconciler.cli.main import main\n"
        "import atexit\natexit.register(lambda: print(*[m for m in ('httpx', 'jsonschema', 'yaml')"
        " if m in sys.modules], file=sys.stderr))\n"
        f"sys.argv[1:] = {[*words, '--help']!r}\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "Global options (--target, -C" in done.stdout
    assert done.stderr.split() == []
