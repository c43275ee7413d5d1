"""A settings file says which versions of the program may use it."""

import pytest

from reconciler import __version__
from tests import acme, factories

TARGETS = "targets: {default: {paths: [config]}}\n"


@pytest.fixture
def repo(world):
    """A repository with one flag, without a settings file yet."""
    repo = world(factories.seed(acme.live_flag("a", 10)))
    repo.write("config/a.yaml", acme.flag("a", 10))
    return repo


@pytest.mark.parametrize("specifier", [f"=={__version__}", ">=0.0.1", "<99", ">=0.0.1,<99"])
def test_a_version_in_the_range_may_use_the_file(repo, specifier):
    """Nothing else changes."""
    repo.write("reconciler.yaml", f'version: 1\nrequired_version: "{specifier}"\n{TARGETS}')

    assert 0 == repo.run("validate").code


@pytest.mark.parametrize(
    ("settings", "place", "message", "fix"),
    [
        (
            f'version: 1\nrequired_version: ">=99,<100"\n{TARGETS}',
            "reconciler.yaml:2:19",
            f"this is reconciler {__version__}, and the file requires >=99,<100",
            "install a version >=99,<100 of posthog-reconciler",
        ),
        (
            f'version: 9\nrequired_version: ">=99"\nnew_in_9: {{}}\n{TARGETS}',
            "reconciler.yaml:2:19",
            f"this is reconciler {__version__}, and the file requires >=99",
            "install a version >=99 of posthog-reconciler",
        ),
        (
            f"version: 2\n{TARGETS}",
            "reconciler.yaml:1:10",
            f"reconciler {__version__} reads version 1 of this file, not 2",
            "install a newer version of posthog-reconciler",
        ),
        (
            f"version: 1\nrequired_version: newest\n{TARGETS}",
            "reconciler.yaml:2:19",
            '"newest" is not a version specifier',
            'write one such as ">=0.3,<1"',
        ),
        (
            f"version: 1\nrequired_version: 1\n{TARGETS}",
            "reconciler.yaml:2:19",
            "needs text, not the number 1",
            "",
        ),
    ],
)
def test_any_other_version_stops_before_it_contacts_anybody(repo, settings, place, message, fix):
    """Also where a newer version has added fields that this one does not know."""
    repo.write("reconciler.yaml", settings)

    done = repo.run("plan")

    assert 1 == done.code
    assert place in done.err
    assert message in done.err
    assert fix in done.err
    assert [] == repo.sandbox.requests()


def test_the_range_of_the_base_does_not_count(repo):
    """After an upgrade the last applied commit still names the versions before it."""
    repo.write("reconciler.yaml", f'version: 1\nrequired_version: "<0.0.1"\n{TARGETS}')
    repo.commit("before the upgrade")
    repo.write("reconciler.yaml", f'version: 1\nrequired_version: ">=0.0.1"\n{TARGETS}')
    repo.write("config/a.yaml", acme.flag("a", 20))
    repo.commit("after the upgrade")

    done = repo.run("plan", "--base", "HEAD~1", "--format", "json")

    assert 0 == done.code
    assert '"cause": "intent"' in done.out
