"""A run as a JSON document, without keys and people."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.conformance.judgement import CheckResult, Judged, count_results
from reconciler.conformance.run import ConformanceReport
from reconciler.conformance.statement import MISSING
from reconciler.lazy_pattern import compile_later
from reconciler.posthog.redaction import MASK, redact

FORMAT_VERSION: Final = 1
_EMAIL: Final = compile_later(r"[^\s@\"'<>,;:()]+@[^\s@\"'<>,;:()]+")
_PERSONAL: Final = frozenset(
    {"email", "first_name", "last_name", "distinct_id", "uuid", "hedgehog_config", "api_token"}
)
_SECRET: Final = compile_later("token|secret|password|api_key", re.IGNORECASE)  # in names of keys
_LONGEST: Final = 4000  # characters of an answer that are worth reading


def make_document(report: ConformanceReport) -> dict[str, Any]:
    """Return the report as JSON (docs/conformance.md)."""
    counts = count_results(report.judged)
    return {
        "format_version": FORMAT_VERSION,
        "host": report.host,
        "generation": report.generation.value,
        "statements": [_describe_row(judged) for judged in report.judged],
        "summary": {result.value: counts[result] for result in CheckResult},
        "left_behind": [
            {"kind": left.kind, "id": left.id, "name": left.name} for left in report.left_behind
        ],
        "requests": report.requests,
        "interrupted": report.is_interrupted,
        "problem": mask_text(report.problem) or None,
    }


def list_differences(report: ConformanceReport) -> Iterator[Judged]:
    """Yield what differs."""
    return (judged for judged in report.judged if judged.result is CheckResult.DIFFERS)


def describe_seen(judged: Judged) -> dict[str, Any]:
    """Return what was seen instead, with request and answer; or why nothing was seen."""
    exchange = judged.exchange
    if exchange is None:
        return {"reason": mask_text(judged.reason)}
    return {
        "path": judged.statement.path,
        "expected": mask_text(judged.expected),
        "value": _shorten(mask(_limit_value(judged))),
        "request": {
            "method": exchange.method,
            "path": exchange.path,
            "body": mask(exchange.body),
        },
        "answer": {
            "status": exchange.status,
            "body": _shorten(mask(_limit_to_ours(judged))),
            "problem": exchange.problem or None,
        },
    }


def mask(value: Any) -> Any:
    """Return a JSON value without keys, addresses and names of people."""
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, list | tuple):
        return [mask(item) for item in value]
    if isinstance(value, Mapping):
        is_person = "email" in value or "distinct_id" in value
        return {name: _mask_item(name, item, is_person) for name, item in value.items()}
    return value


def _mask_item(name: str, item: Any, is_person: bool) -> Any:
    if isinstance(item, str) and _SECRET.search(name):
        return MASK
    return MASK if is_person and name in _PERSONAL and item else mask(item)


def _limit_value(judged: Judged) -> Any:
    return _limit_to_ours(judged) if isinstance(judged.seen, dict | list) else judged.seen


def _limit_to_ours(judged: Judged) -> Any:
    """Return an answer; of one about an account or an organization only which keys it has."""
    exchange = judged.exchange
    if exchange is None or judged.statement.probe != "access":
        return MISSING if exchange is None else exchange.answer
    if not isinstance(exchange.answer, Mapping):
        return type(exchange.answer).__name__
    is_refusal = "detail" in exchange.answer
    return exchange.answer if is_refusal else dict.fromkeys(exchange.answer, "…")


def mask_text(text: str) -> str:
    """Return a text without keys and e-mail addresses."""
    return _EMAIL.sub(MASK, redact(text))


def _describe_row(judged: Judged) -> dict[str, Any]:
    statement = judged.statement
    return {
        "id": statement.id,
        "section": statement.section,
        "text": statement.text,
        "certainty": statement.certainty.value,
        "result": judged.result.value,
        "seen": None if judged.result is CheckResult.HOLDS else describe_seen(judged),
    }


def _shorten(value: Any) -> Any:
    """Return a value that can be written as JSON, cut to a length that can be read."""
    if value is MISSING:
        return None
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= _LONGEST else text[:_LONGEST] + "…"
