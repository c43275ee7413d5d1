"""A folder with files in it, loaded."""

import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

from reconciler.config import loader
from reconciler.config.documents.target_names import PLAIN_NAMES
from reconciler.errors import ConfigError
from reconciler.files import working_tree


class Folder:
    """Files below a folder outside git, and what the loader makes of them."""

    def __init__(self, path):
        self.path = path

    def write(self, contents):
        """Write files: name -> text or bytes."""
        for name, content in contents.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else dedent(content).encode())
        return self

    def load(self, *paths, overlays=(), names=PLAIN_NAMES):
        """What `paths` declare; all of the folder, if none is named."""
        tree = working_tree.WorkingTree(self.path)
        named = [Path(path) for path in paths or (".",)]
        over = [Path(path) for path in overlays]
        return loader.load_files(named, overlays=over, names=names, tree=tree)

    def errors(self, *paths, overlays=(), names=PLAIN_NAMES):
        """The findings of a refusal."""
        with pytest.raises(ConfigError) as caught:
            self.load(*paths, overlays=overlays, names=names)
        return caught.value.findings


@pytest.fixture
def folder(tmp_path):
    """An empty folder."""
    return Folder(tmp_path)


class Repository(Folder):
    """The same in a git repository."""

    def git(self, *arguments, cwd=None):
        """Run git; its output."""
        settings = (
            "-c",
            "user.name=T",
            "-c",
            "user.email=t@acme.test",
            "-c",
            "commit.gpgsign=false",
        )
        done = subprocess.run(
            ["git", *settings, *arguments],
            cwd=cwd or self.path,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, message="a change"):
        """Commit everything; the commit's id."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    """An empty git repository."""
    path = tmp_path / "repo"
    path.mkdir()
    made = Repository(path)
    made.git("init", "-q", "-b", "main")
    return made


@pytest.fixture
def shown():
    """Findings as one would read them, for comparing with a golden text."""

    def show(findings):
        rows = []
        for finding in findings:
            rows.append(f"{finding.code} {finding.source}: {finding.message}")
            if finding.excerpt:
                indent = " " * (finding.source.column - 1)
                rows.append(f"| {finding.excerpt}")
                rows.append(f"| {indent}{'^' * finding.width}")
            rows.extend(f"{name}: {text}" for name, text in _rest(finding) if text)
        return "\n".join(rows)

    def _rest(finding):
        return (("why", finding.why), ("fix", finding.fix))

    return show
