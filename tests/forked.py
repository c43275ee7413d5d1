"""Run the program in forked processes, in which all modules are imported already.

They are for signals, terminals, kills and scripts. What belongs to the start of Python itself is
tested with the console script (`tests.support.SCRIPT`).
"""

import faulthandler
import gc
import inspect
import io
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import reconciler
from reconciler.__main__ import main

# What other processes load: the sandbox, and workers on Temporal.
_ELSEWHERE = ("reconciler.sandbox", "reconciler.fleet.engine")
_CRASHED = 70
_HANGS_S = 50  # no command of a test takes so long: it says where it is
_CLIENT = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    call = [sys.argv[1:], os.getcwd(), dict(os.environ)]
    socket.send_fds(server, [b"c"], [0, 1, 2])
    server.sendall(json.dumps(call).encode() + b"\\n")
    code = server.recv(16)
sys.exit(int(code))
"""


class Program(subprocess.Popen):
    """A command of the program as a process; the options are those of `Popen`."""

    def __init__(self, arguments, **options):
        _import_program()
        super().__init__([str(word) for word in arguments], **options)

    def _execute_child(self, *given):
        """Fork where `Popen` would start another executable."""
        names = list(inspect.signature(subprocess.Popen._execute_child).parameters)[1:]
        options = dict(zip(names, given, strict=True))
        streams = [options[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        self.pid = _fork()
        if not self.pid:
            _become(
                options["args"],
                streams,
                options["cwd"],
                options["env"],
                leads_session=options["start_new_session"],
                prepare=options["preexec_fn"],
            )
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(options[name] for name in pipes))


def _fork():
    """Fork; Python warns where there are threads, which are none of the child's business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


@cache
def _import_program():
    """Import what commands import when they run."""
    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if not module.name.startswith(_ELSEWHERE):
            import_module(module.name)


def _become(arguments, streams, folder, environ, *, leads_session=False, prepare=None, kept=None):
    """Run a command in this process, which was forked, and end with its exit code."""
    code = _CRASHED
    try:
        gc.freeze()  # nothing of the parent is closed here
        if leads_session:
            os.setsid()
        _replace_streams(streams, kept)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        time.tzset()
        _restore_defaults()
        faulthandler.dump_traceback_later(_HANGS_S, file=2)
        if prepare is not None:
            prepare()
        sys.argv = ["reconciler", *arguments]
        main()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:  # noqa: BLE001  as Python does at the end
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


def _replace_streams(streams, kept):
    """Put these descriptors in the place of the first three, and close all others but `kept`."""
    copies = [os.dup(given if given >= 0 else number) for number, given in enumerate(streams)]
    for number, descriptor in enumerate(copies):
        os.dup2(descriptor, number)
    os.closerange(3, kept or 3)
    os.closerange((kept or 2) + 1, os.sysconf("SC_OPEN_MAX"))
    sys.stdin = sys.__stdin__ = io.open(0, encoding="utf-8", closefd=False)  # noqa: SIM115, UP020  for the life of the process
    for number, name, errors in (
        (1, "stdout", "surrogateescape"),
        (2, "stderr", "backslashreplace"),
    ):
        stream = io.TextIOWrapper(
            io.open(number, "wb", closefd=False),  # noqa: SIM115, UP020  as above
            encoding="utf-8",
            errors=errors,
            line_buffering=number == 2 or os.isatty(number),
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _restore_defaults():
    """Undo what the test run has changed in its own process."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGWINCH):
        signal.signal(number, signal.SIG_DFL)
    sys.dont_write_bytecode = True  # of a process that may write few bytes it would be cut short
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    sys.excepthook, sys.unraisablehook = sys.__excepthook__, sys.__unraisablehook__
    threading.excepthook = threading.__excepthook__


@contextmanager
def program_for_scripts():
    """Make an executable `reconciler` for scripts; it works until the end."""
    _import_program()
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        executable, address = Path(folder, "reconciler"), str(Path(folder, "calls"))
        text = _CLIENT.format(python=sys.executable, address=address)
        executable.write_text(text, encoding="utf-8")
        executable.chmod(0o755)
        Path(folder, "python").symlink_to(sys.executable)  # scripts look for the program beside it
        listening.bind(address)
        listening.listen(16)
        server = _fork()
        if not server:
            try:
                _serve(listening, os.getppid())
            finally:
                os._exit(_CRASHED)
        try:
            yield executable
        finally:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)


def _serve(listening, parent):
    """Fork for each call, until the test run has ended."""
    gc.freeze()
    listening.settimeout(5)
    while os.getppid() == parent:
        with suppress(ChildProcessError):  # there is none
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        with suppress(TimeoutError):
            connection, _ = listening.accept()
            if not _fork():
                _answer(connection)
            connection.close()


def _answer(connection):
    """Run the command of one call, and send back its exit code; stop it when the caller ends."""
    connection.setblocking(True)  # noqa: FBT003  its only parameter
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as call:
        arguments, folder, environ = json.loads(call.readline())
    running, ended = os.pipe()  # the other end is closed when the command ends
    program = _fork()
    if not program:
        _become(arguments, streams, folder, environ, kept=ended)
    os.close(ended)
    for descriptor in streams:
        os.close(descriptor)
    if running not in select.select([running, connection], [], [])[0]:
        os.kill(program, signal.SIGTERM)
    _, status = os.waitpid(program, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)
