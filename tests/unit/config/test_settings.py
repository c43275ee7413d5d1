"""reconciler.yaml: targets, where it is searched, and what is said when it is wrong."""

# ruff: noqa: E501  tables read better in one line each

import os
from pathlib import Path

import pytest

from reconciler.config import settings, targets
from reconciler.errors import ConfigError, UsageError

WHOLE = """\
version: 1
targets:
  production:
    host: https://eu.posthog.com/
    organization: acme
    api_key_env: POSTHOG_API_KEY_PRODUCTION
    paths: [config, more]
    overlays: [overlays/production]
    guardrails: {max_deletes: 1, max_delete_percent: 12.5, allow_weakening: true}
    unmanaged: delete
    ignore: ["FeatureFlag/*/*/experiment-*"]
    rate_limit: {per_minute: 100, per_hour: 1000}
  staging:
"""


def load(folder, **options):
    """Settings as read in the folder, without an environment."""
    return settings.load_settings(folder.path, **({"environ": {}} | options))


def test_everything_is_read(folder):
    """And paths are those beside the file."""
    found = load(folder.write({"reconciler.yaml": WHOLE}))
    here = folder.path

    assert targets.Target(
        "production",
        host="https://eu.posthog.com",
        organization="acme",
        api_key_env="POSTHOG_API_KEY_PRODUCTION",
        paths=(here / "config", here / "more"),
        own_paths=(here / "config", here / "more"),
        overlays=(here / "overlays" / "production",),
        guardrails=targets.Guardrails(1, 12.5, allow_weakening=True),
        unmanaged="delete",
        ignore=("FeatureFlag/*/*/experiment-*",),
        rate_limit=targets.RequestLimits(100, 1000),
    ) == found.select_target("production")
    assert found.file == here / "reconciler.yaml"
    assert found.folder == here


def test_a_target_may_say_nothing(folder):
    """Then everything is the default, and the files are beside reconciler.yaml."""
    target = load(folder.write({"reconciler.yaml": WHOLE})).select_target("staging")
    here = (folder.path,)

    assert targets.Target("staging", paths=here, own_paths=here) == target


def test_without_a_file_there_is_one_target(folder):
    """The current folder, or the paths of the command line."""
    here = (folder.path,)
    assert load(folder).select_target() == targets.Target("default", paths=here, own_paths=here)
    named = load(folder, paths=[Path("a"), Path("/b")]).select_target()
    assert (folder.path / "a", Path("/b")) == named.paths
    assert here == named.own_paths
    assert load(folder).folder is None


def test_paths_of_the_command_line_win_and_are_from_the_current_folder(folder):
    """Not from the folder of the file."""
    folder.write({"reconciler.yaml": WHOLE, "below/x": ""})
    found = settings.load_settings(folder.path / "below", paths=[Path("mine")], environ={})

    assert found.select_target("production").paths == (folder.path / "below" / "mine",)


def test_the_file_is_searched_upward_to_the_git_root(folder):
    """And not beyond it."""
    folder.write({"reconciler.yaml": WHOLE, "a/b/x": "", "repo/c/x": "", "repo/.git/HEAD": ""})

    assert (
        settings.find_settings_file(folder.path / "a" / "b", environ={})
        == folder.path / "reconciler.yaml"
    )
    assert settings.find_settings_file(folder.path / "repo" / "c", environ={}) is None
    folder.write({"repo/reconciler.yaml": WHOLE})
    assert (
        settings.find_settings_file(folder.path / "repo" / "c", environ={})
        == folder.path / "repo/reconciler.yaml"
    )


def test_a_named_file_wins_over_the_environment_and_the_search(folder):
    """`--config`, then RECONCILER_CONFIG."""
    folder.write({"reconciler.yaml": WHOLE, "x.yaml": WHOLE, "y.yaml": WHOLE})
    environ = {"RECONCILER_CONFIG": "y.yaml"}

    assert settings.find_settings_file(folder.path, environ=environ) == folder.path / "y.yaml"
    assert (
        settings.find_settings_file(folder.path, file=Path("x.yaml"), environ=environ)
        == folder.path / "x.yaml"
    )
    with pytest.raises(ConfigError, match=r"nope\.yaml: no such file"):
        load(folder, file=Path("nope.yaml"))


def test_with_one_target_it_is_the_default(folder):
    """With several it has to be named."""
    folder.write({"reconciler.yaml": "version: 1\ntargets: {only: {}}\n"})
    assert load(folder).select_target().name == "only"

    folder.write({"reconciler.yaml": WHOLE})
    with pytest.raises(UsageError) as caught:
        load(folder).select_target()
    assert "production, staging" in caught.value.why
    assert "--target" in caught.value.fix
    assert caught.value.exit_code == 64


def test_an_unknown_target_lists_those_there_are(folder):
    """And suggests the nearest."""
    folder.write({"reconciler.yaml": WHOLE})
    with pytest.raises(UsageError) as caught:
        load(folder).select_target("prodution")

    assert caught.value.what == 'unknown target "prodution"'
    assert caught.value.why == "the targets are: production, staging"
    assert caught.value.fix == 'did you mean "production"?'


