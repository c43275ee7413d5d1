"""A command in a process of its own, forked with everything imported, to be killed or raced."""

import json
import os
import signal
import sys
from dataclasses import dataclass

from tests.support import Done


@dataclass
class Child:
    """A running command."""

    pid: int
    pipe: int
    status: int | None = None

    def kill(self, number=signal.SIGKILL):
        """Send a signal, if it still runs."""
        if self.status is None:
            os.kill(self.pid, number)

    def running(self):
        """Whether it has not ended."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status is None

    def result(self):
        """What it printed and its exit code, once it has ended; None if it was killed."""
        with os.fdopen(self.pipe, "rb") as pipe:
            data = pipe.read()
        if self.status is None:
            _, self.status = os.waitpid(self.pid, 0)
        if not os.WIFEXITED(self.status):
            return None
        return Done(*json.loads(data))


def start(driver, *arguments, **extra):
    """Run a command of a driver in a child."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Child(pid, reading)
    code = 70
    try:
        os.close(reading)
        done = driver.go(*arguments, **extra)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(json.dumps([done.code, done.out, done.err]).encode())
        code = 0
    finally:
        os._exit(code)
