"""Questions to git, and the files of a commit: the same loader, the same errors."""

import os
import subprocess
from pathlib import Path

import pytest

from reconciler.config import git, loader
from reconciler.errors import ConfigError, GitError

ROLE = "kind: Role\nmetadata: {{organization: acme, name: {}}}\n"


def load(repository, ref, *paths, overlays=(), may_lack_paths=False):
    """What a commit declares."""
    tree = git.commit_tree(ref, cwd=repository.path, may_lack_paths=may_lack_paths)
    named = [Path(path) for path in paths or (".",)]
    return loader.load(named, overlays=[Path(path) for path in overlays], tree=tree).declared


def names(declared):
    """Names of what is declared, in order."""
    return [address.name for address in declared.resources]


def test_a_commit_is_loaded_as_the_working_tree_is(repository):
    """Same files passed over, same display names, whatever is in the folder now."""
    repository.write({name: ROLE.format(name.split("/")[-1]) for name in ("a.yaml", "b/c.yml")})
    repository.write({".x/y.yaml": "no", "b/.z.yaml": "no", "reconciler.yaml": "no", "n.md": "no"})
    commit = repository.commit()
    working = repository.load().declared
    (repository.path / "a.yaml").write_text("kind: [")

    declared = load(repository, "HEAD")

    assert working.resources == declared.resources
    assert declared.origin == commit
    assert ["a.yaml:1:1", "b/c.yml:1:1"] == [str(r.source) for r in declared.resources.values()]


def test_paths_and_overlays_mean_the_same_in_a_commit(repository):
    """From the current folder, also from one below the root."""
    repository.write(
        {
            "config/a.yaml": ROLE.format("A"),
            "config/over/a.yaml": ROLE.format("A") + "spec: {members: [a@acme.test]}\n",
            "other/b.yaml": ROLE.format("B"),
        }
    )
    repository.commit()
    (resource,) = load(repository, "main", "config", overlays=["config/over"]).resources.values()

    assert resource.spec == {"members": ["a@acme.test"]}
    assert names(load(repository, "main", "other/b.yaml")) == ["B"]
    repository.path /= "config"
    assert names(load(repository, "main", "../other")) == ["B"]
    (found,) = load(repository, "main", "../other").resources.values()
    assert found.source.file == "../other/b.yaml"


def test_errors_of_a_commit_have_places_and_lines(repository, shown):
    """As if it were checked out."""
    repository.write({"a.yaml": "kind: Rolle\n"})
    repository.commit()
    repository.write({"a.yaml": "something else\n"})
    with pytest.raises(ConfigError) as caught:
        load(repository, "HEAD")

    assert shown(caught.value.findings).splitlines()[:2] == [
        'R003 a.yaml:1:7: there is no kind "Rolle"',
        "| kind: Rolle",
    ]


def test_a_path_that_a_commit_lacks_is_an_error_unless_that_is_expected(repository):
    """A base from before the folder was there declares nothing."""
    repository.write({"a.yaml": ROLE.format("A")})
    repository.commit()

    with pytest.raises(ConfigError) as caught:
        load(repository, "HEAD", "config")
    assert "no such file or folder in commit" in caught.value.findings[0].message
    assert load(repository, "HEAD", "config", may_lack_paths=True).resources == {}


def test_a_path_outside_the_repository_is_an_error(repository, tmp_path):
    """Git has nothing to say about it."""
    repository.commit()
    with pytest.raises(ConfigError) as caught:
        load(repository, "HEAD", str(tmp_path / "elsewhere"))

    assert "is not in the repository" in caught.value.findings[0].message


@pytest.mark.parametrize(
    "ref", ["nope", "--help", "-x", "HEAD:a.yaml", "a..b", "", "x\ny", "x\0y", "@{u}"]
)
def test_what_names_no_commit_is_a_clear_error(repository, ref):
    """Also what looks like an option."""
    repository.commit()
    with pytest.raises(GitError) as caught:
        git.resolve(ref, repository.path)

    assert caught.value.what
    assert caught.value.fix


