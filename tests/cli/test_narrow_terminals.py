"""At 80 columns no word is cut in two by the edge of the terminal."""

import re
from itertools import pairwise

import pytest

from tests import acme
from tests.cli.test_progress_board import Screen
from tests.factories import gated

LONG = "config/organizations/acme/projects/storefront/teams/growth/experiments/feature_flags.yaml"


@pytest.fixture
def repo(world):
    repo = world(gated(acme.live_flag("a"), acme.live_flag("b")))
    repo.write("reconciler.yaml", "version: 1\ntargets:\n  acme:\n    paths: [config]\n")
    repo.write(LONG, acme.flag("a", active=True), acme.flag("b", active=True))
    repo.commit()
    return repo


def words_at_the_edge(shown):
    """What ends at the last column, and goes on in the first one; URLs have to stay whole."""
    lines = shown.everything()
    return [
        (line, after)
        for line, after in pairwise(lines)
        if len(line) == shown.screen.columns and after[:1].strip() and "://" not in line
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan",),
        ("validate",),
        ("list",),
        ("drift",),
        ("doctor",),
        ("requests", "list"),
        ("status",),
        ("activity", "list"),
        ("explain", "FeatureFlag"),
        ("pull", "--dry-run"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_word_is_cut_at_the_edge(repo, arguments):
    """Lines end at a space; paths at a slash."""
    assert 3 == repo.run("apply", "--yes").code

    shown = Screen(repo, *arguments, columns=80, rows=60)
    shown.end()

    assert [] == words_at_the_edge(shown)
    assert any(shown.everything())


def test_errors_are_not_cut_either(repo):
    """They are read first."""
    repo.write(LONG, acme.flag("a", active="maybe"))

    shown = Screen(repo, "plan", columns=80, rows=60)
    code = shown.end()

    assert 1 == code
    assert [] == words_at_the_edge(shown)
    assert LONG in re.sub(r"\s", "", "".join(shown.everything()))


def test_a_table_that_does_not_fit_shows_each_request_on_two_lines(repo):
    """At 80 columns; at 120 short IDs are enough, and a pipe gets the whole table."""
    assert 3 == repo.run("apply", "--yes").code
    piped = repo.run("requests", "list").out.splitlines()
    id_ = piped[1].split()[0]

    narrow = Screen(repo, "requests", "list", columns=80)
    narrow.end()
    wide = Screen(repo, "requests", "list", columns=120)
    wide.end()

    assert f"{id_}  pending  acme/Web/b" in narrow.lines()
    assert piped[0].startswith("ID        ")
    assert len(id_) == 36
    assert any(line.startswith(f"{id_[:8]}  pending") for line in wide.lines())
