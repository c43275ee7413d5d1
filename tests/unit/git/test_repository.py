"""Questions to git, and the files of a commit: the same loader, the same errors."""

import os
import subprocess
from pathlib import Path

import pytest

from reconciler.config import loader, uncommitted
from reconciler.errors import ConfigError, GitError
from reconciler.files import working_tree
from reconciler.git import repository as git_repository
from tests.unit.conftest import Repository

ROLE = "kind: Role\nmetadata: {{organization: acme, name: {}}}\n"


def load(repository, ref, *paths, overlays=(), may_lack_paths=False):
    """What a commit declares."""
    tree = git_repository.open_commit(ref, cwd=repository.path, may_lack_paths=may_lack_paths)
    named = [Path(path) for path in paths or (".",)]
    return loader.load_files(named, overlays=[Path(path) for path in overlays], tree=tree).declared


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
        'R003 a.yaml:1:7: unknown kind "Rolle"',
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
        git_repository.resolve_commit(ref, repository.path)

    assert caught.value.what
    assert caught.value.fix


def test_refs_of_every_sort_are_resolved(repository):
    """Branches, tags, short ids, relatives."""
    first = repository.commit()
    repository.git("tag", "-a", "v1", "-m", "one")
    second = repository.commit()

    assert first == git_repository.resolve_commit("v1", repository.path)
    assert first == git_repository.resolve_commit("HEAD~1", repository.path)
    assert second == git_repository.resolve_commit("main", repository.path)
    assert second == git_repository.resolve_commit(second[:10], repository.path)
    assert second == git_repository.read_head(repository.path)


def test_a_shallow_clone_without_the_commit_says_what_to_fetch(repository, tmp_path):
    """The commonest failure in CI."""
    first = repository.commit()
    repository.commit()
    repository.git("clone", "-q", "--depth=1", f"file://{repository.path}", str(tmp_path / "clone"))

    assert git_repository.is_shallow(tmp_path / "clone")
    for asked in (
        lambda: git_repository.resolve_commit(first, tmp_path / "clone"),
        lambda: git_repository.resolve_commit("HEAD~1", tmp_path / "clone"),
    ):
        with pytest.raises(GitError) as caught:
            asked()
        assert "shallow" in caught.value.why
        assert "fetch-depth: 0" in caught.value.fix


def test_outside_git_is_a_clear_error(folder):
    """And not one of git's."""
    assert git_repository.find_root(folder.path) is None
    with pytest.raises(GitError, match="not in a git repository"):
        git_repository.open_commit("HEAD", cwd=folder.path)