def test_refs_of_every_sort_are_resolved(repository):
    """Branches, tags, short ids, relatives."""
    first = repository.commit()
    repository.git("tag", "-a", "v1", "-m", "one")
    second = repository.commit()

    assert first == git.resolve("v1", repository.path)
    assert first == git.resolve("HEAD~1", repository.path)
    assert second == git.resolve("main", repository.path)
    assert second == git.resolve(second[:10], repository.path)
    assert second == git.head(repository.path)


def test_a_shallow_clone_without_the_commit_says_what_to_fetch(repository, tmp_path):
    """The commonest failure in CI."""
    first = repository.commit()
    repository.commit()
    repository.git("clone", "-q", "--depth=1", f"file://{repository.path}", str(tmp_path / "clone"))

    assert git.is_shallow(tmp_path / "clone")
    for asked in (
        lambda: git.resolve(first, tmp_path / "clone"),
        lambda: git.resolve("HEAD~1", tmp_path / "clone"),
    ):
        with pytest.raises(GitError) as caught:
            asked()
        assert "shallow" in caught.value.why
        assert "fetch-depth: 0" in caught.value.fix


def test_outside_git_is_a_clear_error(folder):
    """And not one of git's."""
    assert git.root(folder.path) is None
    with pytest.raises(GitError, match="no git repository"):
        git.commit_tree("HEAD", cwd=folder.path)


def test_without_git_installed_is_a_clear_error(repository, monkeypatch):
    """Nothing on PATH."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GitError, match="not installed"):
        git.head(repository.path)


def test_a_repository_without_commits_has_no_head(repository):
    """None instead of an error."""
    assert git.head(repository.path) is None
    assert git.root(repository.path / "x") == Path(os.path.realpath(repository.path))


def test_lfs_pointers_are_an_error_in_tree_and_commit(repository):
    """The file is somewhere else."""
    repository.write(
        {"a.yaml": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"}
    )
    repository.commit()
    with pytest.raises(ConfigError) as caught:
        load(repository, "HEAD")

    assert [f.code for f in caught.value.findings] == ["R014"]
    assert [f.code for f in repository.errors()] == ["R014"]


def test_links_in_a_commit_are_an_error_where_they_would_be_loaded(repository):
    """Silence would lose resources; other links are nobody's business."""
    repository.write({"real/a.yaml": ROLE.format("A"), "docs/x.md": "x"})
    (repository.path / "b.yaml").symlink_to("real/a.yaml")
    (repository.path / "folder").symlink_to("real")
    (repository.path / "notes").symlink_to("docs")
    (repository.path / ".hidden").symlink_to("real")
    (repository.path / "away").symlink_to("/etc")
    repository.commit()
    with pytest.raises(ConfigError) as caught:
        load(repository, "HEAD")

    assert [("R014", "b.yaml"), ("R014", "folder")] == [
        (finding.code, finding.source.file) for finding in caught.value.findings
    ]


def test_hooks_monitors_and_filters_of_a_repository_never_run(repository, tmp_path):
    """Not even when they are configured."""
    repository.write({"a.yaml": ROLE.format("A"), ".gitattributes": "*.yaml diff=x merge=x\n"})
    repository.commit()
    canary = tmp_path / "canary"
    script = repository.path / ".git" / "hooks" / "post-index-change"
    script.write_text(f"#!/bin/sh\ntouch {canary}\n")
    script.chmod(0o755)
    for name in ("core.fsmonitor", "diff.x.textconv", "core.pager", "core.sshCommand"):
        repository.git("config", name, str(script))
    repository.write({"a.yaml": ROLE.format("B")})

    assert git.is_dirty([Path("a.yaml")], cwd=repository.path)
    assert names(load(repository, "HEAD")) == ["A"]
    git.last_commit_touching("a.yaml", cwd=repository.path)
    assert not canary.exists()


def test_variables_of_git_in_the_environment_lead_nowhere(repository, monkeypatch, tmp_path):
    """A hook sets them for another repository."""
    repository.write({"a.yaml": ROLE.format("A")})
    repository.commit()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nowhere"))

    assert names(load(repository, "HEAD")) == ["A"]


