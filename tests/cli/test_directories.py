"""The same result from any directory: each file once, clean where git is, the base recorded."""

import json

import pytest

from tests import acme

SETTINGS = """\
version: 1
targets:
  production: {paths: [config, more], overlays: [config/overlays/production]}
"""


@pytest.fixture
def nested(world):
    """Files on several levels, an overlay between them, and something that git does not see."""
    repo = world(acme.seed())
    repo.folder = repo.folder / "repository"
    repo.write("reconciler.yaml", SETTINGS)
    repo.write("config/flags/a.yaml", acme.flag("a", 10, active=False))
    repo.write("config/flags/deep/b.yaml", acme.flag("b", 10, active=False))
    repo.write("config/flags..old/c.yaml", acme.flag("c", 10, active=False))
    repo.write("config/overlays/production/a.yaml", acme.flag("a", name="A"))
    repo.write("more/flags/d.yaml", acme.flag("d", 10, active=False))
    (repo.folder / ".gitignore").write_text(".reconciler\nnested\n")
    repo.commit()
    return repo


def repo_at(repo, folder):
    return type(repo)(folder, repo.sandbox, repo.token)


def result(done):
    """A plan without its clock, and with the place of each document in the repository."""
    plan = json.loads(done.out)
    rows = [
        (row["address"], row["action"], [(one["path"], one["cause"]) for one in row["fields"]])
        for row in plan["changes"]
    ]
    return rows, [one["code"] for one in plan.get("findings", ())], plan["base"]


def test_plans_are_the_same_from_every_directory(nested):
    """Also through links, from outside, and from a repository nested in this one or around it."""
    repo = nested
    root = repo.folder
    assert 0 == repo.run("apply", "--yes").code
    repo.write("config/flags/a.yaml", acme.flag("a", 10, active=True))
    repo.git("rm", "-q", "config/flags/deep/b.yaml")
    repo.commit("enable a, delete b")
    expected = result(repo.run("plan", "--format", "json"))
    assert {"delete", "update"} <= {row[1] for row in expected[0]}
    assert "dirty-tree" not in expected[1]

    (root / "nested/inside").mkdir(parents=True)
    repo_at(repo, root / "nested").git("init", "-q")
    outside = root.parent / "outside"
    outside.mkdir()
    (root.parent / "link").symlink_to(root)
    (root.parent / "deep-link").symlink_to(root / "config/flags")
    places = {
        **dict.fromkeys(["config", "config/flags", "config/flags..old", "more/flags"], ()),
        "config/overlays/production": (),
        "../deep-link": (),
        "../link/config": (),
        "nested/inside": ("--config", "../../reconciler.yaml"),
        "../outside": ("--config", "../link/reconciler.yaml"),
        "..": ("--config", "repository/reconciler.yaml"),
    }
    for place, options in places.items():
        done = repo_at(repo, root / place).run(*options, "plan", "--format", "json")
        assert (place, expected) == (place, result(done))
    repo_at(repo, root.parent).git("init", "-q")  # a repository around this one
    done = repo_at(repo, root / "..").run(*places[".."], "plan", "--format", "json")
    assert expected == result(done)


def test_a_file_named_in_several_ways_is_read_once(nested):
    """Paths on the command line that lie in each other, seen from below them."""
    here = repo_at(nested, nested.folder / "config/flags")

    plan = here.run("plan", "--format", "json", "../../config", ".", "a.yaml", "../flags/deep")

    assert "dirty-tree" not in result(plan)[1]
    assert ["a", "b", "c"] == [row[0].rsplit("/", 1)[1] for row in result(plan)[0]]
    files = {row["source"]["file"] for row in plan.json["changes"]}
    assert {"a.yaml", "deep/b.yaml", "../flags..old/c.yaml"} == files


def test_an_apply_below_the_root_records_the_base_and_deletes_what_is_gone(nested):
    """Field by field the cycle of a person who works where the files are."""
    here = repo_at(nested, nested.folder / "config/flags")
    assert 0 == here.run("apply", "--yes").code
    here.git("rev-parse", "refs/reconciler/applied/production")
    nested.write("more/flags/d.yaml", acme.flag("d", 10, name="D", active=False))
    saved = repo_at(nested, nested.folder / "more").run("plan", "flags", "--out", "../plan.json")
    assert 0 == here.run("apply", "--yes", "../../plan.json").code, saved.err
    (nested.folder / "plan.json").unlink()
    here.git("rm", "-q", "a.yaml")
    here.git("rm", "-q", "../overlays/production/a.yaml")
    nested.write("config/overlays/production/b.yaml", acme.flag("b", name="B"))
    nested.commit("delete a")

    done = here.run("apply", "--yes", "--format", "json")

    rows = {row["address"].rsplit("/", 1)[1]: row["action"] for row in done.json["results"]}
    assert (0, "delete", "update") == (done.code, rows["a"], rows["b"]), done.err


def test_a_wrong_folder_is_one_error(world):
    """Files of another program are not reported one by one, unless they were named."""
    repo = world(acme.seed())
    nothing = "there is no reconciler.yaml in this folder or above it"
    for command in ("plan", "validate", "list"):
        assert (1, True) == ((done := repo.run(command)).code, nothing in done.err), done.err
    for number in range(3):
        repo.write(f"other/{number}.yaml", "services: {web: {image: web}}\n")
    done = repo.run("plan")
    assert (1, 1, True) == (done.code, done.err.count("error:"), nothing in done.err), done.err
    assert "`reconciler init`" in done.err
    assert 3 == repo.run("plan", "other").err.count("has no `kind`")
    repo.write("flags.yaml", {**acme.flag("a", 10), "kind": "FeatureFlg"})
    assert "did you mean" in repo.run("plan").err
    repo.write("flags.yaml", "kind:\tFeatureFlag\n")
    assert "flags.yaml:1" in repo.run("plan").err
