"""Earlier states of the files are read in a few calls of git, however many files have changed."""

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.config import recent_commits
from reconciler.config.targets import Target
from reconciler.git import repository

FLAG = """\
kind: FeatureFlag
metadata: {{organization: acme, project: Web, key: flag-{number}}}
spec: {{name: {name}}}
"""


@pytest.mark.skipif(os.name != "posix", reason="the git that counts its calls is a shell script")
@pytest.mark.parametrize("files", [5, 50])
def test_files_are_not_read_by_a_process_each(tmp_path, monkeypatch, files):
    """A git on the PATH writes down each call and hands it on."""
    real, calls, config = shutil.which("git"), tmp_path / "calls", tmp_path / "repo" / "config"
    config.mkdir(parents=True)
    who = ("-c", "user.name=a", "-c", "user.email=a@acme.test", "-c", "commit.gpgsign=false")
    for name in ("old", "new"):
        for number in range(files):
            text = FLAG.format(number=number, name=name)
            (config / f"{number}.yaml").write_text(text, encoding="utf-8")
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", name]):
            subprocess.run([real, *who, *words], cwd=config.parent, check=True)
    counting = tmp_path / "bin" / "git"
    counting.parent.mkdir()
    counting.write_text(f'#!/bin/sh\necho x >> "{calls}"\nexec "{real}" "$@"\n', encoding="utf-8")
    counting.chmod(0o755)
    monkeypatch.setenv("PATH", f"{counting.parent}{os.pathsep}{os.environ['PATH']}")

    tree = repository.open_commit("HEAD", cwd=config.parent, at=config)
    now = datetime.now(UTC) + timedelta(minutes=1)
    states = recent_commits.load_recent(Target("t", paths=(config,)), None, tree=tree, now=now)

    names = [{r.spec["name"] for r in state.declared.resources.values()} for state in states]
    assert [{"old"}, {"new"}] == names[-2:]
    assert len(calls.read_text().split()) < 15