def test_nothing_is_fetched_from_a_promisor(repository, tmp_path):
    """A partial clone lacks blobs: an error, no network."""
    repository.write({"a.yaml": ROLE.format("A")})
    repository.commit()
    repository.git("config", "uploadpack.allowFilter", "true")
    repository.write({"a.yaml": ROLE.format("B")})
    repository.commit()
    clone = tmp_path / "clone"
    repository.git("clone", "-q", "--filter=blob:none", f"file://{repository.path}", str(clone))
    repository.path = clone
    with pytest.raises(GitError):
        load(repository, "HEAD~1")


def test_what_was_changed_is_seen(repository):
    """Changed, staged, untracked; only below the paths."""
    repository.write({"a/x.yaml": "1", "b/y.yaml": "1", ".gitignore": "*.tmp\n"})
    repository.commit()
    here = repository.path

    assert not git.is_dirty([Path()], cwd=here)
    repository.write({"a/z.tmp": "ignored"})
    assert not git.is_dirty([Path("a")], cwd=here)
    repository.write({"a/new.yaml": "1"})
    assert git.is_dirty([Path("a")], cwd=here)
    assert not git.is_dirty([Path("b")], cwd=here)
    repository.write({"b/y.yaml": "2"})
    repository.git("add", "b")
    assert git.is_dirty([Path("b")], cwd=here)


def test_history_is_answered(repository):
    """Merge bases, ancestors, the last commit of a file."""
    repository.write({"a.yaml": "1"})
    first = repository.commit()
    repository.git("checkout", "-q", "-b", "side")
    repository.write({"b.yaml": "1"})
    side = repository.commit()
    repository.git("checkout", "-q", "main")
    main = repository.commit()
    here = repository.path

    assert first == git.merge_base("main", "side", cwd=here)
    assert git.is_ancestor(first, "main", cwd=here)
    assert not git.is_ancestor(side, main, cwd=here)
    assert first == git.last_commit_touching("a.yaml", cwd=here).commit
    assert "T" in git.last_commit_touching("a.yaml", cwd=here).at
    assert git.last_commit_touching("b.yaml", cwd=here) is None
    repository.git("checkout", "-q", "--orphan", "alone")
    repository.commit("another beginning")
    assert git.merge_base("alone", "main", cwd=here) is None


def test_a_ref_can_be_moved(repository):
    """The record of what was applied."""
    commit = repository.commit()
    git.update_ref("refs/reconciler/applied/production", commit, cwd=repository.path, message="x")

    assert commit == git.resolve("refs/reconciler/applied/production", repository.path)
    with pytest.raises(GitError):
        git.update_ref("--stdin", commit, cwd=repository.path, message="x")


def test_strange_file_names_are_read(repository):
    """Quotes, line ends, letters of any language, a leading dash."""
    wanted = ["-x.yaml", 'a"b.yaml', "a\nb.yaml", "é.yaml", "a b.yaml", "[a].yaml", ":(top).yaml"]
    repository.write({name: ROLE.format(f"r{n}") for n, name in enumerate(wanted)})
    repository.commit()

    assert {f"r{n}" for n in range(7)} == set(names(load(repository, "HEAD")))
    assert names(load(repository, "HEAD", "[a].yaml")) == ["r5"]
    assert names(load(repository, "HEAD", ":(top).yaml")) == ["r6"]


def test_ten_thousand_files_take_two_calls_of_git(repository, monkeypatch):
    """One listing, one batch; here with a few."""
    repository.write({f"{n}.yaml": ROLE.format(f"r{n}") for n in range(20)})
    repository.commit()
    tree = git.commit_tree("HEAD", cwd=repository.path)
    calls = []
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: calls.append(a[0]) or real(*a, **k))
    loader.load([Path()], tree=tree)

    assert len(calls) == 2


def test_a_file_renamed_to_an_upper_case_extension_is_still_there(repository):
    """In the tree and in a commit alike: it declares what it declared."""
    repository.write({"a.yaml": ROLE.format("a"), "b.YAML": ROLE.format("b")})
    repository.commit()

    assert {"a", "b"} == set(names(load(repository, "HEAD")))
