"""Evaluate the expressions of rules in a process that ends when one of them takes too long.

One JSON document a line, on stdin and stdout. It imports as little as possible: it starts with
every plan that is judged, and again after each expression that took too long.
"""

import json
import signal
import sys
from collections import defaultdict
from time import process_time
from typing import Any, Final

from reconciler.operating_system import limit_memory, limit_processor_time

LIMIT_S: Final = 0.1  # of processor time, for one expression and one change
TOTAL_S: Final = 10.0  # of processor time, for one expression and all changes
_MEMORY: Final = 2 * 1024**3  # bytes of address space


def main(total_s: float) -> None:
    """Answer questions until stdin is closed. An expression may take `total_s` for all of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process decides when it ends
    limit_memory(_MEMORY)
    try:
        from reconciler.plan.rules import expressions  # noqa: PLC0415  its absence is an answer
    except ImportError as error:
        _answer({"missing": str(error)})
        return
    _answer({"ready": True})
    compiled, variables = expressions.Expressions(), dict[str, Any]()
    spent_s = defaultdict[int, float](float)
    for line in sys.stdin.buffer:
        question = json.loads(line)
        limit_processor_time(LIMIT_S)
        if "compile" in question:
            problem = compiled.add(question["compile"])
            answer: Any = problem and [problem.message, problem.line, problem.column]
        elif "context" in question:
            variables = question["context"]
            variables["now"] = expressions.read_moment(variables["now"])
            answer = None
        else:
            limit_processor_time(0)  # a large change takes a while: not the fault of a rule
            bound, answer = compiled.bind({**variables, "change": question["change"]}), []
            for number in question["expressions"]:
                if spent_s[number] > total_s:
                    answer.append(f"it has taken longer than {total_s:g} s for the changes before")
                    continue
                limit_processor_time(LIMIT_S)
                began = process_time()
                answer.append(compiled.evaluate(number, bound))
                spent_s[number] += process_time() - began
        limit_processor_time(0)
        _answer(answer)


def _answer(document: Any) -> None:
    sys.stdout.buffer.write(json.dumps(document).encode("ascii") + b"\n")
    sys.stdout.buffer.flush()
