"""`undo`: which run applied a commit, with journals and refs, and with git alone."""

import shutil

import pytest

from tests import acme
from tests.cli.saved import live, seed
from tests.cli.undoing import actions, apply_files, apply_undo, codes, rollout, undo
from tests.support import Repository

APPLIED = "refs/reconciler/applied/default"


@pytest.fixture
def repo(world):
    """Three runs: a flag goes from 10 to 20 to 30, and another is created by the last."""
    repo = world(seed(acme.live_flag("a"), acme.live_flag("b")))
    apply_files(repo, acme.flag("a", 10), acme.flag("b", 10))
    apply_files(repo, acme.flag("a", 20), acme.flag("b", 10))
    apply_files(repo, acme.flag("a", 30), acme.flag("b", 10), acme.flag("new", 1))
    return repo


def forget(repo):
    """Leave only what a build has: the commits, and the ref that was fetched."""
    head = repo.git("rev-parse", APPLIED).strip()
    repo.git("update-ref", "-d", APPLIED)
    shutil.rmtree(repo.folder / ".git" / "logs" / "refs" / "reconciler", ignore_errors=True)
    repo.git("update-ref", APPLIED, head)
    shutil.rmtree(repo.folder / ".reconciler")
    assert "" == repo.git("reflog", "show", APPLIED).strip()


def test_without_journals_and_ref_moves_a_commit_is_compared_with_its_parent(repo):
    """The plan is the same, and says that it does not know what was applied together."""
    expected = undo(repo)["changes"]
    forget(repo)

    document = undo(repo)
    apply_undo(repo)

    assert expected == document["changes"]
    assert {"undo-run-unknown"} == codes(document)
    assert (20, None) == (rollout(repo, "a"), live(repo, "new"))


def test_without_journals_the_activity_log_is_read_once(repo):
    """For what the run updated, and for what it may have created."""
    forget(repo)
    repo.sandbox.clear()

    assert {"a": "update", "new": "delete"} == actions(undo(repo))
    listings = [row for row in repo.sandbox.requests() if "activity_logs" in row["path"]]
    assert 1 == len(listings), listings


def test_without_journals_an_address_is_searched_in_the_history(repo):
    forget(repo)

    document = undo(repo, "FeatureFlag/acme/Web/a")

    assert ([30], [20]) == tuple(
        [field[side] for row in document["changes"] for field in row["fields"]]
        for side in ("live", "desired")
    )
    assert {"new": "delete"} == actions(undo(repo, "FeatureFlag/acme/Web/new"))


def test_without_any_trace_of_an_apply_a_commit_can_still_be_named(repo):
    """What is live decides; an address cannot be looked up."""
    forget(repo)
    repo.git("update-ref", "-d", APPLIED)

    assert {"a": "update", "new": "delete"} == actions(undo(repo))
    done = repo.run("undo", "FeatureFlag/acme/Web/a")
    assert (1, True) == (done.code, "nothing says when" in done.err)
    assert "reconciler undo COMMIT" in done.err


def test_a_merge_is_compared_with_the_branch_that_it_went_to(repo):
    """That is what the run of the merge applied."""
    repo.git("switch", "-q", "-c", "topic")
    repo.write("b.yaml", acme.flag("c", 5))
    repo.commit()
    repo.git("switch", "-q", "main")
    repo.git("merge", "-q", "--no-ff", "-m", "merge", "topic")
    assert 0 == repo.run("apply", "--yes").code
    forget(repo)

    assert {"c": "delete"} == actions(undo(repo))


def test_a_run_that_failed_in_part_is_known_by_its_journal(repo):
    """No ref has moved over its commits, and what it wrote is reverted."""
    repo.write("all.yaml", acme.flag("a", 40), acme.flag("b", 10), acme.flag("new", 1))
    repo.commit()
    broken = acme.flag("broken", 1)
    del broken["spec"]["filters"]
    repo.write("all.yaml", acme.flag("a", 40), acme.flag("b", 50), acme.flag("new", 1), broken)
    repo.commit()
    assert 1 == repo.run("apply", "--yes").code

    document = undo(repo, "HEAD~1")
    by_address = undo(repo, "FeatureFlag/acme/Web/a")
    apply_undo(repo)

    assert {"a": "update", "b": "update"} == actions(document)
    assert {"undo-run-unknown"} == codes(document)
    assert {"a": "update"} == actions(by_address)
    assert (30, 50) == (rollout(repo, "a"), rollout(repo, "b"))


