"""The question before something is written, on a terminal."""

import pytest

from tests import acme, support
from tests.factories import gated

QUESTION = "[y/N]:"
NAME = "Type the name of the target to confirm:"
SETTINGS = "version: 1\ntargets: {production: {paths: [flags], confirm: name}}\n"


@pytest.fixture
def repo(world):
    """Return a repository in which one change waits and one does not."""
    repo = world(gated(acme.live_flag("a"), acme.live_flag("b")))
    repo.write("flags/all.yaml", acme.flag("a", active=True), acme.flag("b", name="B"))
    repo.sandbox.clear()
    return repo


def test_the_question_names_target_host_and_numbers(repo):
    """And a no is not an error."""
    host = repo.sandbox.url.removeprefix("http://")
    code, shown = support.answer(repo, ("apply",), ends=QUESTION, typed="n")

    assert f"Apply 2 changes to default ({host})? 1 will wait for approval. [y/N]:" in shown
    assert "Cancelled. Nothing was changed." in shown.splitlines()
    assert 1 == code
    assert [] == repo.sandbox.writes()


def test_the_question_says_how_long_the_rate_limit_makes_it_take(repo):
    """So does the plan."""
    limit = "version: 1\ntargets: {default: {rate_limit: {per_minute: 1}}}\n"
    repo.write("reconciler.yaml", limit)
    done = repo.run("plan")

    assert "Takes at least 1m (rate limit)." in done.out


@pytest.mark.parametrize(
    ("typed", "code", "writes"),
    [("production", 3, 2), ("y", 1, 0), ("Production", 1, 0), ("", 1, 0)],
)
def test_a_target_may_want_its_name(repo, typed, code, writes):
    """`confirm: name`; nothing else is a yes."""
    repo.write("reconciler.yaml", SETTINGS)
    ended, shown = support.answer(repo, ("apply",), ends=NAME, typed=typed)

    assert (code, writes) == (ended, len(repo.sandbox.writes())), shown
    assert ("Cancelled. Nothing was changed." in shown) == (writes == 0)
    assert "Apply 2 changes to production" in shown


def test_yes_skips_the_question(repo):
    """Also where the name would have to be typed."""
    repo.write("reconciler.yaml", SETTINGS)

    assert 3 == repo.run("apply", "--yes").code


def test_revert_asks_in_the_same_way(repo):
    """Its question says what it does."""
    repo.write("reconciler.yaml", SETTINGS)
    repo.write("flags/all.yaml", acme.flag("b", name="B"))
    repo.commit()
    code, shown = support.answer(repo, ("drift", "--revert"), ends=NAME, typed="no")

    assert (1, True) == (code, "Revert 1 change to production" in shown)
    assert [] == repo.sandbox.writes()


def test_a_wrong_value_of_confirm_is_an_error(repo):
    """With its place."""
    repo.write("reconciler.yaml", SETTINGS.replace("name", "nmae"))
    done = repo.run("plan")

    assert (1, True) == (done.code, 'cannot be "nmae"' in done.err), done.err
