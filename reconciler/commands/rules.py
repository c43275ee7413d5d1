"""`reconciler rules`: list the rules over plans, and run their tests. Offline."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from reconciler import render
from reconciler.cli import options
from reconciler.cli.session import Session
from reconciler.config import rules as config_rules
from reconciler.errors import ConfigError
from reconciler.files import repo_paths
from reconciler.files.working_tree import WorkingTree
from reconciler.model import Finding, Rule
from reconciler.operations import inputs
from reconciler.operations.rules import check
from reconciler.operations.rules.check import CheckedRule
from reconciler.render import sarif
from reconciler.render import text as render_text
from reconciler.render.text import rules as text_rules


@click.group("rules", epilog="Example: reconciler rules test --format json")
def command() -> None:
    """List the rules that judge plans, and run their tests.

    `rules` of a target in reconciler.yaml names their folders. See docs/rules.md.
    """


@command.command("test", epilog="Example: reconciler rules test --target production")
@options.paths
@options.formats("text", "json", "github", "gitlab", "sarif")
@click.pass_obj
def run_tests(session: Session, paths: tuple[str, ...], format_: str) -> int:
    """Run the tests next to the rules. Exits with 1 if a test fails or a rule does not compile.

    Without PATH, the rules of the target, or of every target in reconciler.yaml. Contacts nothing.
    """
    try:
        rules = list(_load_rules(session, paths))
    except ConfigError as error:
        if not error.findings:
            raise
        return _print_findings(session, format_, error.findings)
    checked = list(check.run_tests(rules))
    findings = [finding for row in checked for finding in row.findings]
    rows = [_describe(row) for row in checked]
    if format_ == "json":
        session.say(json.dumps(_build_document(rows, findings), indent=2))
    elif format_ == "text":
        session.say(text_rules.rule_tests(rows, color=session.color), wraps=True)
    if format_ != "json":
        _print_findings(session, format_, findings)
    return 1 if findings else 0


@command.command("list", epilog="Example: reconciler rules list --format json")
@options.paths
@options.formats("text", "json")
@click.pass_obj
def list_rules(session: Session, paths: tuple[str, ...], format_: str) -> int:
    """List the rules of the target, or of every target: ID, what it does, tests, file and line."""
    rows = [_describe(CheckedRule(rule)) for rule in _load_rules(session, paths)]
    if format_ == "json":
        listed = ("id", "effect", "message", "when", "select", "source")
        document = [
            {name: row[name] for name in listed} | {"tests": len(row["tests"])} for row in rows
        ]
        session.say(json.dumps(document, indent=2))
    else:
        session.say(text_rules.rules(rows, color=session.color))
    return 0


def _load_rules(session: Session, paths: Sequence[str]) -> Iterator[Rule]:
    """Yield the rules of the paths, else of the targets, each once."""
    if paths:
        folders = [Path(path) for path in paths]
        yield from config_rules.load_rules(folders, WorkingTree(cwd=session.cwd)).rules
        return
    settings, seen = session.settings(), set[tuple[str, int, str]]()
    for target in session.targets():
        for rule in inputs.load_rules(settings, target, session.cwd).rules:
            key = (rule.source.file, rule.source.line, rule.id)
            if key not in seen:
                seen.add(key)
                yield rule


def _describe(checked: CheckedRule) -> dict[str, Any]:
    rule, results = checked.rule, {id(row.test): row for row in checked.results}
    tests = []
    for test in rule.tests:
        row = results.get(id(test))
        result = row.result if row is not None else None
        error = row.error or None if row is not None else None
        place = {"file": test.source.file, "line": test.source.line}
        tests.append(
            {
                "name": test.name,
                "source": place,
                "expect": test.expect,
                "result": result,
                "error": error,
                "passed": row is not None and row.has_passed,
            }
        )
    failed = checked.problem is not None or not all(test["passed"] for test in tests)
    return {
        "id": rule.id,
        "effect": str(rule.effect),
        "message": rule.message,
        "when": rule.when,
        "select": list(rule.select),
        "source": {"file": rule.source.file, "line": rule.source.line},
        "compiles": checked.problem is None,
        "result": "failed" if failed else "passed" if tests else "untested",
        "tests": tests,
    }


def _build_document(rows: Sequence[dict[str, Any]], findings: Sequence[Finding]) -> dict[str, Any]:
    tests = [test for row in rows for test in row["tests"]]
    passed = sum(test["passed"] for test in tests)
    return {
        "format_version": 1,
        "summary": {
            "rules": len(rows),
            "tests": len(tests),
            "passed": passed,
            "failed": len(tests) - passed,
            "not_compiled": sum(not row["compiles"] for row in rows),
            "untested": [row["id"] for row in rows if row["result"] == "untested"],
        },
        "rules": list(rows),
        "findings": json.loads(render.findings(tuple(findings), format="json")),
    }


def _print_findings(session: Session, format_: str, findings: Iterable[Finding]) -> int:
    """Print what is wrong: for people on stderr, for programs on stdout; 1 if there is anything."""
    findings = tuple(findings)
    if format_ in {"github", "gitlab", "sarif"}:
        located = repo_paths.locate_from_root(findings)
        shown = (
            sarif.findings(located, check.CHECKS)
            if format_ == "sarif"
            else render.findings(located, format=format_)
        )
        if shown:
            click.echo(shown, color=True)
    elif format_ == "json":
        session.say(json.dumps(_build_document((), findings), indent=2))
    elif findings:
        session.complain(render_text.error(ConfigError("", findings=findings), color=session.color))
    return 1 if findings else 0