def test_without_git_installed_is_a_clear_error(repository, monkeypatch):
    """Nothing on PATH."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GitError, match="not installed"):
        git_repository.read_head(repository.path)


def test_a_repository_without_commits_has_no_head(repository):
    """None instead of an error."""
    assert git_repository.read_head(repository.path) is None
    assert git_repository.find_root(repository.path / "x") == Path(
        os.path.realpath(repository.path)
    )


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
    attributes = "*.yaml diff=x merge=x filter=x\n"
    repository.write({"a.yaml": ROLE.format("A"), ".gitattributes": attributes})
    repository.commit()
    canary = tmp_path / "canary"
    script = repository.path / ".git" / "hooks" / "post-index-change"
    script.write_text(f"#!/bin/sh\ntouch {canary}\n")
    script.chmod(0o755)
    for name in (
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "diff.x.textconv",
        "diff.external",
        "filter.x.clean",
        "filter.x.smudge",
        "filter.x.process",
    ):
        repository.git("config", name, str(script))
    repository.write({"a.yaml": ROLE.format("B")})

    assert changed(repository, "a.yaml") == ("a.yaml",)
    assert names(load(repository, "HEAD")) == ["A"]
    git_repository.find_last_commit_touching("a.yaml", cwd=repository.path)
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


def changed(repository, *paths, settings=None):
    """Files that differ from HEAD, as a plan would name them."""
    named = [Path(path) for path in paths or (".",)]
    loaded = loader.load_files(named, tree=working_tree.WorkingTree(repository.path))
    head = git_repository.open_commit("HEAD", cwd=repository.path)
    return uncommitted.compare_to_commit(loaded.blobs, named, (), head, settings).files


def test_what_was_changed_is_seen(repository):
    """Changed, staged, new, ignored, gone; only below the paths."""
    role = {name: ROLE.format(name[2]) for name in ("a/x.yaml", "b/y.yaml", "b/z.yaml")}
    repository.write({**role, ".gitignore": "*.tmp\nc.yaml\n", "reconciler.yaml": "version: 1"})
    repository.commit()
    settings = repository.path / "reconciler.yaml"

    assert changed(repository, settings=settings) == ()
    repository.write({"a/z.tmp": "ignored", "a/.hidden.yaml": "passed over"})
    assert changed(repository, "a") == ()
    repository.write({"a/new.yaml": ROLE.format("N"), "a/c.yaml": ROLE.format("C")})
    assert changed(repository, "a") == ("a/c.yaml", "a/new.yaml")
    assert changed(repository, "b") == ()
    repository.write({"b/y.yaml": ROLE.format("Y")})
    repository.git("add", "b")
    (repository.path / "b/z.yaml").unlink()
    assert changed(repository, "b") == ("b/y.yaml", "b/z.yaml")
    settings.write_text("version: 2")
    assert changed(repository, "a/x.yaml", settings=settings) == ("reconciler.yaml",)


@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_ends_of_lines_that_git_turns_round_are_no_change(tmp_path, form):
    """`eol=crlf` in the attributes: other bytes on disk, the same text."""
    made = Repository(tmp_path)
    made.git("init", "-q", "-b", "main", f"--object-format={form}")
    made.write({"a.yaml": ROLE.format("A"), ".gitattributes": "*.yaml text eol=crlf\n"})
    made.commit()
    (made.path / "a.yaml").unlink()
    made.git("checkout", "-q", "a.yaml")

    assert b"\r\n" in (made.path / "a.yaml").read_bytes()
    assert changed(made) == ()
    made.write({"a.yaml": ROLE.format("B").replace("\n", "\r\n").encode()})
    assert changed(made) == ("a.yaml",)


def test_a_sparse_checkout_is_an_error_where_it_hides_resources(repository):
    """They would look as if they had left the files."""
    repository.write({"a/x.yaml": ROLE.format("A"), "b/y.yaml": ROLE.format("B")})
    repository.commit()
    repository.git("sparse-checkout", "set", "--no-cone", "/a/")

    assert not (repository.path / "b").exists()
    assert changed(repository, "a") == ()
    with pytest.raises(GitError, match=r"leaves b/y\.yaml out") as caught:
        changed(repository)
    assert "sparse-checkout" in caught.value.fix


def submodule(repository, folder, contents):
    """Another repository, put into this one."""
    other = Repository(folder)
    folder.mkdir()
    other.git("init", "-q", "-b", "main")
    other.write(contents)
    other.commit()
    allow = ("-c", "protocol.file.allow=always")
    repository.git(*allow, "submodule", "--quiet", "add", str(folder), "shared")
    repository.commit("with a submodule")
    return Repository(repository.path / "shared")


def test_a_submodule_is_read_as_the_working_tree_is(repository, tmp_path):
    """At the commit that the base names; not checked out it is nothing, and said."""
    repository.write({"a.yaml": ROLE.format("A")})
    inner = submodule(repository, tmp_path / "other", {"x/s.yaml": ROLE.format("S")})
    inner.write({"x/s.yaml": ROLE.format("T")})
    inner.commit()

    assert names(load(repository, "HEAD")) == ["A", "S"]
    assert names(repository.load().declared) == ["A", "T"]
    assert changed(repository) == ("shared/x/s.yaml",)
    repository.commit("moved on")
    assert names(load(repository, "HEAD")) == ["A", "T"]
    assert changed(repository) == ()
    repository.git("submodule", "--quiet", "deinit", "-f", "shared")
    head = git_repository.open_commit("HEAD", cwd=repository.path)
    assert head.find_missing_submodules(Path()) == ["shared"]
    assert names(load(repository, "HEAD")) == ["A"]
    assert changed(repository) == ()


def test_a_submodule_without_the_commit_of_the_base_makes_it_unreadable(repository, tmp_path):
    """Never as if it had declared nothing."""
    repository.write({"a.yaml": ROLE.format("A")})
    inner = submodule(repository, tmp_path / "other", {"s.yaml": ROLE.format("S")})
    inner.git("commit", "-q", "--amend", "-m", "rewritten")
    inner.git("reflog", "expire", "--expire=now", "--all")
    inner.git("update-ref", "-d", "refs/remotes/origin/main")
    inner.git("update-ref", "-d", "refs/remotes/origin/HEAD")
    inner.git("gc", "-q", "--prune=now")
    with pytest.raises(ConfigError) as caught:
        load(repository, "HEAD")

    assert "lacks its commit" in caught.value.findings[0].message


def test_git_that_is_too_old_is_named(repository, tmp_path, monkeypatch):
    """It does not know --end-of-options, and says so by the usage it prints."""
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/sh\n"
        'for a in "$@"; do [ "$a" = --version ] && echo git version 2.17.1 && exit 0; done\n'
        "echo usage: git >&2; exit 129\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    with pytest.raises(GitError, match=r"git 2\.17\.1 is too old") as caught:
        git_repository.read_head(repository.path)

    assert "2.24" in caught.value.fix


def test_the_repository_is_that_of_the_files(repository, tmp_path):
    """Also where the current folder is outside of it, or in another."""
    repository.write({"a/x.yaml": ROLE.format("A")})
    commit = repository.commit()
    outside = tmp_path / "outside"
    outside.mkdir()
    tree = git_repository.open_commit("HEAD", cwd=outside, at=repository.path / "a")
    declared = loader.load_files([repository.path / "a"], tree=tree).declared

    assert declared.origin == commit
    assert [str(repository.path / "a/x.yaml")] == [
        r.source.file for r in declared.resources.values()
    ]


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

    assert first == git_repository.find_merge_base("main", "side", cwd=here)
    assert git_repository.is_ancestor(first, "main", cwd=here)
    assert not git_repository.is_ancestor(side, main, cwd=here)
    assert first == git_repository.find_last_commit_touching("a.yaml", cwd=here).commit
    assert "T" in git_repository.find_last_commit_touching("a.yaml", cwd=here).at
    assert git_repository.find_last_commit_touching("b.yaml", cwd=here) is None
    repository.git("checkout", "-q", "--orphan", "alone")
    repository.commit("another beginning")
    assert git_repository.find_merge_base("alone", "main", cwd=here) is None


def test_a_ref_can_be_moved_by_who_knows_where_it_is(repository):
    """The record of what was applied; of two at once, one is told."""
    ref, here = "refs/reconciler/applied/production", repository.path
    first, second = repository.commit(), repository.commit()
    git_repository.update_ref(ref, first, was=None, cwd=here, message="x")
    git_repository.update_ref(ref, second, was=first, cwd=here, message="x")

    assert second == git_repository.resolve_commit(ref, here) == git_repository.read_ref(ref, here)
    for was in (first, None):
        with pytest.raises(GitError):
            git_repository.update_ref(ref, first, was=was, cwd=here, message="x")
    with pytest.raises(GitError):
        git_repository.update_ref("--stdin", first, was=None, cwd=here, message="x")
    assert git_repository.read_ref("refs/reconciler/applied/other", here) is None


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
    tree = git_repository.open_commit("HEAD", cwd=repository.path)
    calls = []
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: calls.append(a[0]) or real(*a, **k))
    loader.load_files([Path()], tree=tree)

    assert len(calls) == 2


def test_a_file_renamed_to_an_upper_case_extension_is_still_there(repository):
    """In the tree and in a commit alike: it declares what it declared."""
    repository.write({"a.yaml": ROLE.format("a"), "b.YAML": ROLE.format("b")})
    repository.commit()

    assert {"a", "b"} == set(names(load(repository, "HEAD")))


def test_a_doubt_about_a_commit_of_the_past_stops_nothing(repository):
    """It can be mended in the next commit only; in the working tree it is an error."""
    key = "phx_" + "a1B2" * 8
    repository.write({"a.yaml": ROLE.format("a") + f"# {key}\n"})
    repository.commit()
    declared = load(repository, "HEAD")

    assert [("R017", "warning")] == [(one.code, one.severity.value) for one in declared.findings]
    assert [finding.code for finding in repository.errors()] == ["R017"]
