"""Start threads for calls that run side by side, before anything is handed to them.

A pool that starts its threads on demand loses the call that it just received if the system
refuses another thread (a limit on processes or memory), in the middle of a run.

Each thread belongs to the run that starts the pool: it has the same context variables.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from threading import Event

from reconciler.errors import ReconcilerError


def start_pool(workers: int, name: str) -> ThreadPoolExecutor:
    """Return a pool of up to `workers` running threads: fewer if the system refuses more.

    Raises ReconcilerError if it refuses even one.
    """
    count = max(1, workers)
    while count:
        pool = ThreadPoolExecutor(
            count, thread_name_prefix=name, initializer=_adopt, initargs=(copy_context(),)
        )
        started = _occupy(pool, count)
        if started == count:
            return pool
        pool.shutdown()
        count = started
    raise ReconcilerError(
        "the system refuses to start a thread",
        why="a limit on processes or memory has been reached",
        state="this step sent nothing",
        fix="raise the limit (ulimit -u, ulimit -v, the container's pids limit), or run fewer jobs",
    )


@contextmanager
def open_pool(workers: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool as `start_pool` returns it; an exception cancels what has not begun."""
    with start_pool(workers, name) as pool:
        try:
            yield pool
        except BaseException:  # also KeyboardInterrupt: queued tasks do not delay it
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _adopt(context: Context) -> None:
    """Give the thread the context variables of the one that has started it."""
    for variable, value in context.items():
        variable.set(value)


def _occupy(pool: ThreadPoolExecutor, count: int) -> int:
    """Keep every thread busy until the last has started; return the number of threads."""
    proceed = Event()
    started = 0
    with suppress(RuntimeError, MemoryError):  # what Python raises for "can't start new thread"
        while started < count:
            pool.submit(proceed.wait)
            started += 1
    proceed.set()
    return started
