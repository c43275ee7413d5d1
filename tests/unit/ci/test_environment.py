"""Facts about a build, from the variables of each provider."""

import ast
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from reconciler.ci.build import Push
from reconciler.ci.environment import detect

SOURCES = Path(__file__).parents[3] / "reconciler"
COMMIT, BEFORE = "c" * 40, "b" * 40
JOB_URL = "https://gitlab.test/acme/config/-/jobs/1"
GITLAB = {"GITLAB_CI": "true", "CI_JOB_URL": JOB_URL, "CI_COMMIT_SHA": COMMIT}
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.test",
    "GITHUB_REPOSITORY": "acme/config",
    "GITHUB_RUN_ID": "42",
    "GITHUB_SHA": COMMIT,
}


@pytest.fixture
def github(tmp_path):
    """The facts of a workflow whose event is the given document."""

    def read(event, **variables):
        path = tmp_path / "event.json"
        path.write_text(event if isinstance(event, str) else json.dumps(event), encoding="utf-8")
        return detect({**GITHUB, "GITHUB_EVENT_PATH": str(path), **variables})

    return read


@pytest.mark.parametrize("environ", [{}, {"CI": "true", "PATH": "/bin", "GITHUB_TOKEN": "t"}])
def test_without_a_known_provider_there_is_no_build(environ):
    """A token is no build: people export it at home, too."""
    assert detect(environ) is None


def test_the_page_and_the_commit_of_a_run_are_known_on_each_provider(github):
    """The URL is put together in one place."""
    on_github, on_gitlab = github({}), detect(GITLAB)

    assert "https://github.test/acme/config/actions/runs/42" == on_github.run_url
    assert JOB_URL == on_gitlab.run_url
    assert [COMMIT, COMMIT] == [on_github.commit, on_gitlab.commit]
    assert "" == detect({**GITHUB, "GITHUB_RUN_ID": ""}).run_url


def test_the_variable_of_a_provider_decides_and_not_a_stray_fact_of_the_other():
    """A workflow may set a variable that looks like one of GitLab."""
    assert "github" == detect({**GITHUB, "CI_PROJECT_ID": "5"}).provider
    assert "gitlab" == detect({**GITLAB, "GITHUB_REPOSITORY": "a/b"}).provider
    assert "gitlab" == detect({**GITLAB, **GITHUB}).provider


def test_a_single_fact_is_enough_to_try_what_a_build_would_do():
    """`GITHUB_BASE_REF=main reconciler plan` at home."""
    assert "main" == detect({"GITHUB_BASE_REF": "main"}).base_ref
    assert "main" == detect({"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}).base_ref
    assert BEFORE == detect({"CI_MERGE_REQUEST_DIFF_BASE_SHA": BEFORE}).base_commit


@pytest.mark.parametrize(
    ("variables", "branch", "is_tag"),
    [
        ({"GITHUB_REF": "refs/heads/main"}, "main", False),
        ({"GITHUB_REF": "refs/tags/v1", "GITHUB_REF_TYPE": "tag"}, None, True),
        ({"GITHUB_REF": "refs/pull/7/merge", "GITHUB_REF_TYPE": "branch"}, None, False),
        (
            {
                "GITHUB_REF_TYPE": "branch",
                "GITHUB_REF_NAME": "main",
                "GITHUB_EVENT_NAME": "push",
                "GITHUB_REPOSITORY": "acme/config",
            },
            "main",
            False,
        ),
        ({"CI_COMMIT_BRANCH": "main"}, "main", False),
        ({"CI_COMMIT_TAG": "v1"}, None, True),
    ],
)
def test_a_build_is_of_a_branch_of_a_tag_or_of_neither(variables, branch, is_tag):
    """A pull request of GitHub is checked out at a ref of its own."""
    build = detect(variables)

    assert (branch, is_tag) == (build.branch, build.is_tag)


def test_a_push_says_where_it_came_from(github):
    """The zeros of a branch's first push are no commit; another event is no push."""
    push = {"before": BEFORE, "forced": True}
    name = {"GITHUB_EVENT_NAME": "push"}

    assert Push(BEFORE, is_forced=True) == github(push, **name).pushed_from
    assert github(push, GITHUB_EVENT_NAME="schedule").pushed_from is None
    assert github({"before": "0" * 40}, **name).pushed_from is None
    assert github({"before": 7}, **name).pushed_from is None
    assert Push(BEFORE) == detect({**GITLAB, "CI_COMMIT_BEFORE_SHA": BEFORE}).pushed_from
    assert detect({**GITLAB, "CI_COMMIT_BEFORE_SHA": "0" * 40}).pushed_from is None


def test_a_pull_request_has_a_number(github):
    """From the event of GitHub, and from a variable of GitLab."""
    assert 7 == github({"pull_request": {"number": 7}}).pull_request
    assert github({"pull_request": "7"}).pull_request is None
    assert 7 == detect({**GITLAB, "CI_MERGE_REQUEST_IID": "7"}).pull_request
    assert detect({**GITLAB, "CI_MERGE_REQUEST_IID": "x"}).pull_request is None


@pytest.mark.parametrize(
    ("repository", "is_public"),
    [
        ({"private": False}, True),
        ({"private": True}, False),
        ({"visibility": "internal"}, False),
        (None, True),
    ],
)
def test_a_build_is_public_unless_its_provider_says_otherwise(github, repository, is_public):
    """A doubt counts as public: then people are not named in full."""
    assert is_public is github({"repository": repository}).is_public


def test_an_event_that_cannot_be_read_hides_nothing_and_breaks_nothing(github, tmp_path):
    """As public as one that does not say."""
    missing = detect({**GITHUB, "GITHUB_EVENT_PATH": str(tmp_path / "gone")})

    for build in (missing, github("{"), github("[1]"), github("[" * 100_000)):
        assert build.is_public
        assert build.pull_request is None


@pytest.mark.parametrize(
    ("visibility", "is_public"), [({}, True), ({"CI_PROJECT_VISIBILITY": "private"}, False)]
)
def test_a_project_of_gitlab_is_public_unless_it_says_otherwise(visibility, is_public):
    """As above."""
    assert is_public is detect({**GITLAB, **visibility}).is_public


def test_the_token_is_in_no_representation_of_a_build():
    """A value that is passed around ends up in a log some day."""
    builds = [
        detect({**GITHUB, "GITHUB_TOKEN": "s3cret"}),
        detect({**GITLAB, "GITLAB_TOKEN": "s3cret"}),
    ]

    for build in builds:
        assert "s3cret" == build.token()
        assert "s3cret" not in repr(build)
        assert "secret" in {field.name for field in fields(build)}


def test_no_other_module_names_a_variable_of_a_provider():
    """A new provider would be forgotten there."""
    variable = re.compile(r"(GITHUB|GITLAB|CI|RUNNER)_[A-Z_]+|GITLAB_CI")
    texts = {path: path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py")}
    named = {
        path.relative_to(SOURCES).as_posix()
        for path, text in texts.items()
        if re.search(r"(GITHUB|GITLAB|CI|RUNNER)_", text)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and variable.fullmatch(node.value)
    }

    assert {"ci/environment.py", "ci/github.py", "ci/gitlab.py"} == named
