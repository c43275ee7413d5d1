"""What SIGINT and SIGTERM mean: for a command that only reads, and for one that writes."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import field
from threading import Event
from typing import TYPE_CHECKING, Final, NoReturn

from reconciler.lazy_dataclass import dataclass
from reconciler.operating_system import STOP_SIGNALS

if TYPE_CHECKING:
    from reconciler.fleet.target_run import RunControl

INTERRUPTED: Final = 128 + signal.SIGINT  # exit code
GRACE_S: Final = 30.0  # to read what became of a write in flight, after a signal to stop
_EXIT_GRACE_S: Final = 1.0  # for a command to end by itself, which a hanging read would delay
_STOPPING: Final = b"\nstopping: what is in flight is finished; again to leave at once\n"
_watchdogs: list[threading.Timer] = []


@dataclass(slots=True)
class _State:
    """Whether SIGINT has reached the process so far."""

    interrupted: bool = False


_state = _State()


@dataclass
class Interrupt:
    """Whether a command that writes was asked to stop, and the exit code that says so."""

    stop: Event = field(default_factory=Event)
    code: int | None = None
    is_shown: bool = False  # a board says that the run is stopping


def install_handlers(*, interrupts: bool) -> None:
    """End a command within a second of SIGINT, and at SIGTERM at once, with their exit codes.

    What the caller ignores or handles otherwise stays so: then `interrupts` is False.
    """
    if interrupts:
        signal.signal(signal.SIGINT, _interrupt)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def mark_ended() -> None:
    """Note that the command has ended: from now on SIGINT ends the process at once."""
    if signal.getsignal(signal.SIGINT) is _interrupt:
        signal.signal(signal.SIGINT, _exit_at_once)
    while _watchdogs:
        _watchdogs.pop().cancel()


def was_interrupted() -> bool:
    """Return whether SIGINT has reached a command that does not handle it itself."""
    return _state.interrupted


def exit_interrupted() -> NoReturn:
    """End the process as SIGINT does when nothing is left to be said."""
    os._exit(128 + signal.SIGINT)


@contextmanager
def catch_interrupts(
    stop_sending: Callable[[float], None], control: "RunControl | None" = None
) -> Iterator[Interrupt]:
    """Start nothing more after the first signal; exit at once after the second.

    Args:
        stop_sending: called with the seconds that reads may still take.
        control: stops the run instead of a signal, if the process is not its own: signals are
            then for the fleet that the run is a part of.

    """
    interrupt = Interrupt()

    def stop(number: int) -> None:
        interrupt.code = 128 + number
        interrupt.stop.set()
        stop_sending(GRACE_S)  # also ends a wait for the rate limit

    if control is not None:
        with control.handle_stop(lambda: stop(signal.SIGINT), grace_s=2 * GRACE_S):
            yield interrupt
        return

    def handle(number: int, _frame: object) -> None:
        if interrupt.code is not None:
            os._exit(128 + number)
        stop(number)
        if interrupt.is_shown:
            return
        with suppress(OSError):
            os.write(2, _STOPPING)  # buffered stderr may be in the middle of a line

    previous = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield interrupt
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    if _state.interrupted:  # the second signal does not wait for what the first one began
        exit_interrupted()
    _state.interrupted = True
    watchdog = threading.Timer(_EXIT_GRACE_S, _exit, (signal.SIGINT, b"\ninterrupted\n"))
    watchdog.daemon = True
    with suppress(RuntimeError):  # no thread can be started: the command still ends, maybe later
        watchdog.start()
        _watchdogs.append(watchdog)
    raise KeyboardInterrupt


def _exit_at_once(_number: int, _frame: object) -> NoReturn:
    exit_interrupted()


def _terminate(number: int, _frame: object) -> NoReturn:
    _exit(number, b"\nterminated\n")


def _exit(number: int, message: bytes) -> NoReturn:
    with suppress(OSError):
        os.write(2, message)  # buffered stderr may be in the middle of a line
    os._exit(128 + number)
