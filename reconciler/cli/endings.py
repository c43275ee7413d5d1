"""What a signal means to a command that writes nothing; who writes, or serves, meets it itself."""

import os
import signal
import threading
from contextlib import suppress
from typing import NoReturn

_GRACE_S = 1.0  # for a command to end by itself, which a read that hangs would hold up
_watchdogs: list[threading.Timer] = []


def meet_signals() -> None:
    """SIGINT ends a command within a second, and SIGTERM at once, with their own exit codes.

    What the caller has ignored or handles otherwise stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def ended() -> None:
    """The command has ended by itself."""
    while _watchdogs:
        _watchdogs.pop().cancel()


def _interrupted(_number: int, _frame: object) -> NoReturn:
    watchdog = threading.Timer(_GRACE_S, _leave, (signal.SIGINT, b"\ninterrupted\n"))
    watchdog.daemon = True
    with suppress(RuntimeError):  # no thread to be had: the command still ends, maybe later
        watchdog.start()
        _watchdogs.append(watchdog)
    raise KeyboardInterrupt


def _terminated(number: int, _frame: object) -> NoReturn:
    _leave(number, b"\nterminated\n")


def _leave(number: int, word: bytes) -> NoReturn:
    with suppress(OSError):
        os.write(2, word)  # buffered stderr may be in the middle of a line
    os._exit(128 + number)
