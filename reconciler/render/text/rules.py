"""Rules over plans on the terminal: a list, and the results of their tests."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from reconciler.render.shared.phrases import count
from reconciler.render.shared.sanitize import escape
from reconciler.render.text.terminal import paint

_WORDS: Final = {"passed": ("ok", "green"), "failed": ("FAILED", "alarm"), "untested": ("-", "dim")}


def rules(rows: Sequence[Mapping[str, Any]], *, color: bool) -> str:
    """Return one line for each rule: ID, what it does, place, tests."""
    if not rows:
        return "No rules: name their folders under `rules` of the target in reconciler.yaml."
    table = [
        (escape(row["id"]), row["effect"], _describe_tests(row), _locate(row), row["message"])
        for row in rows
    ]
    widths = [max(len(line[column]) for line in table) for column in range(4)]
    return "\n".join(
        "  ".join(
            (
                paint(line[0].ljust(widths[0]), "bold", on=color),
                *(text.ljust(width) for text, width in zip(line[1:4], widths[1:], strict=True)),
                escape(line[4]),
            )
        ).rstrip()
        for line in table
    )


def rule_tests(rows: Sequence[Mapping[str, Any]], *, color: bool) -> str:
    """Return one line for each rule with the results of its tests, and the totals."""
    if not rows:
        return rules(rows, color=color)
    width = max(len(escape(row["id"])) for row in rows)
    lines = []
    for row in rows:
        word, style = _WORDS[row["result"]]
        name = escape(row["id"]).ljust(width)
        text = f"{paint(word.ljust(6), style, on=color)}  {name}  {_describe_results(row)}"
        lines.append(f"{text}  {paint(_locate(row), 'dim', on=color)}")
    return "\n".join((*lines, "", _summarize(rows)))


def _locate(row: Mapping[str, Any]) -> str:
    return escape(f"{row['source']['file']}:{row['source']['line']}")


def _describe_tests(row: Mapping[str, Any]) -> str:
    return count(len(row["tests"]), "test") if row["tests"] else "no tests"


def _describe_results(row: Mapping[str, Any]) -> str:
    if not row["compiles"]:
        return "does not compile"
    failed = sum(not test["passed"] for test in row["tests"])
    every = _describe_tests(row)
    return f"{failed:,} of {every} failed" if failed else every


def _summarize(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return `10 rules, 24 tests: 1 failed. Without tests: owner-tag.`."""
    tests = [test for row in rows for test in row["tests"]]
    failed = sum(not test["passed"] for test in tests)
    broken = sum(not row["compiles"] for row in rows)
    untested = [escape(row["id"]) for row in rows if row["result"] == "untested"]
    outcome = (f": {failed:,} failed" if failed else ": all passed") if tests else ""
    parts = [f"{count(len(rows), 'rule')}, {count(len(tests), 'test')}{outcome}."]
    if broken:
        parts.append(f"{broken:,} of the rules {'does' if broken == 1 else 'do'} not compile.")
    if untested:
        parts.append(f"Without tests: {', '.join(untested)}.")
    return " ".join(parts)
