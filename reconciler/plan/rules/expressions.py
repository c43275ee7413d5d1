"""Compile and evaluate expressions of the Common Expression Language.

The only module that imports the library, Google's own (`cel-expr-python`). It runs in a process of
its own, which can be killed. An expression sees the values that it is given, and nothing else: it
has no function that reads a file, the environment, the network or the clock.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from reconciler.lazy_dataclass import dataclass
from reconciler.lazy_pattern import compile_later
from reconciler.suggest import closest_match

_DOCUMENT: Final = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
VARIABLES: Final = {
    "change": _DOCUMENT,
    "plan": _DOCUMENT,
    "author": cel.Type.List(cel.Type.STRING),
    "now": cel.Type.TIMESTAMP,
}
_ERROR: Final = compile_later(r"\bERROR: <input>:(-?\d+):(-?\d+): (.*)$", re.MULTILINE)
_STATUS: Final = compile_later(r"^[A-Z_]+: ")
_CODE: Final = compile_later(r"\s*(?:\(in container ''\))?\s*(?:\[[A-Z_]+\])?$")
_UNKNOWN: Final = compile_later(r"undeclared reference to '([^']+)'")
_SYNTAX: Final = compile_later(r"expecting \{.*")
_OVERLOAD: Final = compile_later(r"No matching overloads found : [_@]*([^\s(_]+)_*(?:\((.*)\))?$")
_WORDS: Final = (  # of the library -> in the words of users
    (compile_later(r"Key not found in map : "), "there is no key "),
    (compile_later(r"Index error: index=(\d+) size=(\d+)"), r"there is no item \1 in a list of \2"),
    (compile_later(r"Iteration budget exceeded"), "it takes more than 10,000 steps"),
    (
        compile_later(r"Expression recursion limit exceeded.*|Exceeded max recursion depth.*"),
        "it is nested more deeply than 32 levels",
    ),
    (
        compile_later(r"Applying SELECT to non-message type"),
        "a key of something that is not a mapping",
    ),
)
_TYPES: Final = {"null_type": "null", "int64": "int", "uint64": "uint"}
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class ExpressionProblem:
    """Hold why an expression does not compile, and where. Lines and columns count from 1."""

    message: str
    line: int = 1
    column: int = 1


class Expressions:
    """Compiled expressions, by number."""

    def __init__(self) -> None:
        extensions = [ext_strings.ExtStrings()]
        self._environment = cel.NewEnv(variables=VARIABLES, extensions=extensions)
        self._touch = self._environment.compile("size(change) + size(plan) + size(author) >= 0")
        self._programs: list[cel.Expression | None] = []

    def add(self, text: str) -> ExpressionProblem | None:
        """Compile the next expression; return why it cannot be used, if it cannot."""
        self._programs.append(None)
        try:
            program = self._environment.compile(text)
        except RuntimeError as error:
            return next(_read_errors(str(error), text.split("\n")))
        result = program.return_type()
        if result not in (cel.Type.BOOL, cel.Type.DYN):  # types have no hash
            return ExpressionProblem(f"it is of type {_name_type(result)}, not true or false")
        self._programs[-1] = program
        return None

    def bind(self, variables: Mapping[str, Any]) -> cel.Activation:
        """Return variables for several expressions, converted once: the library does it late."""
        activation = self._environment.Activation(variables)
        self._touch.eval(activation)
        return activation

    def evaluate(self, number: int, variables: cel.Activation) -> bool | str:
        """Return what an expression is for these variables, or why it has no value."""
        program = self._programs[number]
        if program is None:
            return "it does not compile"
        try:
            value = program.eval(variables)
            if value.type() == cel.Type.ERROR:
                return _clean(str(value.value()))
            if value.type() != cel.Type.BOOL:
                return f"it is of type {_name_type(value.type())}, not true or false"
            return bool(value.value())
        except (RuntimeError, ValueError, TypeError, OverflowError) as error:
            return _clean(str(error))


def read_moment(text: str) -> datetime:
    """Return the time that `now` is, from ISO 8601 with a zone."""
    return datetime.fromisoformat(text)


def _name_type(kind: cel.Type) -> str:
    return str(kind.name()).lower()


def _read_errors(text: str, lines: Sequence[str]) -> Iterator[ExpressionProblem]:
    """Yield the errors of a text of the library, the first of which is shown."""
    for line, column, message in _ERROR.findall(text):
        number, place = max(1, int(line)), max(1, int(column))
        unknown = _UNKNOWN.search(message)
        if unknown is None or number > len(lines):
            yield ExpressionProblem(_clean(message), number, place)
            continue
        name = unknown[1]
        match = closest_match(name.partition(".")[0], VARIABLES)
        hint = f'; did you mean "{match}"?' if match else ""
        start = _find_name(lines[number - 1], name, place)
        yield ExpressionProblem(f"{_clean(message)}{hint}", number, start)
    yield ExpressionProblem(_clean(text))


def _find_name(line: str, name: str, column: int) -> int:
    """Return where a name begins: the library points at its last dot, or behind it."""
    for start in (column - 1 - max(0, name.rfind(".")), column - 1 - len(name)):
        if start >= 0 and line.startswith(name, start):
            return start + 1
    return column


def _clean(text: str) -> str:
    """Return the sentence of an error in one line."""
    first = _CODE.sub("", _STATUS.sub("", text.partition("\n")[0]))
    if operator := _OVERLOAD.search(first):
        types = [_TYPES.get(name.strip(), name.strip()) for name in (operator[2] or "").split(",")]
        return f"`{operator[1]}` does not take {' and '.join(filter(None, types)) or 'these types'}"
    for pattern, words in _WORDS:
        first = pattern.sub(words, first)
    return _SYNTAX.sub("expecting something else", first).strip()[:_LONGEST]
