"""A repository whose runs are undone."""

import json

from tests import acme
from tests.cli import saved

PLAN = "undo.json"


def apply_files(repo, *documents, code=0, message="change", name="all.yaml"):
    """Commit these documents as the only ones, and apply them."""
    repo.write(name, *documents)
    repo.commit(message)
    done = repo.run("apply", "--yes")
    assert code == done.code, done.out + done.err
    return repo.git("rev-parse", "HEAD").strip()


def undo(repo, *words, code=0, **extra):
    """Make the plan of an undo; what it says, and as its schema says."""
    done = repo.run("undo", *(words or ("HEAD",)), "--out", PLAN, "--format", "json", **extra)
    assert code == done.code, done.out + done.err
    document = json.loads((repo.folder / PLAN).read_text())
    saved.as_its_schema_says(document)
    assert document == done.json
    return document


def apply_undo(repo, *arguments, code=0):
    """Apply the plan of an undo."""
    done = saved.apply(repo, *arguments, name=PLAN)
    assert code == done.code, done.out + done.err
    return done


def rollout(repo, key, group=0):
    """The rollout of a live flag."""
    return saved.live(repo, key)["filters"]["groups"][group]["rollout_percentage"]


def actions(document):
    """{last part of the address: action} of a plan."""
    return {row["address"].split("/")[-1]: row["action"] for row in document["changes"]}


def codes(document):
    """The codes of the findings of a plan."""
    return {row["code"] for row in document["findings"]}


def patch(repo, *words, code=0):
    """Put the change to the files into a commit, by git."""
    done = repo.run("undo", *(words or ("HEAD",)), "--patch")
    assert code == done.code, done.out + done.err
    (repo.folder / ".git" / "change.diff").write_text(done.out)
    repo.git("apply", "--index", ".git/change.diff")
    repo.git("commit", "-q", "-m", "undo")
    return done


def role(*members, name="Release"):
    """A role document."""
    return acme.document("Role", {"members": [f"{m}@acme.test" for m in members]}, name=name)