WRONG = {
    "no version": (
        "targets: {a: {}}\n",
        "R006 reconciler.yaml:1:1: the document has no `version`",
    ),
    "another version": (
        "version: 2\ntargets: {a: {}}\n",
        "R005 reconciler.yaml:1:10: reconciler 0.1.0 reads version 1 of this file, not 2",
    ),
    "no target": (
        "version: 1\ntargets: {}\n",
        "R005 reconciler.yaml:2:10: `targets` must not be empty",
    ),
    "unknown field": (
        "version: 1\ntargets:\n  a:\n    guardrail: {}\n",
        'R004 reconciler.yaml:4:5: `targets.a` has no field "guardrail"',
    ),
    "name of a target": (
        "version: 1\ntargets:\n  a b:\n    paths: [x]\n",
        'R005 reconciler.yaml:3:3: `targets.a b` cannot be "a b"',
    ),
    "type": (
        "version: 1\ntargets: {a: {guardrails: {allow_weakening: no}}}\n",
        'R005 reconciler.yaml:2:45: `targets.a.guardrails.allow_weakening` needs true or false, not the text "no"',
    ),
    "choice": (
        "version: 1\ntargets: {a: {unmanaged: reprot}}\n",
        'R005 reconciler.yaml:2:26: `targets.a.unmanaged` cannot be "reprot"',
    ),
    "range": (
        "version: 1\ntargets: {a: {rate_limit: {per_minute: 0}}}\n",
        "R005 reconciler.yaml:2:40: `targets.a.rate_limit.per_minute` has to be at least 1, not 0",
    ),
    "host": (
        "version: 1\ntargets: {a: {host: eu.posthog.com}}\n",
        'R005 reconciler.yaml:2:21: `targets.a.host` cannot be "eu.posthog.com"',
    ),
    "a key instead of its variable": (
        "version: 1\ntargets: {a: {api_key_env: phx-abc}}\n",
        'R005 reconciler.yaml:2:28: `targets.a.api_key_env` cannot be "phx-abc"',
    ),
    "outside": (
        "version: 1\ntargets: {a: {paths: [config, ../x]}}\n",
        "R010 reconciler.yaml:2:31: `paths` leads out of the repository: ../x",
    ),
    "absolute": (
        "version: 1\ntargets: {a: {overlays: [/etc]}}\n",
        "R010 reconciler.yaml:2:26: `overlays` leads out of the repository: /etc",
    ),
    "empty": ("# nothing\n", "R005 reconciler.yaml:1:1: 0 documents instead of one"),
    "two documents": (
        "a: 1\n---\nb: 1\n",
        "R005 reconciler.yaml:1:1: 2 documents instead of one",
    ),
    "syntax": (
        "version: 1\nversion: 1\n",
        'R002 reconciler.yaml:2:1: the key "version" is written twice',
    ),
}


@pytest.mark.parametrize(("content", "said"), WRONG.values(), ids=WRONG)
def test_errors_have_places_as_in_resource_files(folder, shown, content, said):
    """One each, with its line."""
    folder.write({"reconciler.yaml": content})
    with pytest.raises(ConfigError) as caught:
        load(folder)

    assert said in shown(caught.value.findings).splitlines()


def test_settings_are_values(folder):
    """Nobody changes them on the way."""
    target = load(folder.write({"reconciler.yaml": WHOLE})).select_target("staging")

    with pytest.raises(AttributeError):
        target.unmanaged = "delete"


@pytest.mark.parametrize(
    ("pattern", "fix"),
    [
        ("FeatureFlags/*", 'did you mean "FeatureFlag/…"?'),
        ("legacy-flag", "one of Organization"),
        ("Role", 'did you mean "Role/…"?'),
    ],
)
def test_a_pattern_that_can_cover_nothing_is_an_error(folder, pattern, fix):
    """Otherwise what was to be left alone is not."""
    content = f'version: 1\ntargets:\n  a:\n    ignore: ["*", "{pattern}"]\n'
    with pytest.raises(ConfigError) as caught:
        load(folder.write({"reconciler.yaml": content}))
    (finding,) = caught.value.findings

    assert (finding.code, finding.source.line, finding.source.column) == ("R005", 4, 19)
    assert fix in finding.fix


@pytest.mark.parametrize("pattern", ["*", "FeatureFlag/*", "*/acme/*", "*Flag/acme/Web/a"])
def test_patterns_of_addresses_are_accepted(folder, pattern):
    """`*` stands for anything, also in a kind."""
    content = f'version: 1\ntargets:\n  a:\n    ignore: ["{pattern}"]\n'

    assert load(folder.write({"reconciler.yaml": content})).targets["a"].ignore == (pattern,)