def test_a_part_that_was_selected_is_reverted_by_what_is_live(repo):
    """A run with --select moves no ref; what it left out was never applied."""
    repo.write("all.yaml", acme.flag("a", 40), acme.flag("b", 50), acme.flag("new", 1))
    repo.commit()
    assert 0 == repo.run("apply", "--yes", "--select", "a").code

    assert {"a": "update"} == actions(undo(repo))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("0123456789", "neither a commit nor the name of a resource"),
        ("nobody", "neither a commit nor the name of a resource"),
        ("FeatureFlag/acme/Web/nobody", "was never applied"),
        ("FeatureFlag/acme/Web/B", "was never applied"),
        ("Flag/acme/Web/a", "neither a commit nor the name of a resource"),
    ],
)
def test_what_is_unknown_is_an_error(repo, word, said):
    repo.sandbox.clear()

    done = repo.run("undo", word)

    assert (1, "") == (done.code, done.out)
    assert said in done.err
    assert [] == repo.sandbox.requests()


def test_what_is_declared_and_was_never_applied_is_an_error(repo):
    repo.write("later.yaml", acme.flag("later", 1))
    repo.commit()

    done = repo.run("undo", "FeatureFlag/acme/Web/later")

    assert (1, True) == (done.code, "was never applied" in done.err)


def test_a_name_that_is_ambiguous_is_an_error(repo):
    """Two resources of one name; a branch of the name of a resource."""
    repo.write("more.yaml", acme.flag("a", 1, project="Mobile"))
    repo.commit()
    repo.git("branch", "b")

    two, both = repo.run("undo", "a"), repo.run("undo", "b")

    assert (1, 1) == (two.code, both.code)
    assert "FeatureFlag/acme/Mobile/a, FeatureFlag/acme/Web/a" in two.err
    assert "is a commit, and the name of FeatureFlag/acme/Web/b" in both.err


def test_a_commit_of_another_branch_is_an_error(repo):
    repo.git("switch", "-q", "-c", "topic", "HEAD~1")
    repo.commit("elsewhere")
    repo.git("switch", "-q", "main")

    done = repo.run("undo", "topic")

    assert (1, True) == (done.code, "is not in the history of HEAD" in done.err)


def test_a_shallow_clone_says_which_depth_to_set(repo, tmp_path_factory):
    """The commit before is not here; nothing is guessed."""
    folder = tmp_path_factory.mktemp("clone")
    repo.git("clone", "-q", "--depth", "1", f"file://{repo.folder}", str(folder))
    clone = Repository(folder, repo.sandbox)

    for word in ("HEAD", "HEAD~1", "FeatureFlag/acme/Web/a"):
        done = clone.run("undo", word)
        assert 1 == done.code, done.out
    assert "fetch-depth: 0" in clone.run("undo", "HEAD").err


def test_outside_git_it_is_an_error(world):
    repo = world(seed(acme.live_flag("a")))
    repo.write("all.yaml", acme.flag("a", 10))

    done = repo.run("undo", "HEAD")

    assert (1, True) == (done.code, "undo needs a git repository" in done.err)


def test_the_first_commit_has_nothing_before_it(world):
    """What it created is deleted; what was there before keeps its values."""
    repo = world(seed(acme.live_flag("a"), acme.live_flag("b")))
    apply_files(repo, acme.flag("a", 50), acme.flag("new", 1))

    document = undo(repo)
    apply_undo(repo)

    assert {"new": "delete"} == actions(document)
    assert "undo-not-created" in codes(document)
    assert (50, None) == (rollout(repo, "a"), live(repo, "new"))
