"""A rule cannot be weakened and used in one pull request: the rules of the base judge it, too."""

import shutil

import pytest

from tests import acme
from tests.cli.rule_files import SETTINGS, applied, codes, planned, roll_out, rule, rules
from tests.cli.test_base_git import head
from tests.support import Repository

BUILD = {"GITHUB_BASE_REF": "main"}
DENIED = (4, [("rule-denied", "a")])


def dropped(repo):
    repo.write("rules/all.yaml", rules())


def deleted(repo):
    shutil.rmtree(repo.folder / "rules")
    repo.write("reconciler.yaml", SETTINGS.replace("    rules: [rules]\n", ""))


def not_named(repo):
    repo.write("reconciler.yaml", SETTINGS.replace("    rules: [rules]\n", ""))


def other_folder(repo):
    repo.write("lax/all.yaml", rules())
    repo.write("reconciler.yaml", SETTINGS.replace("[rules]", "[lax]"))


def only_warns(repo):
    repo.write("rules/all.yaml", rules(rule(warn="x")))


def never_true(repo):
    repo.write("rules/all.yaml", rules(rule(when="false")))


def selects_nothing(repo):
    repo.write("rules/all.yaml", rules(rule(select=["Role/*"])))


def renamed_target(repo):
    repo.write("reconciler.yaml", SETTINGS.replace("production:", "prod:").replace("[rules]", "[]"))


def no_settings(repo):
    (repo.folder / "reconciler.yaml").unlink()
    shutil.rmtree(repo.folder / "rules")


def moved_settings(repo):
    repo.write("config/reconciler.yaml", "version: 1\ntargets:\n  production: {paths: [.]}\n")
    repo.git("rm", "-qr", "--cached", "rules")
    repo.chdir = ("-C", "config")


WAYS = [
    *(dropped, deleted, not_named, other_folder, only_warns, never_true, selects_nothing),
    *(renamed_target, no_settings, moved_settings),
]


@pytest.mark.parametrize("weaken", WAYS, ids=lambda way: way.__name__)
def test_a_rule_cannot_be_weakened_and_used_in_one_pull_request(world, weaken):
    """Whatever the pull request does to the rule, its file, its folder or the target."""
    repo = applied(world, rule())
    repo.chdir = ()
    repo.git("checkout", "-q", "-b", "feature")
    weaken(repo)
    roll_out(repo, a=100)

    code, rows = planned(repo, *repo.chdir, **BUILD)

    denials = [row for row in rows if row["code"] == "rule-denied"]
    assert (4, 1) == (code, len(denials)), rows
    assert f"of the base {head(repo, 'main')[:10]}" in denials[0]["message"]


@pytest.mark.parametrize("weaken", [dropped, deleted, only_warns], ids=lambda way: way.__name__)
def test_without_a_pull_request_the_applied_commit_is_the_base(world, weaken):
    """`apply` refuses what the plan of the pull request would have refused."""
    repo = applied(world, rule())
    weaken(repo)
    roll_out(repo, a=100)

    assert 4 == repo.run("apply", "--yes").code
    assert [] == repo.sandbox.writes()


def test_a_weaker_rule_counts_once_it_was_applied(world):
    repo = applied(world, rule())
    dropped(repo)
    repo.commit()
    assert 0 == repo.run("apply", "--yes").code
    roll_out(repo, a=100)

    assert (0, []) == codes(repo)
    assert 0 == repo.run("apply", "--yes").code


def test_the_rules_of_the_pull_request_judge_it_too(world):
    """A stricter rule counts at once, and a rule that both have is named once."""
    repo = applied(world, rule())
    repo.git("checkout", "-q", "-b", "feature")
    repo.write("rules/all.yaml", rules(rule(), rule("no-updates", 'change.action == "update"')))
    roll_out(repo, a=100)

    code, rows = planned(repo, **BUILD)

    assert (4, 2) == (code, len(rows))
    assert not [row for row in rows if "of the base" in row["message"]]


