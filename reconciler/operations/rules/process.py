"""Let a process evaluate expressions; replace the process if it takes too long."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import IO, Any, Final, Self

import reconciler
from reconciler.errors import ReconcilerError
from reconciler.operating_system import HAS_TIMER, has_exceeded_processor_time
from reconciler.operations.rules.worker import LIMIT_S, TOTAL_S

TOO_LONG: Final = f"it takes longer than {LIMIT_S * 1000:.0f} ms"
_ENDED: Final = "the process that evaluates it ended"
# Imports the running version of this program, and finds standard modules first.
_START: Final = """
import sys
installed = (n for n, path in enumerate(sys.path) if path.endswith("-packages"))
sys.path.insert(next(installed, len(sys.path)), sys.argv[1])
from reconciler.operations.rules.worker import main
main(float(sys.argv[2]))
"""
_START_S: Final = 30.0
_PATIENCE_S: Final = 30.0 if HAS_TIMER else LIMIT_S  # of the wall clock; the kernel counts better
_MOST_ENDS: Final = 3  # changes on which one expression may end the process

CompileProblem = tuple[str, int, int]  # message, line, column


class _ProcessEndedError(Exception):
    """The process has ended while it was asked."""


class RuleProcess:
    """Evaluates expressions, numbered in their order. Not for several threads at once.

    Args:
        expressions: of the rules.
        total_s: of processor time that one expression may take for all changes.

    """

    def __init__(self, expressions: Sequence[str], total_s: float = TOTAL_S) -> None:
        self._expressions = tuple(expressions)
        self._total_s = total_s
        self._problems: dict[int, CompileProblem] = {}
        self._context: dict[str, Any] | None = None
        self._ends = Counter[int]()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: Thread | None = None
        self._lines: SimpleQueue[bytes] = SimpleQueue()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def problems(self) -> dict[int, CompileProblem]:
        """Return why expressions cannot be evaluated, by number."""
        return self._problems

    def set_context(self, context: dict[str, Any]) -> None:
        """Set what is the same for all changes: `plan`, `author` and `now`."""
        self._context = context
        self._ask({"context": context}, 1)

    def evaluate(self, row: dict[str, Any], numbers: Sequence[int]) -> list[bool | str]:
        """Return, for each expression, whether it is true of a change, or why it has no value."""
        given_up = {number for number in numbers if self._ends[number] >= _MOST_ENDS}
        tried = [number for number in numbers if number not in given_up]
        if given_up:
            results = dict(zip(tried, self.evaluate(row, tried) if tried else (), strict=True))
            return [results.get(number, f"{TOO_LONG} on other changes") for number in numbers]
        try:
            answers = self._ask({"change": row, "expressions": tried}, len(tried))
        except _ProcessEndedError as ended:
            self._restart()
            if len(tried) > 1:
                return [self.evaluate(row, [number])[0] for number in tried]
            self._ends[tried[0]] += 1
            return [str(ended)]
        return list(answers)

    def _start(self) -> None:
        """Start a process that compiles all expressions, except those that take too long."""
        while not self._try_start():
            self._end()

    def _try_start(self) -> bool:
        self._lines = SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, *self._list_arguments()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        self._reader = Thread(
            target=_read_lines, args=(self._process.stdout, self._lines), daemon=True
        )
        self._reader.start()
        self._check_start()
        for number, text in enumerate(self._expressions):
            is_left_out = number in self._problems  # it keeps its number
            try:
                problem = self._ask({"compile": "false" if is_left_out else text}, 1)
            except _ProcessEndedError as ended:
                self._problems[number] = (f"{ended} to compile", 1, 1)
                return False
            if problem is not None:
                self._problems[number] = (problem[0], problem[1], problem[2])
        return True

    def _list_arguments(self) -> tuple[str, ...]:
        return str(Path(reconciler.__file__).parent.parent), str(self._total_s)

    def _check_start(self) -> None:
        why = ""
        try:
            started = json.loads(self._read(_START_S))
        except _ProcessEndedError as ended:
            started, why = {"missing": ""}, str(ended)
        if "missing" in started:
            self._end()
            raise ReconcilerError(
                "the rules of the target cannot be judged",
                why=why or f"the library cel-expr-python cannot be imported: {started['missing']}",
                state="nothing was written",
                fix="install posthog-reconciler again; the library needs CPython before 3.15 on "
                "Linux with glibc, macOS or Windows",
            )

    def _restart(self) -> None:
        self._end()
        self._start()
        if self._context is not None:
            self.set_context(self._context)

    def _ask(self, question: dict[str, Any], steps: int) -> Any:
        """Return the answer to a question of so many steps, each with its own time."""
        process = self._process
        assert process is not None  # noqa: S101  it was started
        assert process.stdin is not None  # noqa: S101  it is a pipe
        try:
            process.stdin.write(json.dumps(question).encode("ascii") + b"\n")
            process.stdin.flush()
        except OSError:
            raise _ProcessEndedError(self._describe_end()) from None
        return json.loads(self._read(_PATIENCE_S * max(1, steps)))

    def _read(self, seconds: float) -> bytes:
        try:
            line = self._lines.get(timeout=seconds)
        except Empty:
            raise _ProcessEndedError(TOO_LONG) from None
        if not line.endswith(b"\n"):
            raise _ProcessEndedError(self._describe_end())
        return line

    def _describe_end(self) -> str:
        assert self._process is not None  # noqa: S101  it was started
        code = self._process.wait()
        return TOO_LONG if has_exceeded_processor_time(code) else f"{_ENDED} with {code}"

    def _end(self) -> None:
        process, reader = self._process, self._reader
        if process is None or reader is None:
            return
        process.kill()
        process.wait()
        reader.join()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # the process never read the last question
                    continue
        self._process = self._reader = None


def _read_lines(pipe: IO[bytes], lines: "SimpleQueue[bytes]") -> None:
    """Read lines until the pipe is closed, then one that does not end like a line."""
    for line in pipe:
        lines.put(line)
    lines.put(b"")
