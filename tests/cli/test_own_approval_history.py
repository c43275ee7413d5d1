"""Who wrote what a request proposes, when it was filed: found by value, not by date or line."""

from tests import acme
from tests.cli.test_own_approval import committed
from tests.factories import gated
from tests.integration.test_past_requests import REQUESTS

UPDATE = "feature_flag.update"
# flag: who approves, and whether they wrote what it proposes
EXPECTED = {
    "later": ("bob", False),  # bob edits the same field afterwards
    "other": ("bob", True),  # carol edits another field afterwards
    "moved": ("bob", True),  # carol moves and reformats the document afterwards
    "same": ("bob", True),  # carol edits the same field afterwards
    "gone": ("bob", True),  # carol removes the document afterwards
    "format": ("alice", False),  # alice reformatted it before it was filed
    "file": ("alice", False),  # alice moved it to another file before it was filed
    "branch": ("bob", True),  # carol merged bob's branch
    "merger": ("alice", False),  # alice merged bob's branch
    "squash": ("bob", True),  # a squash merge of carol's, with bob as a co-author
    "future": ("bob", True),  # bob's commit says that it was made in ten years
    "past": ("bob", True),  # bob's commit says that it was made ten years ago
    "overlay": ("bob", True),  # bob wrote the overlay
    "below": ("alice", False),  # alice wrote the document, carol the overlay
    "many": ("bob", True),  # bob wrote a document for every project
    "group": ("alice", False),  # alice wrote another group of the same flag long before
    "two": ("bob", True),  # bob wrote one of two groups, carol the other afterwards
    "outside": ("alice", None),  # alice moved it from files that are not applied
    "again": ("alice", False),  # alice wrote the same value a year ago, bob now
}
FUTURE = {"GIT_COMMITTER_DATE": "2045-01-01T00:00:00Z", "GIT_AUTHOR_DATE": "2045-01-01T00:00:00Z"}
PAST = {"GIT_COMMITTER_DATE": "2015-01-01T00:00:00Z", "GIT_AUTHOR_DATE": "2015-01-01T00:00:00Z"}


def groups(*percentages):
    return [{"properties": [], "rollout_percentage": one} for one in percentages]


def write(repo, key, *percentages, folder="config", **spec):
    document = acme.flag(key, **spec)
    if percentages:
        document["spec"]["filters"] = {"groups": groups(*percentages)}
    if key == "many" and folder == "config":
        del document["metadata"]["project"]
        document["metadata"]["projects"] = ["W*"]
    repo.write(f"{folder}/{key}.yaml", document)


def by(repo, who, message="change", **environ):
    repo.git("add", "-A")
    author = f"--author={who} <{who}@acme.test>"
    repo.git("commit", "-q", "-m", message, author, **environ)


def branch(repo, key, who, merger):
    """A branch of one person, merged by another, while the line that it goes to moved on."""
    repo.git("switch", "-q", "-c", f"on-{key}")
    write(repo, key, 50)
    by(repo, who)
    repo.git("switch", "-q", "main")
    write(repo, "below", 1, name=f"while {key}")
    by(repo, "carol")
    repo.git("merge", "-q", "--no-ff", "--no-commit", f"on-{key}")
    by(repo, merger, "merge")


