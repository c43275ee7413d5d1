"""`reconciler fleet worker`: run targets on the engine until the worker is stopped."""

import logging
import signal
from pathlib import Path

from reconciler.cli.console import build_log_handler
from reconciler.cli.fleet.engine_place import find_engine
from reconciler.cli.fleet.runner import CommandRunner
from reconciler.cli.session import Session
from reconciler.cli.signals import catch_interrupts
from reconciler.config.settings import load_settings
from reconciler.errors import GitError
from reconciler.files.working_tree import find_git_root
from reconciler.fleet.engine.worker_host import WorkerHost, WorkerOptions

STORE = Path(".reconciler/fleet")


def run_worker(session: Session, *, repo: str | None, out: str | None, concurrency: int) -> int:
    """Serve the task queue of reconciler.yaml; return 0 after SIGTERM, 130 after Ctrl-C."""
    folder = (session.cwd / (repo or ".")).resolve()
    settings = load_settings(folder, environ=session.environ, file=session.config)
    place = find_engine(session, settings.fleet)
    root = find_git_root(folder)
    if root is None:
        raise GitError(
            f"{folder} is not a git repository",
            why="a worker reads the files of each run from a commit",
            fix="name a clone of the configuration repository with --repo",
        )
    store = (session.cwd / out).resolve() if out else settings.fleet.artifacts or root / STORE
    host = WorkerHost(
        WorkerOptions(root, store, concurrency, session.environ), CommandRunner(session)
    )
    from reconciler.fleet.engine.temporal import fleet  # noqa: PLC0415  the SDK takes half a second

    _start_logging(session)
    stop = fleet.StopSignal()
    try:
        with catch_interrupts(lambda _: stop.set()) as interrupt:
            fleet.serve(
                place,
                host,
                stop=stop,
                on_ready=lambda: session.say(
                    f"worker ready: task queue {place.task_queue} of namespace {place.namespace} "
                    f"at {place.address}"
                ),
            )
    finally:
        host.close()
    return 0 if interrupt.code in {None, 128 + signal.SIGTERM} else interrupt.code


def _start_logging(session: Session) -> None:
    """Have the SDK log as the program does: one line each, and never a key."""
    log = logging.getLogger("temporalio")
    log.handlers[:] = [build_log_handler(session.log_format, session.err)]
    log.propagate = False
