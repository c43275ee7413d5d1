"""`undo`: only what was live before the run is restored, not what the files declared by then."""

import json
import shutil

import pytest

from tests import acme
from tests.cli.saved import edit_flag, live, seed
from tests.cli.test_undo_runs import APPLIED
from tests.cli.undoing import actions, apply_files, apply_undo, codes, patch, rollout, undo

INVALID = acme.flag("not a key", 1)


def commit_files(repo, *documents):
    """Commit these documents as the only ones, and do not apply them."""
    repo.write("all.yaml", *documents)
    repo.commit()


def keep_all(repo):
    """The clone in which the first apply ran."""


def lose_journals(repo):
    shutil.rmtree(repo.folder / ".reconciler")


def lose_moves(repo):
    """The journals are left."""
    repo.git("update-ref", "-d", APPLIED)


def lose_both(repo):
    lose_journals(repo)
    lose_moves(repo)


@pytest.fixture(params=[keep_all, lose_journals, lose_moves, lose_both])
def first_run(request, world):
    """The first apply, of the second commit; 60 was declared before, and never live."""
    repo = world(seed(acme.live_flag("a", 25), acme.live_flag("b", 5)))
    commit_files(repo, acme.flag("a", 60), acme.flag("b", 5))
    apply_files(repo, acme.flag("a", 50), acme.flag("b", 7))
    request.param(repo)
    return repo


def test_a_value_that_was_never_live_is_not_restored(first_run):
    """The other field was live as the files declared it, and goes back."""
    repo = first_run

    document = undo(repo)
    apply_undo(repo)

    assert {"b": "update"} == actions(document)
    doubt = next(row for row in document["findings"] if row["code"] == "undo-never-live")
    assert "FeatureFlag/acme/Web/a" == doubt["address"]
    assert "rollout_percentage was 25" in doubt["why"]
    assert (50, 5) == (rollout(repo, "a"), rollout(repo, "b"))


def test_the_patch_leaves_out_what_was_never_live(first_run):
    repo = first_run

    patch(repo)

    text = (repo.folder / "all.yaml").read_text()
    assert ("60" in text, "rollout_percentage: 50" in text) == (False, True)


def test_a_flag_that_the_run_created_gets_no_value_from_before(world):
    """The files declared it with 60, and it was created with 50."""
    repo = world(seed(acme.live_flag("a")))
    commit_files(repo, acme.flag("new", 60))
    apply_files(repo, acme.flag("new", 50))

    document = undo(repo)

    assert ({}, True) == (actions(document), "undo-never-live" in codes(document))


@pytest.mark.parametrize("forget", [keep_all, lose_both])
def test_files_that_cannot_be_read_were_not_applied(world, forget):
    """A commit with invalid files between two runs, and before the first."""
    repo = world(seed(acme.live_flag("a", 25)))
    commit_files(repo, acme.flag("a", 60), INVALID)
    first = apply_files(repo, acme.flag("a", 30))
    commit_files(repo, acme.flag("a", 40), INVALID)
    apply_files(repo, acme.flag("a", 50))
    forget(repo)

    before_all = undo(repo, first)
    document = undo(repo)
    apply_undo(repo)

    assert {} == actions(before_all)
    assert {"a": "update"} == actions(document)
    assert 30 == rollout(repo, "a")


def test_an_address_is_searched_past_files_that_cannot_be_read(world):
    repo = world(seed(acme.live_flag("a", 25)))
    apply_files(repo, acme.flag("a", 25))
    commit_files(repo, acme.flag("a", 40), INVALID)
    apply_files(repo, acme.flag("a", 50))
    lose_journals(repo)
    head = repo.git("rev-parse", "HEAD").strip()
    lose_moves(repo)
    shutil.rmtree(repo.folder / ".git" / "logs" / "refs" / "reconciler", ignore_errors=True)
    repo.git("update-ref", APPLIED, head)

    undo(repo, "FeatureFlag/acme/Web/a")
    apply_undo(repo)

    assert 25 == rollout(repo, "a")


def test_drift_that_the_run_overwrote_is_not_taken_for_the_base(world):
    """The base was live once, but not before the run."""
    repo = world(seed(acme.live_flag("a", 10)))
    apply_files(repo, acme.flag("a", 10))
    edit_flag(repo, "a", filters=acme.live_flag("a", 15)["filters"])
    commit_files(repo, acme.flag("a", 50))
    assert 0 == repo.run("apply", "--yes", "--prefer", "git").code

    document = undo(repo)

    assert ({}, {"undo-never-live"}) == (actions(document), codes(document))


def test_what_no_log_shows_is_reverted_with_a_warning(world):
    """Policies are not in the activity log: only the files say what they were."""

    def policy(days):
        spec = {
            "approvers": {"quorum": 1, "users": ["alice@acme.test"]},
            "expires_after": f"{days}d",
        }
        return acme.document("ApprovalPolicy", spec, project="Web", action="feature_flag.enable")

    repo = world(seed(acme.live_flag("a")))
    apply_files(repo, policy(10))
    apply_files(repo, policy(7))

    assert "undo-unconfirmed-value" not in codes(undo(repo, "HEAD", "--allow-weakening"))
    lose_both(repo)
    document = undo(repo, "HEAD", "--allow-weakening")

    assert "undo-unconfirmed-value" in codes(document)
    assert {"feature_flag.enable": "update"} == actions(document)


def rewrite_journals(repo, **changes):
    """Somebody edits the first line of each journal."""
    for path in (repo.folder / ".reconciler" / "runs").glob("*.jsonl"):
        begin, *rest = path.read_text().splitlines()
        path.write_text("\n".join([json.dumps({**json.loads(begin), **changes}), *rest]) + "\n")


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "https://eu.posthog.com"},
        {"target": "another"},
        {"base": "0" * 40},
        {"base": "--output=pwned"},
        {"commit": ["HEAD"], "base": 7},
    ],
)
def test_journals_of_elsewhere_and_edited_ones_do_not_count(world, changes):
    """What they say is checked against git, or left out."""
    repo = world(seed(acme.live_flag("a", 10)))
    apply_files(repo, acme.flag("a", 10))
    apply_files(repo, acme.flag("a", 50), acme.flag("new", 1))
    lose_moves(repo)
    rewrite_journals(repo, **changes)
    (repo.folder / ".reconciler" / "runs" / "29990101T000000.0Z-default.jsonl").write_bytes(
        b'{"event": "begin", "target": "default"}\n[1]\n{"address": {}}\n\xff\xfe'
    )

    undo(repo)
    apply_undo(repo)

    assert (10, None) == (rollout(repo, "a"), live(repo, "new"))


def test_a_journal_of_another_host_does_not_say_what_was_created(world):
    """It would have the flag deleted that somebody made here."""
    repo = world(seed(acme.live_flag("a", 10), acme.live_flag("theirs", 1)))
    apply_files(repo, acme.flag("a", 10))
    apply_files(repo, acme.flag("a", 50), acme.flag("theirs", 1))
    lines = [
        {"event": "begin", "target": "default", "host": "https://eu.posthog.com"},
        {
            "event": "outcome",
            "address": "FeatureFlag/acme/Web/theirs",
            "action": "create",
            "outcome": "done",
        },
    ]
    runs = repo.folder / ".reconciler" / "runs"
    (runs / "29990101T000000.0Z-default.jsonl").write_text("\n".join(map(json.dumps, lines)))

    assert {"a": "update"} == actions(undo(repo))
