"""Recorded answers and the list of statements to results. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from reconciler.conformance.exchange import Exchange, read_path
from reconciler.conformance.statement import (
    MISSING,
    ApiGeneration,
    Expectation,
    Keys,
    Statement,
    resolve,
)
from reconciler.lazy_dataclass import dataclass

_NEWEST_FIRST: Final = (ApiGeneration.G3, ApiGeneration.G2, ApiGeneration.G1, ApiGeneration.DOCS)
_NOT_GONE_WELL: Final = "an earlier call did not go as expected"


class CheckResult(StrEnum):
    """What the server shows about a statement."""

    HOLDS = "holds"
    DIFFERS = "differs"
    NOT_TRIED = "not_tried"


@dataclass(frozen=True, slots=True)
class Judged:
    """A statement and what the server shows about it.

    `exchange`, `expected` and `seen` belong to a difference, `reason` to what was not tried.
    """

    statement: Statement
    result: CheckResult
    reason: str = ""
    exchange: Exchange | None = None
    expected: str = ""
    seen: Any = None


@dataclass(frozen=True, slots=True)
class Observations:
    """What the probes recorded: answers by name, what was learnt, and why a probe was skipped."""

    exchanges: Mapping[str, Exchange]
    facts: Mapping[str, Any]
    skipped: Mapping[str, str]


def find_generation(statements: Sequence[Statement], observed: Observations) -> ApiGeneration:
    """Return the generation that the answers fit best; of several the newest.

    No single answer decides: a server whose only difference is that answer keeps its generation.
    """
    return min(
        _NEWEST_FIRST, key=lambda generation: _count_differences(statements, observed, generation)
    )


def judge_all(
    statements: Sequence[Statement], observed: Observations, generation: ApiGeneration
) -> tuple[Judged, ...]:
    """Judge each statement, in the order of the list.

    A difference is reported once. If the status of an answer differs, or a part of it is missing,
    nothing else is said about the answer, or about what is inside of that part.
    """
    status_differs = {
        statement.exchange: statement
        for statement in statements
        if statement.is_about_status
        and _judge(statement, observed, generation).result is CheckResult.DIFFERS
    }
    missing = dict(_list_missing_keys(statements, observed, generation))
    results = []
    for statement in statements:
        judged = _judge(statement, observed, generation)
        blamed = status_differs.get(statement.exchange)
        if blamed is None and judged.result is CheckResult.DIFFERS:
            part = _find_missing_part(statement, observed)
            blamed = missing.setdefault((statement.exchange, part), statement) if part else None
        is_blamed = blamed is not None and blamed is not statement
        if blamed is not None and is_blamed and judged.result is not CheckResult.NOT_TRIED:
            reason = f"{blamed.id} differs, on which this depends"
            judged = Judged(statement, CheckResult.NOT_TRIED, reason)
        results.append(judged)
    return tuple(results)


def count_results(judged: Iterable[Judged]) -> dict[CheckResult, int]:
    """Return how many statements have each verdict."""
    counts = dict.fromkeys(CheckResult, 0)
    for row in judged:
        counts[row.result] += 1
    return counts


def _count_differences(
    statements: Sequence[Statement], observed: Observations, generation: ApiGeneration
) -> int:
    return count_results(judge_all(statements, observed, generation))[CheckResult.DIFFERS]


def _judge(statement: Statement, observed: Observations, generation: ApiGeneration) -> Judged:
    """Judge one statement without a look at the others."""
    expectation = statement.expected.get(generation)
    if expectation is None:
        names = ", ".join(name for name in statement.expected)
        return Judged(statement, CheckResult.NOT_TRIED, f"only {names}: the server is {generation}")
    exchange = observed.exchanges.get(statement.exchange)
    if exchange is None or exchange.status is None:
        return Judged(statement, CheckResult.NOT_TRIED, _explain(statement, observed, exchange))
    resolved = resolve(expectation, observed.facts)
    if resolved is None:
        return Judged(statement, CheckResult.NOT_TRIED, _NOT_GONE_WELL)
    return _compare(statement, exchange, resolved)


def _compare(statement: Statement, exchange: Exchange, expectation: Expectation) -> Judged:
    value = exchange.status if statement.is_about_status else exchange.get(_in_body(statement))
    if expectation.accepts(value):
        return Judged(statement, CheckResult.HOLDS)
    return Judged(
        statement,
        CheckResult.DIFFERS,
        exchange=exchange,
        expected=expectation.describe(),
        seen=value,
    )


def _explain(statement: Statement, observed: Observations, exchange: Exchange | None) -> str:
    """Return why there is no answer to judge by."""
    if exchange is not None:
        return exchange.problem
    skipped = observed.skipped
    return skipped.get(statement.exchange) or skipped.get(statement.probe) or _NOT_GONE_WELL


def _find_missing_part(statement: Statement, observed: Observations) -> str:
    """Return the part of the path at which the answer ends; empty if the value is there."""
    if statement.is_about_status:
        return ""
    answer = observed.exchanges[statement.exchange].answer
    value, part = read_path(answer, _in_body(statement))
    if value is not MISSING:
        return ""
    return f"body.{part}" if part else "body"


def _list_missing_keys(
    statements: Sequence[Statement], observed: Observations, generation: ApiGeneration
) -> Iterator[tuple[tuple[str, str], Statement]]:
    """Yield the keys that an answer lacks, with the statement that lists the keys."""
    for statement in statements:
        expectation = statement.expected.get(generation)
        exchange = observed.exchanges.get(statement.exchange)
        if not isinstance(expectation, Keys) or exchange is None:
            continue
        value = exchange.get(_in_body(statement))
        if isinstance(value, dict):
            for key in expectation.keys - value.keys():
                yield (statement.exchange, f"{statement.path}.{key}"), statement


def _in_body(statement: Statement) -> str:
    return statement.path.removeprefix("body").removeprefix(".")
