"""The base is read with what the working tree has read already, and says the same as alone."""

import pytest

from reconciler.config import loader
from reconciler.config.loaded import expand_templates
from reconciler.files import working_tree
from reconciler.git import repository as git_repository

ROLE = "kind: Role\nmetadata: {organization: acme, name: %s}\nspec: {members: [a@acme.test]}\n"
EVERYWHERE = (
    "kind: FeatureFlag\nmetadata: {organization: acme, projects: ['*'], key: %s}\n"
    "spec: {filters: {groups: [{properties: [], rollout_percentage: %s}]}}\n"
)
WEB = "kind: Project\nmetadata: {organization: acme, name: Web}\n"
ODD = "kind: Role\nmetadata: {organization: acme, name: O}\nspec: &s {members: [a@acme.test]}\n"
OVER = "kind: Role\nmetadata: {organization: acme, name: A}\nspec: {members: [b@acme.test]}\n"


@pytest.fixture
def both(repository):
    """Loads the working tree and then HEAD, as a plan does: with the first at hand, and alone."""

    def load(overlays=()):
        over = [repository.path / path for path in overlays]
        here = working_tree.WorkingTree(repository.path, skip=frozenset(over))
        now = loader.load_files([repository.path / "config"], overlays=over, tree=here)
        there = git_repository.open_commit("HEAD", cwd=repository.path)
        paths = [repository.path / "config"]
        alone = loader.load_files(paths, overlays=over, tree=there)
        return now, loader.load_files(paths, overlays=over, tree=there, like=now, warn=False), alone

    return load


def _meaning(loaded):
    declared = expand_templates(loaded, {"acme": ["Web", "App"]})
    return {
        address: (resource, resource.source, dict(resource.spec))
        for address, resource in declared.resources.items()
    }


def test_unchanged_files_are_built_once_and_changed_ones_anew(repository, both):
    """And a base is what it would be without the working tree."""
    repository.write(
        {"config/a.yaml": ROLE % "A", "config/b.yaml": ROLE % "B", "config/w.yaml": WEB}
    )
    repository.git("add", ".")
    repository.git("commit", "-qm", "x")
    repository.write({"config/b.yaml": ROLE % "C", "config/new.yaml": ROLE % "D"})

    now, base, alone = both()

    assert _meaning(base) == _meaning(alone)
    shared = {
        a.name for a, r in base.declared.resources.items() if r is now.declared.resources.get(a)
    }
    assert shared == {"A", "Web"}


def test_selectors_and_overlays_are_put_together_anew(repository, both):
    """A template is no resource of its own; what an overlay goes over is another document."""
    repository.write({
        "config/a.yaml": ROLE % "A", "config/f.yaml": EVERYWHERE % ("f", 5), "config/w.yaml": WEB,
        "over/a.yaml": OVER,
    })  # fmt: skip
    repository.git("add", ".")
    repository.git("commit", "-qm", "x")
    repository.write(
        {"over/a.yaml": OVER.replace("b@", "c@"), "config/f.yaml": EVERYWHERE % ("f", 9)}
    )

    now, base, alone = both(["over"])

    assert _meaning(base) == _meaning(alone)
    assert _meaning(base) != _meaning(now)
    names = {(a.kind, a.project) for a in _meaning(base)}
    assert names == {
        ("Role", None),
        ("Project", None),
        ("FeatureFlag", "Web"),
        ("FeatureFlag", "App"),
    }


def test_a_file_with_a_finding_is_not_kept(repository, both):
    """A warning about a text is given again; what is forgotten is read again."""
    repository.write({"config/a.yaml": ROLE % "A" + "# \u202e\n", "config/b.yaml": ROLE % "B"})
    repository.git("add", ".")
    repository.git("commit", "-qm", "x")

    now, base, alone = both()

    assert _meaning(base) == _meaning(alone)
    assert [one.code for one in base.declared.findings] == ["R012"]
    assert list(now.cache.texts.values()) == [(ROLE % "B").encode()]
    now.cache.clear()
    assert not now.cache.texts


def test_a_field_is_found_in_its_file_after_the_cache_was_cleared(repository, both):
    """The values were given up by then: they are read again, with their positions."""
    flag = EVERYWHERE % ("a", 5)
    many = "---\n".join((WEB, ROLE % "A", flag, ROLE % "B"))
    repository.write({"config/a.yaml": many, "config/over.yaml": OVER, "config/odd.yaml": ODD})
    repository.git("add", ".")
    repository.git("commit", "-qm", "x")
    now, base, _ = both(("config/over.yaml",))
    paths = (("members", 0), ("filters", "groups", 0, "rollout_percentage"), ("name",), ("absent",))

    def locate_all(loaded):
        resources = expand_templates(loaded, {"acme": ["Web"]}).resources
        return {a: (r.written, *map(r.locate, paths)) for a, r in resources.items()}

    before = locate_all(now), locate_all(base)
    role = next(r for a, r in now.declared.resources.items() if a.name == "B")
    written = role.written
    now.cache.clear()
    base.cache.clear()

    assert (locate_all(now), locate_all(base)) == before
    assert role.written is not written
    place = now.templates[0].resource.locate(paths[1])
    assert many.splitlines()[place.line - 1][place.column - 1 :] == "5}]}}"
