"""A change request by a unique beginning of its ID, or by the address of its flag."""

import pytest

from tests import acme
from tests.factories import gated

A = "FeatureFlag/acme/Web/a"


@pytest.fixture
def filed(world):
    """Return a repository, and the IDs of the requests filed for the flags a and b."""
    repo = world(gated(acme.live_flag("a"), acme.live_flag("b")))
    repo.write("flags.yaml", acme.flag("a", active=True), acme.flag("b", active=True))
    rows = repo.run("apply", "--yes", "--format", "json").json["results"]
    return repo, {row["address"]: row["change_request"] for row in rows}


def test_a_beginning_or_an_address_stands_for_the_id(filed):
    """Wherever an ID is expected."""
    repo, ids = filed
    first, second = ids.values()
    length = next(n for n in range(1, 36) if first[:n] != second[:n])

    for words in (first[:length], first[:length].upper(), A):
        shown = repo.run("requests", "show", words, "--format", "json").json
        assert ids[A] == shown["id"]
    assert 3 == repo.run("requests", "wait", A, second[:length], "--timeout", "1s").code
    approved = repo.run("requests", "approve", A, "--yes", token="phx_alice")
    reason = ("--reason", "no", "--yes")
    rejected = repo.run("requests", "reject", second[:length], *reason, token="phx_alice")
    assert (0, 0) == (approved.code, rejected.code), approved.err + rejected.err
    assert "applied" in repo.run("requests", "show", A).out  # no open one is left


def test_an_ambiguous_id_names_the_candidates(world):
    """Exit code 1, and nothing is voted."""
    policies = ("feature_flag.enable", "feature_flag.update")
    repo = world(gated(acme.live_flag("a"), policies=policies))
    repo.write("flags.yaml", acme.flag("a", active=True))
    repo.run("apply", "--yes")
    first = repo.run("requests", "list", "--format", "json").json[0]["id"]
    repo.run("requests", "cancel", A)
    repo.run("apply", "--yes")
    repo.run("requests", "cancel", A)

    done = repo.run("requests", "show", A)

    assert (1, True, True) == (done.code, first in done.err, "matches 2" in done.err), done.err
    assert 1 == repo.run("requests", "approve", A, "--yes", token="phx_alice").code


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("0000", 1, "no change request matches '0000'"),
        ("FeatureFlag/acme/Web/nothing", 1, "no change request matches"),
        ("FeatureFlag/acme/Nowhere/a", 1, "no change request matches"),
        ("a/b/c/d/e", 64, "is not an address"),
        ("../me", 64, "is not an address"),
        ("a b", 64, "is not an ID"),
    ],
)
def test_what_matches_nothing_is_an_error(filed, text, code, words):
    """A wrong form is a usage error."""
    repo, _ = filed
    done = repo.run("requests", "show", text)

    assert (code, True) == (done.code, words in done.err), done.err


def test_wait_has_json(filed):
    """The rows of `requests list`, with the last state of each."""
    repo, ids = filed
    wait = ("requests", "wait", *ids.values(), "--timeout", "1s", "--format", "json")
    before = repo.run(*wait)
    repo.run("requests", "approve", A, "--yes", token="phx_alice")
    after = repo.run(*wait)

    assert (3, {"pending"}) == (before.code, {row["state"] for row in before.json})
    states = {row["id"]: row["state"] for row in after.json}
    assert (3, "applied") == (after.code, states[ids[A]])


def test_cancel_takes_yes(filed):
    """As approve and reject do."""
    repo, _ = filed

    assert 0 == repo.run("requests", "cancel", A, "--yes").code
    assert "rejected" in repo.run("requests", "show", A).out


def test_a_key_stands_for_the_request_about_its_flag(world):
    """As in --select; a key that no request is about matches nothing."""
    repo = world(gated(acme.live_flag("new-nav")))
    repo.write("flags.yaml", acme.flag("new-nav", active=True))
    repo.run("apply", "--yes")

    approved = repo.run("requests", "approve", "new-nav", "--yes", token="phx_alice")

    assert 0 == approved.code, approved.err
    assert "applied" in repo.run("requests", "show", "new-nav").out
    assert 1 == repo.run("requests", "show", "old-nav").code
