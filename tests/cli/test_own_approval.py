"""Self-approval by proxy: the pipeline files, and the author of the commit approves."""

import pytest

from tests import acme
from tests.factories import gated
from tests.integration.test_past_requests import REQUESTS
from tests.integration.test_waiting import deciding


def committed(repo, by, message="change", trailers=""):
    """Commit what there is, as somebody."""
    name = by.partition("@")[0]
    if not (repo.folder / ".git").exists():
        repo.git("init", "-q", "-b", "main")
    repo.git("add", "-A")
    body = f"{message}\n\n{trailers}" if trailers else message
    repo.git("commit", "-q", "-m", body, f"--author={name} <{by}>")


def office(world, author="bob@acme.test", trailers="", mailmap=""):
    """Two flags in one file; the author changes the second one in a commit of their own."""
    repo = world(gated(acme.live_flag("a"), acme.live_flag("b")))
    (repo.folder / ".gitignore").write_text(".reconciler\n")
    repo.write("all.yaml", acme.flag("a", active=False), acme.flag("b", active=False))
    (repo.folder / ".mailmap").write_text(mailmap)
    committed(repo, "carol@acme.test", "before")
    assert 0 == repo.run("apply", "--yes", "all.yaml").code
    repo.git("update-ref", "refs/reconciler/applied/default", "HEAD")
    repo.write("all.yaml", acme.flag("a", active=False), acme.flag("b", active=True))
    committed(repo, author, "enable b", trailers)
    return repo


def approve(repo, who):
    listed = repo.sandbox.call("GET", REQUESTS, token="phx_alice")[1]["results"]
    path = f"{REQUESTS}{listed[0]['id']}/approve/"
    status, body = repo.sandbox.call("POST", path, {}, token=f"phx_{who}")
    assert 200 == status, body
    return listed[0]["id"]


def told(done):
    return {row["code"]: row for row in done.json.get("findings", ())}


@pytest.mark.parametrize(
    ("author", "trailers", "approver", "code"),
    [
        ("bob@acme.test", "", "bob", "approved-by-author"),
        ("Bob@Acme.test", "", "bob", "approved-by-author"),
        ("bob@acme.test", "", "alice", None),
        ("carol@acme.test", "Co-authored-by: Bob <bob@acme.test>", "bob", "approved-by-author"),
        ("7+bob@users.noreply.github.com", "", "bob", "author-unknown"),
    ],
)
def test_the_next_run_says_who_approved_their_own_change(world, author, trailers, approver, code):
    """Approver against commit author, by email; who cannot be told is not passed over."""
    repo = office(world, author, trailers)
    assert 3 == repo.run("apply", "--yes").code
    id_ = approve(repo, approver)

    done = repo.run("apply", "--yes", "--format", "json")

    found = told(done)
    assert 0 == done.code, done.err
    assert ({code} if code else set()) == set(found)
    if code == "approved-by-author":
        message = found[code]["message"]
        assert "FeatureFlag/acme/Web/b" in message
        assert id_ in message
        assert "bob@acme.test" in message


def test_the_first_apply_of_all_has_no_base_and_tells_it_too(world):
    """Nothing was applied yet: what was asked since the document was committed counts."""
    repo = world(gated(acme.live_flag("a"), acme.live_flag("b")))
    repo.write("all.yaml", acme.flag("a", active=False), acme.flag("b", active=True))
    committed(repo, "bob@acme.test")
    assert 3 == repo.run("apply", "--yes", "all.yaml").code
    approve(repo, "bob")

    done = repo.run("apply", "--yes", "all.yaml", "--format", "json")

    assert (0, {"approved-by-author"}) == (done.code, set(told(done)))


def test_who_changed_another_document_of_the_file_is_not_its_author(world):
    """The lines of the document count, not its file."""
    repo = office(world, "carol@acme.test")
    documents = [acme.flag("a", active=False, name="A"), acme.flag("b", active=True)]
    repo.write("all.yaml", *documents, acme.flag("c", 5, active=False))
    committed(repo, "bob@acme.test", "name a, and c after b")
    assert 3 == repo.run("apply", "--yes").code
    approve(repo, "bob")

    done = repo.run("apply", "--yes", "--format", "json")

    assert (0, {}) == (done.code, told(done))


MAP = "Bob <bob@acme.test> <7+bob@users.noreply.github.com>\n"


@pytest.mark.parametrize(
    ("author", "before", "after", "code"),
    [
        ("7+bob@users.noreply.github.com", MAP, None, "approved-by-author"),
        ("7+bob@users.noreply.github.com", "", MAP, "author-unknown"),
        ("bob@acme.test", "", "Carol <carol@acme.test> <bob@acme.test>\n", "approved-by-author"),
        ("carol@acme.test", "", "Bob <bob@acme.test> <carol@acme.test>\n", None),
    ],
)
def test_a_mailmap_counts_as_it_was_applied(world, author, before, after, code):
    """It says whose an address is; in the change itself it could hide or accuse anybody."""
    repo = office(world, author, mailmap=before)
    if after is not None:
        (repo.folder / ".mailmap").write_text(after)
        repo.git("add", "-A")
        repo.git("commit", "-q", "--amend", "--no-edit")
    assert 3 == repo.run("apply", "--yes").code
    approve(repo, "bob")

    found = told(repo.run("apply", "--yes", "--format", "json"))

    assert ({code} if code else set()) == set(found)
    if code and after is not None:
        assert ".mailmap was changed" in found[code]["why"]


def test_a_vote_below_quorum_is_told_by_plan(world):
    """Before it is too late: one of two approvals is the author's own."""
    seed = gated(acme.live_flag("a"), acme.live_flag("b"))
    config = seed["organizations"][0]["projects"][0]["approval_policies"][0]["approver_config"]
    config["quorum"] = 2
    repo = world(seed)
    repo.write("all.yaml", acme.flag("b", active=True))
    committed(repo, "bob@acme.test")
    assert 3 == repo.run("apply", "--yes", "all.yaml").code
    approve(repo, "bob")

    plan = repo.run("plan", "--format", "json", "all.yaml")
    text = repo.run("plan", "all.yaml")

    assert "approved-by-author" in {row["code"] for row in plan.json["findings"]}
    assert "approved by its own author: bob@acme.test" in text.out.replace("\n  ", " ")


def test_while_it_waits_the_run_says_it_itself(world):
    """A note on what was approved in the same run."""
    repo = office(world)
    repo.time = deciding(repo, 20, call=lambda repo: approve(repo, "bob"))
    done = repo.run("apply", "--yes", "--wait", "1m", "--format", "json")

    row = next(row for row in done.json["results"] if row["address"].endswith("/b"))
    assert (0, "done") == (done.code, row["outcome"])
    assert "approved by its own author: bob@acme.test" in row["note"]


def test_a_clean_run_asks_nothing_of_requests(world):
    """Only where files moved since the base and are live by now: one listing, and then none."""
    repo = office(world)
    assert 3 == repo.run("apply", "--yes").code
    approve(repo, "alice")
    assert 0 == repo.run("apply", "--yes").code
    repo.sandbox.clear()

    assert 0 == repo.run("apply", "--yes").code

    assert [] == [row for row in repo.sandbox.requests() if "change_requests" in row["path"]]