def test_a_reworded_rule_is_reported_once(world):
    """By its new text, although the base has another."""
    repo = applied(world, rule())
    repo.write("rules/all.yaml", rules(rule(deny="in other words")))
    roll_out(repo, a=100)

    assert DENIED == codes(repo)


def test_rules_of_the_base_that_cannot_be_read_deny_everything(world):
    """An unreadable file at the base is not a base without rules."""
    repo = applied(world, rule())
    repo.write("rules/all.yaml", "rules: [\n")
    repo.commit()
    repo.git("update-ref", "refs/reconciler/applied/production", "HEAD")
    dropped(repo)
    roll_out(repo, a=20)

    code, (row,) = planned(repo)

    assert (4, "rule-invalid") == (code, row["code"])
    assert 4 == repo.run("apply", "--yes", "--continue").code


def test_a_base_with_unusable_documents_still_has_its_rules(world):
    """That its resources cannot be read does not lift them."""
    repo = applied(world, rule())
    repo.write("config/broken.yaml", "kind: Nothing\n")
    repo.commit()
    repo.git("update-ref", "refs/reconciler/applied/production", "HEAD")
    (repo.folder / "config/broken.yaml").unlink()
    dropped(repo)
    roll_out(repo, a=100)

    assert DENIED == codes(repo)


def test_a_new_target_is_judged_by_the_rules_of_all_targets_of_the_base(world):
    """Until it has a base of its own, it could be another name for one of them."""
    repo = applied(world, rule())
    repo.git("checkout", "-q", "-b", "feature")
    repo.write("reconciler.yaml", f"{SETTINGS}  staging:\n    paths: [config]\n")
    roll_out(repo, a=100)

    assert DENIED == codes(repo, "--target", "staging", **BUILD)


def test_documents_in_another_repository_do_not_lift_the_rules_of_reconciler_yaml(world):
    """A pull request may add a submodule, whose history has no rules."""
    repo = applied(world, rule())
    repo.git("checkout", "-q", "-b", "feature")
    (repo.folder / "other").mkdir()
    other = Repository(repo.folder / "other", repo.sandbox)
    other.write("flags.yaml", acme.flag("a", 10))
    other.commit()
    other.write("flags.yaml", acme.flag("a", 100))
    other.git("checkout", "-q", "-b", "feature")
    other.commit()
    repo.write("reconciler.yaml", "version: 1\ntargets:\n  production: {paths: [other]}\n")
    repo.git("commit", "-qam", "others")

    assert DENIED == codes(repo, **BUILD)


def test_rules_in_a_submodule_count_at_the_base_too(world, tmp_path_factory):
    """A company may keep its rules in a separate repository."""
    shared = Repository(tmp_path_factory.mktemp("shared"), None)
    shared.write("all.yaml", rules(rule()))
    shared.commit()
    repo = applied(world)
    add = ("-c", "protocol.file.allow=always", "submodule", "add", "-q")
    repo.git(*add, str(shared.folder), "rules")
    repo.write("reconciler.yaml", SETTINGS)
    repo.commit()
    assert 0 == repo.run("apply", "--yes").code
    repo.write("reconciler.yaml", SETTINGS.replace("    rules: [rules]\n", ""))
    roll_out(repo, a=100)

    assert DENIED == codes(repo)


def test_authors_are_those_of_the_commits_since_the_base(world):
    """Merges do not count, co-authors do, and `.mailmap` is that of the base."""
    repo = applied(world, rule("authors", "author.size() > 0"))
    repo.write(".mailmap", "<alice@acme.test> <alice@home.test>\n")
    repo.commit()
    assert 0 == repo.run("apply", "--yes").code
    names = {"GIT_AUTHOR_NAME": "Alice", "GIT_AUTHOR_EMAIL": "alice@home.test"}
    expected = '["alice@acme.test", "bob@acme.test"]'
    repo.write("rules/all.yaml", rules(rule("authors", f"author == {expected}")))
    repo.write("config/flags.yaml", acme.flag("a", 20), acme.flag("b", 10))
    repo.commit("change\n\nCo-authored-by: Bob <Bob@acme.test>", **names)

    assert (4, [("rule-denied", "a")]) == codes(repo)
