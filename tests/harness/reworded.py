"""A repository whose commands run in another process, there perhaps with other words."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from tests.support import CLEAN, Done, Repository


class Remote(Repository):
    """A repository whose commands run in such a process."""

    def __init__(self, folder, sandbox, process):
        super().__init__(folder, sandbox)
        self.process = process

    def run(self, *arguments, token=None, **extra):
        environ = {**self.environment(token), **extra}
        command = {"arguments": arguments, "folder": str(self.folder), "environ": environ}
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return Done(*json.loads(self.process.stdout.readline()))


@contextmanager
def process(*, reword, **planted):
    """Start the process; `planted` replaces text in modules: {module: [[old, new]]}."""
    options = json.dumps({"reword": reword, "planted": planted})
    with subprocess.Popen(
        [sys.executable, "-m", "tests.harness.rewording", options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=CLEAN,
        cwd=Path(__file__).parent.parent.parent,
    ) as running:
        try:
            yield running
        finally:
            running.kill()
