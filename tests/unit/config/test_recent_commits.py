"""What the files said at the last commits: how far back, of which documents, and what stops it."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.config.targets import Target
from reconciler.git import repository
from reconciler.operations.policy_history import History
from tests import acme
from tests.support import CLEAN, Repository

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)


@pytest.fixture
def repo(tmp_path):
    return Repository(tmp_path, None)


def commit(repo, days_ago):
    at = (NOW - timedelta(days=days_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    repo.commit("c", GIT_COMMITTER_DATE=at, GIT_AUTHOR_DATE=at)


def states(repo, *names, paths=(".",), overlays=()):
    """What each state says of the percentages of flags, by key."""
    target = Target("default", paths=tuple(map(Path, paths)), overlays=tuple(map(Path, overlays)))
    state = repository.read_state(repo.folder)
    found = History(target, repo.folder, NOW, state).read_recent(list(names) or None)
    return [
        {
            address.name: resource.spec["filters"]["groups"][0]["rollout_percentage"]
            for address, resource in one.declared.resources.items()
            if "filters" in resource.spec
        }
        for one in found
    ]


def steps(repo, *moves, key="a", file="flags.yaml"):
    for days_ago, percentage in moves:
        repo.write(file, acme.flag(key, percentage))
        commit(repo, days_ago)


def test_it_begins_before_the_first_commit_of_the_last_days(repo):
    """What is older is the first state; then one state a commit."""
    steps(repo, (30, 1), (20, 2), (3, 3), (1, 4))

    assert [{"a": 2}, {"a": 3}, {"a": 4}] == states(repo, "a")


def test_a_new_repository_begins_with_nothing(repo):
    """There was no document before the first commit."""
    steps(repo, (1, 5))

    assert [{}, {"a": 5}] == states(repo, "a")


def test_only_documents_that_are_asked_for_are_read_and_only_their_commits_count(repo):
    """Whatever else a file holds, and however broken it was."""
    repo.write("flags.yaml", acme.flag("a", 1), acme.flag("a-b", 2))
    commit(repo, 3)
    repo.write("flags.yaml", acme.flag("a", 1), acme.flag("a-b", 3))
    commit(repo, 2)
    repo.write("flags.yaml", "kind: [broken\n---\n" + str(acme.flag("a", 4)))
    commit(repo, 1)

    assert [{}, {"a": 1}, {"a": 4}] == states(repo, "a")


def test_a_state_that_cannot_be_read_is_left_out(repo):
    """It was never applied, either."""
    steps(repo, (3, 1))
    repo.write("flags.yaml", "kind: FeatureFlag\nmetadata: [a]\n")
    commit(repo, 2)
    steps(repo, (1, 5))

    assert [{}, {"a": 1}, {"a": 5}] == states(repo, "a")


def test_overlays_are_merged_as_they_were(repo):
    """The value is that of the overlay, at each commit."""
    repo.write("config/flags.yaml", acme.flag("a", 1))
    repo.write("over/flags.yaml", acme.flag("a", 10))
    commit(repo, 3)
    repo.write("over/flags.yaml", acme.flag("a", 20))
    commit(repo, 2)

    found = states(repo, "a", paths=["config"], overlays=["over"])

    assert [{}, {"a": 10}, {"a": 20}] == found


def test_a_merge_is_one_step(repo):
    """What happened on a branch was not applied commit by commit."""
    steps(repo, (3, 1))
    repo.git("checkout", "-q", "-b", "work")
    steps(repo, (2, 2), (2, 3))
    repo.git("checkout", "-q", "main")
    at = (NOW - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    dates = {"GIT_COMMITTER_DATE": at, "GIT_AUTHOR_DATE": at}
    repo.git("merge", "-q", "--no-ff", "-m", "m", "work", **dates)

    assert [{}, {"a": 1}, {"a": 3}] == states(repo, "a")


def test_a_shallow_clone_tells_what_it_has(repo, tmp_path_factory):
    """Its first commit is the beginning of the world."""
    steps(repo, (3, 1), (2, 2), (1, 3))
    clone = tmp_path_factory.mktemp("clone")
    command = ["git", "clone", "-q", "--depth", "2", f"file://{repo.folder}", str(clone)]
    subprocess.run(command, check=True, env=CLEAN)

    assert [{}, {"a": 2}, {"a": 3}] == states(Repository(clone, None), "a")


def test_without_git_or_without_a_commit_there_is_no_past(repo):
    """And no error."""
    repo.write("flags.yaml", acme.flag("a", 1))
    assert [] == states(repo, "a")

    repo.git("init", "-q")
    assert [] == states(repo, "a")


def test_paths_outside_the_repository_have_no_past(repo, tmp_path_factory):
    """Nothing is known of them."""
    steps(repo, (1, 1))

    assert [] == states(repo, "a", paths=[str(tmp_path_factory.mktemp("other"))])


def test_links_and_folders_with_strange_names_do_no_harm(repo):
    """Nothing but plain files is read."""
    steps(repo, (3, 1))
    (repo.folder / "link.yaml").symlink_to("flags.yaml")
    repo.write("-odd/$(x)/a b.yaml", acme.flag("b", 7))
    commit(repo, 2)

    assert [{}, {"a": 1}, {"a": 1, "b": 7}] == states(repo, "a", "b")
