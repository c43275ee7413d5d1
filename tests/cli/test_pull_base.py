"""`pull` against the base: git's changes stay in the files, PostHog's come into them."""

import yaml

from tests import acme, factories
from tests.factories import gated

FLAG = "FeatureFlag/acme/Web"
PATH = "/api/projects/1/feature_flags/"
GIT = {  # flag: spec before, spec after in git
    "waits": ({"active": False}, {"active": True}),
    "moved": ({"rollout": 10}, {"rollout": 10}),
    "both": ({"rollout": 10}, {"rollout": 30}),
    "halves": ({"rollout": (10, 10)}, {"rollout": (10, 20)}),
    "less": ({"name": "less", "active": False}, {"active": False}),
    "gone": ({"active": False}, None),
    "dead": ({"active": False}, {"state": "absent"}),
    "tags": ({"tags": ["w", "x"]}, {"tags": ["w", "x", "y"]}),
    "new": (None, {"rollout": 5}),
}
LIVE = {"moved": (40,), "both": (50,), "halves": (60, 10)}  # what somebody wrote in PostHog
KEPT = {
    ("waits", "active"): ("intent", True),
    ("both", "filters.groups[0].rollout_percentage"): ("conflict", False),
    ("halves", "filters.groups[1].rollout_percentage"): ("intent", False),
    ("less", "name"): ("intent", False),
    ("gone", ""): ("intent", False),
    ("tags", "tags"): ("intent", False),
    ("dead", ""): ("intent", False),
    ("new", ""): ("intent", False),
}


def filters(shares):
    return {"groups": [{"properties": [], "rollout_percentage": one} for one in shares]}


def document(key, rollout=None, state=None, **spec):
    found = acme.flag(key, **spec)
    if rollout is not None:
        shares = rollout if isinstance(rollout, tuple) else (rollout,)
        found["spec"]["filters"] = filters(shares)
    if state is not None:
        found["metadata"]["lifecycle"] = {"state": state}
    return found


def declare(repo, side):
    rows = [(key, sides[side]) for key, sides in GIT.items() if sides[side] is not None]
    repo.write("config/all.yaml", *(document(key, **spec) for key, spec in rows))
    repo.commit()


def begin(world):
    flags = []
    for key, (before, _) in GIT.items():
        if before is not None:
            share = before.get("rollout", 10)
            shares = share if isinstance(share, tuple) else (share,)
            flags.append({**acme.live_flag(key), "filters": filters(shares)})
    repo = world(gated(*flags))
    repo.write("reconciler.yaml", "version: 1\ntargets: {p: {paths: [config]}}\n")
    (repo.folder / ".gitignore").write_text(".reconciler\n")
    declare(repo, 0)
    assert 0 == repo.run("apply", "--yes").code
    declare(repo, 1)
    assert 3 == repo.run("apply", "--yes", "--select", f"{FLAG}/waits").code
    listed = repo.sandbox.call("GET", PATH, token="phx_alice")[1]["results"]
    ids = {row["key"]: row["id"] for row in listed}
    for key, wanted in LIVE.items():
        body = {"filters": filters(wanted)}
        status, _ = repo.sandbox.call("PATCH", f"{PATH}{ids[key]}/", body, token="phx_alice")
        assert 200 == status
    body = {"tags": ["x", "z"]}
    assert 200 == repo.sandbox.call("PATCH", f"{PATH}{ids['tags']}/", body, token="phx_alice")[0]
    return repo


def found(repo, name="config/all.yaml"):
    documents = yaml.safe_load_all((repo.folder / name).read_text())
    return {one["metadata"]["key"]: one for one in documents}


def rollout(document):
    return [one["rollout_percentage"] for one in document["spec"]["filters"]["groups"]]


def test_git_keeps_what_posthog_does_not_have_yet(world):
    """Every way in which one side moves, or both; a dry run says the same and writes nothing."""
    repo = begin(world)
    only = ("--kind", "FeatureFlag", "--project", "Web")

    dry = repo.run("pull", *only, "--dry-run", "--format", "json")
    assert "" == repo.git("status", "--porcelain")
    done = repo.run("pull", *only, "--format", "json")

    assert (0, 0) == (dry.code, done.code), done.err
    assert {**dry.json, "dry_run": False} == done.json
    kept = {
        (row["address"].rsplit("/", 1)[1], row["path"]): (
            row["cause"],
            row["change_request"] is not None,
        )
        for row in done.json["kept"]
    }
    assert kept == KEPT
    now = found(repo)
    assert now["waits"]["spec"]["active"] is True
    shares = {key: rollout(now[key]) for key in ("moved", "both", "halves", "new")}
    assert shares == {"moved": [40], "both": [30], "halves": [60, 20], "new": [5]}
    assert now["tags"]["spec"]["tags"] == ["x", "y", "z"]
    assert "name" not in now["less"]["spec"]
    assert "gone" not in now
    assert not (repo.folder / "config/acme/Web/feature_flags.yaml").exists()
    repo.commit("pulled")
    again = repo.run("pull", *only)
    assert "" == repo.git("status", "--porcelain")
    assert "waits for change request" in again.out
    assert "git and PostHog have both changed it" in again.out


def test_adopting_drift_keeps_the_same(world):
    """`drift --adopt` takes what PostHog changed, and leaves what git changed too."""
    repo = begin(world)

    done = repo.run("drift", "--adopt", "--format", "json")

    now = found(repo)
    shares = {key: rollout(now[key]) for key in ("moved", "both", "halves", "new")}
    assert shares == {"moved": [40], "both": [30], "halves": [60, 20], "new": [5]}
    left = {row["address"].rsplit("/", 1)[1] for row in done.json["left_out"]}
    assert (1, {"both", "tags"}) == (done.code, left)
    assert now["tags"]["spec"]["tags"] == ["w", "x", "y"]


def test_without_a_base_what_is_live_wins(world):
    """Nothing was applied, or there is no git: nobody knows which side has moved."""
    repo = world(factories.seed(acme.live_flag("a", 10)))
    repo.write("config/all.yaml", document("a", rollout=20))

    done = repo.run("pull", "--out", "config", "--kind", "FeatureFlag", "--format", "json")

    assert ([10], []) == (rollout(found(repo)["a"]), done.json["kept"])
    assert {"address": f"{FLAG}/a", "path": "filters.groups[0].rollout_percentage"} in (
        done.json["taken"]
    )


def test_without_a_base_a_field_that_waits_for_approval_stays(world):
    """The first apply records no base while its changes wait: their requests say whose they are."""
    repo = world(factories.gated(acme.live_flag("a", 10)))
    repo.write("reconciler.yaml", "version: 1\ntargets: {only: {paths: [config]}}\n")
    repo.write("config/flags.yaml", acme.flag("a", active=True, name="a"))
    repo.commit()
    assert 3 == repo.run("apply", "--yes").code

    done = repo.run("pull", "--kind", "FeatureFlag", "--format", "json").json

    [kept] = done["kept"]
    assert ("active", True) == (kept["path"], bool(kept["change_request"]))
    assert "active: true" in (repo.folder / "config/flags.yaml").read_text()
    assert 3 == repo.run("apply", "--yes").code
