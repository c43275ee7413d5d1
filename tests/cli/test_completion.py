"""What a shell offers at Tab, from local files."""

import pytest

from tests import acme
from tests.factories import gated

SETTINGS = "version: 1\ntargets: {dev: {paths: [flags]}, prod: {paths: [flags, more]}}\n"
FLAG = "FeatureFlag/acme/Web/{}"


@pytest.fixture
def repo(world):
    """Return a repository of two targets, one of which declares more."""
    repo = world(gated(acme.live_flag("search"), acme.live_flag("signup")))
    repo.write("reconciler.yaml", SETTINGS)
    repo.write("flags/a.yaml", acme.flag("search", active=True), acme.flag("signup", 20))
    repo.write("more/b.yaml", acme.flag("more", 20))
    return repo


def offered(repo, line, **how):
    """Return what bash offers for a command line that ends with the incomplete word."""
    words = line.split(" ")
    done = repo.run(
        **(how or {"forked": True}),
        COMP_WORDS=" ".join(["reconciler", *words]),
        COMP_CWORD=str(len(words)),
        _RECONCILER_COMPLETE="bash_complete",
        POSTHOG_API_KEY="",
    )
    assert "" == done.err
    return [row.split(",", 1)[1] for row in done.out.split()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("plan --target ", ["dev", "prod"]),
        ("--target p", ["prod"]),
        ("-C nowhere plan --target ", []),
        ("plan --select se", ["search"]),
        ("plan --target prod --select m", ["more"]),
        ("plan --target dev --select m", []),
        ("--target dev plan --select FeatureFlag/acme/Web/si", [FLAG.format("signup")]),
        ("apply --exclude ", [FLAG.format(key) for key in ("more", "search", "signup")]),
        ("list --kind ro", ["Role"]),
        ("explain Feat", ["FeatureFlag"]),
        ("explain FeatureFlag.act", ["FeatureFlag.active"]),
        ("explain FeatureFlag.filters.mul", ["FeatureFlag.filters.multivariate"]),
        ("explain Nothing.a", []),
        ("import -", []),
        ("requests show ", []),
        ("stat", ["status"]),
    ],
)
def test_values_come_from_local_files(repo, line, expected):
    """Nobody is contacted, and nothing is said about what cannot be read."""
    repo.sandbox.clear()
    values = [value for value in offered(repo, line) if not value.startswith("-")]

    assert expected == values
    assert [] == repo.sandbox.requests()


def test_change_requests_come_from_the_journals(repo):
    """The ID, and the address that stands for it."""
    rows = repo.run("apply", "--yes", "--target", "dev", "--json").json["results"]
    [filed] = [row["change_request"] for row in rows if row["outcome"] == "waiting"]

    assert [filed, FLAG.format("search")] == offered(repo, "requests approve ", real_process=True)
    assert [filed] == offered(repo, f"requests wait {filed[:8]}")


def test_broken_files_complete_nothing(repo):
    """And a broken reconciler.yaml neither."""
    repo.write("flags/a.yaml", "kind: [")
    assert [] == offered(repo, "plan --target dev --select ", real_process=True)
    repo.write("reconciler.yaml", "version: [")
    assert [] == offered(repo, "plan --target ")