def begin(world):
    flags = [acme.live_flag(key, 1) for key in EXPECTED]
    seed = gated()
    project = seed["organizations"][0]["projects"][0]
    project["feature_flags"] = flags
    condition = {"type": "any_change", "field": "rollout_percentage"}
    project["approval_policies"] = [acme.policy(UPDATE, conditions=condition)]
    repo = world(seed)
    overlays = "overlays: [over]"
    repo.write("reconciler.yaml", f"version: 1\ntargets: {{p: {{paths: [config], {overlays}}}}}\n")
    (repo.folder / ".gitignore").write_text(".reconciler\n")
    for key in EXPECTED:
        write(repo, key, 50) if key == "again" else write(repo, key, 1)
    write(repo, "group", 1, 7)
    write(repo, "two", 1, 7)
    repo.write("over/overlay.yaml", acme.flag("overlay", active=False))
    repo.write("over/below.yaml", acme.flag("below", active=False))
    (repo.folder / "config/outside.yaml").unlink()
    committed(repo, "alice@acme.test", "all of it")
    write(repo, "again", 1)
    by(repo, "carol")
    for one, shares in (("group", (1, 7)), ("two", (1, 7))):
        flag = next(flag for flag in flags if flag["key"] == one)
        flag["filters"] = {"groups": groups(*shares)}
    repo.sandbox.reset(seed)
    assert 0 == repo.run("apply", "--yes").code
    return repo


def propose(repo):
    """What is committed before everything is filed."""
    for key in ("later", "format", "file"):
        write(repo, key, 50)
    by(repo, "carol")
    for key in ("other", "moved", "same", "gone", "many", "again"):
        write(repo, key, 50)
    write(repo, "overlay", 50, folder="over")
    by(repo, "bob")
    write(repo, "below", 50, folder="over")
    write(repo, "outside", 50, folder="drafts")
    write(repo, "group", 50, 7)
    by(repo, "carol")
    write(repo, "two", 50, 7)
    by(repo, "bob")
    write(repo, "two", 50, 60)
    by(repo, "carol")
    text = (repo.folder / "config/format.yaml").read_text()
    repo.write("config/format.yaml", f"# tidy\n{text}\n---\n".removesuffix("---\n"))
    repo.git("mv", "config/file.yaml", "config/renamed.yaml")
    repo.git("mv", "drafts/outside.yaml", "config/outside.yaml")
    by(repo, "alice")
    write(repo, "past", 50)
    by(repo, "bob", **PAST)
    write(repo, "squash", 50)
    by(repo, "carol", "squashed\n\nCo-authored-by: Bob <bob@acme.test>")
    branch(repo, "branch", "bob", "carol")
    branch(repo, "merger", "bob", "alice")
    write(repo, "future", 50)
    by(repo, "bob", **FUTURE)


def move_on(repo):
    """What is committed after everything was approved."""
    write(repo, "later", 80)
    by(repo, "bob")
    write(repo, "other", 50, name="other")
    write(repo, "same", 60)
    repo.git("rm", "-q", "config/gone.yaml")
    repo.write(
        "config/all.yaml", {**acme.flag("moved"), "spec": {"filters": {"groups": groups(50)}}}
    )
    repo.git("rm", "-q", "config/moved.yaml")
    by(repo, "carol")


def test_an_approver_is_compared_with_who_wrote_it_when_it_was_filed(world):
    """One repository, and for each way in which a change comes about one flag."""
    repo = begin(world)
    propose(repo)
    filed = repo.run("apply", "--yes")
    assert 3 == filed.code, filed.out + filed.err
    listed = repo.sandbox.call("GET", f"{REQUESTS}?limit=100", token="phx_alice")[1]["results"]
    assert set(EXPECTED) == {row["intent"]["flag_key"] for row in listed}
    for row in listed:
        who = EXPECTED[row["intent"]["flag_key"]][0]
        path = f"{REQUESTS}{row['id']}/approve/"
        assert 200 == repo.sandbox.call("POST", path, {}, token=f"phx_{who}")[0]
    move_on(repo)

    done = repo.run("apply", "--yes", "--continue", "--format", "json")

    assert done.out, done.err
    found = {
        row["address"].rsplit("/", 1)[1]: row["code"]
        for row in done.json["findings"]
        if row["code"] in {"approved-by-author", "author-unknown"}
    }
    codes = {True: "approved-by-author", None: "author-unknown"}
    assert {key: codes[wrote] for key, (_, wrote) in EXPECTED.items() if wrote in codes} == found
