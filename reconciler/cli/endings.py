"""What a signal means to a command that writes nothing; who writes, or serves, meets it itself."""

import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

_GRACE_S = 1.0  # for a command to end by itself, which a read that hangs would hold up
_watchdogs: list[threading.Timer] = []


@dataclass(slots=True)
class _State:
    """What has reached the process so far."""

    interrupted: bool = False


_state = _State()


def meet_signals(*, interrupts: bool) -> None:
    """SIGINT ends a command within a second, and SIGTERM at once, with their own exit codes.

    What the caller has ignored or handles otherwise stays so: then `interrupts` is False.
    """
    if interrupts:
        signal.signal(signal.SIGINT, _interrupted)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def ended() -> None:
    """Note that the command has ended: from now on SIGINT ends the process at once."""
    if signal.getsignal(signal.SIGINT) is _interrupted:
        signal.signal(signal.SIGINT, _left)
    while _watchdogs:
        _watchdogs.pop().cancel()


def was_interrupted() -> bool:
    """Return whether SIGINT has reached a command that does not meet it itself."""
    return _state.interrupted


def leave_interrupted() -> NoReturn:
    """End the process as SIGINT does where nothing is left to be said."""
    os._exit(128 + signal.SIGINT)


def _interrupted(_number: int, _frame: object) -> NoReturn:
    if _state.interrupted:  # twice: what the first one began is not waited for
        leave_interrupted()
    _state.interrupted = True
    watchdog = threading.Timer(_GRACE_S, _leave, (signal.SIGINT, b"\ninterrupted\n"))
    watchdog.daemon = True
    with suppress(RuntimeError):  # no thread to be had: the command still ends, maybe later
        watchdog.start()
        _watchdogs.append(watchdog)
    raise KeyboardInterrupt


def _left(_number: int, _frame: object) -> NoReturn:
    leave_interrupted()


def _terminated(number: int, _frame: object) -> NoReturn:
    _leave(number, b"\nterminated\n")


def _leave(number: int, word: bytes) -> NoReturn:
    with suppress(OSError):
        os.write(2, word)  # buffered stderr may be in the middle of a line
    os._exit(128 + number)