@pytest.mark.parametrize("place", ["folder", "pipe", "nothing", "outside", "/proc/self/environ"])
def test_settings_that_cannot_be_read_are_an_error_and_never_left_out(folder, place):
    """Their limits would be gone with them; what a link leads to outside is not shown."""
    secret = folder.path / "secret"
    secret.write_text("phx_secret: [", encoding="utf-8")
    repository = folder.path / "repository"
    (repository / ".git").mkdir(parents=True)
    (repository / "a.yaml").write_text("kind: Role\n", encoding="utf-8")
    file = repository / "reconciler.yaml"
    if place == "folder":
        file.mkdir()
    elif place == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to({"outside": secret}.get(place, place))
    with pytest.raises(ConfigError) as caught:
        settings.load_settings(repository, environ={})
    (finding,) = caught.value.findings

    assert (finding.code, finding.source.file) == ("R010", "reconciler.yaml")
    assert "phx_secret" not in str(caught.value.findings)


def test_a_key_in_the_settings_is_refused_before_anything_else(folder):
    """Also in a comment; a name of a variable is none."""
    key = "phx_" + "a1B2" * 8
    folder.write({"reconciler.yaml": f"version: 1\ntargets: {{a: {{}}}}  # {key}\n"})
    with pytest.raises(ConfigError) as caught:
        load(folder)

    assert [finding.code for finding in caught.value.findings] == ["R017"]


def test_what_has_one_value_is_named_with_it(folder):
    """Nobody has to look up which version there is."""
    folder.write({"reconciler.yaml": "targets: {a: {}}\n"})
    with pytest.raises(ConfigError) as caught:
        load(folder)

    assert caught.value.findings[0].fix == "add `version: 1`"


def test_a_link_to_settings_inside_the_repository_is_followed(folder):
    """One file for several folders."""
    folder.write({".git/HEAD": "", "shared/one.yaml": WHOLE, "a/x": ""})
    (folder.path / "a/reconciler.yaml").symlink_to("../shared/one.yaml")

    assert "staging" in settings.load_settings(folder.path / "a", environ={}).targets


DEFAULTS = """\
version: 1
defaults:
  host: https://eu.posthog.com
  paths: [config]
  guardrails: {max_deletes: 1, allow_weakening: true}
  ignore: ["Role/*"]
  projects: {Web: Web test, App: App test}
  needs: [staging]
targets:
  staging: {needs: []}
  production:
    guardrails: {max_deletes: 2}
    ignore: []
    projects: {Web: Web}
  bare:
"""


def test_defaults_are_under_every_target(folder):
    """A target's own value wins; mappings are merged, lists are replaced, paths are the file's."""
    found = load(folder.write({"reconciler.yaml": DEFAULTS})).targets
    production, bare = found["production"], found["bare"]

    assert {target.host for target in found.values()} == {"https://eu.posthog.com"}
    assert {target.paths for target in found.values()} == {(folder.path / "config",)}
    assert production.guardrails == targets.Guardrails(2, allow_weakening=True)
    assert bare.guardrails == targets.Guardrails(1, allow_weakening=True)
    assert (production.ignore, bare.ignore) == ((), ("Role/*",))
    assert production.projects == {"Web": "Web", "App": "App test"}
    assert [target.needs for target in found.values()] == [(), ("staging",), ("staging",)]
    assert production.describe_source("host") == "reconciler.yaml:3:9"
    assert production.guardrails.describe_source("max_deletes") == "reconciler.yaml:12:31"
    assert production.guardrails.describe_source("allow_weakening") == "reconciler.yaml:5:49"


@pytest.mark.parametrize(
    ("written", "place", "message", "fix"),
    [
        ("defaults: {hosts: x}\ntargets: {a: }", "2:12", '`defaults` has no field "hosts"', 'did you mean "host"?'),
        ("defaults: {ignore: [Flag/x]}\ntargets: {a: , b: }", "2:21", 'no address begins with "Flag/"', "one of "),
        ("targets:\n  a: {needs: [bb]}\n  b: {}", "3:15", 'no target "bb"', 'did you mean "b"?'),
        ("targets: {a: {needs: [a]}}", "2:23", "targets need each other in a cycle: a -> a", "remove one"),
        ("targets:\n  a: {needs: [b]}\n  b: {needs: [c]}\n  c: {needs: [a]}", "3:15", "targets need each other in a cycle: a -> b -> c -> a", "remove one"),
        ("defaults: {needs: [a]}\ntargets: {a: , b: }", "2:20", "targets need each other in a cycle: a -> a", "remove one of these names; `needs: []`"),
        ("targets:\n  a: {projects: {W: X, Y: X}}", "3:27", '"W" and "Y" are both the project "X"', "give each"),
        ("targets:\n  a: {projects: {W: 5}}", "3:21", "`targets.a.projects.W` needs text, not the number 5", 'quote it: "5"'),
        ("targets:\n  a: {organization: A b}", "3:21", '`targets.a.organization` cannot be "A b"', "write the slug"),
    ],
)  # fmt: skip
def test_what_is_wrong_between_targets_is_said_once_at_its_place(
    folder, written, place, message, fix
):
    """Before anything is contacted, and for a value of `defaults` not once a target."""
    folder.write({"reconciler.yaml": f"version: 1\n{written}\n"})
    with pytest.raises(ConfigError) as caught:
        load(folder)
    (found,) = caught.value.findings

    assert (str(found.source), found.message) == (f"reconciler.yaml:{place}", message)
    assert found.fix.startswith(fix)
    assert found.excerpt
