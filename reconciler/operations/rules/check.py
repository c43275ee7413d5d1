"""Check rules without a plan: whether they compile, and what their tests say. Offline."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from reconciler.files import excerpts
from reconciler.files.text import make_error
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Finding, Rule, RuleTest, matches_any
from reconciler.operations.rules.process import RuleProcess
from reconciler.plan.rules import documents
from reconciler.plan.rules.findings import INVALID

TEST_FAILED: Final = "rule-test-failed"
CHECKS: Final = {
    INVALID: "a rule whose expression does not compile",
    TEST_FAILED: "a rule that does not say what its test expects",
}
PASS: Final = "pass"  # noqa: S105  a word of the files of rules


@dataclass(frozen=True, slots=True)
class RuleTestResult:
    """Hold what a rule says about the change of a test."""

    test: RuleTest
    result: str  # deny | warn | pass | error
    error: str = ""  # why the expression has no value

    @property
    def has_passed(self) -> bool:
        """Return whether the rule says what the test expects."""
        return self.result == self.test.expect


@dataclass(frozen=True, slots=True)
class CheckedRule:
    """Hold a rule, why it does not compile, and the results of its tests."""

    rule: Rule
    problem: Finding | None = None
    results: tuple[RuleTestResult, ...] = ()

    @property
    def findings(self) -> Iterator[Finding]:
        """Yield an error for everything that is wrong with it."""
        if self.problem is not None:
            yield self.problem
        for row in self.results:
            if not row.has_passed:
                yield _report_failure(self.rule, row)


def compile_rules(rules: Sequence[Rule]) -> list[Finding]:
    """Return an error for each rule whose expression does not compile, at its place."""
    if not rules:
        return []
    with RuleProcess([rule.when for rule in rules]) as process:
        return [_report_problem(rules[number], *row) for number, row in process.problems.items()]


def run_tests(rules: Sequence[Rule]) -> Iterator[CheckedRule]:
    """Yield each rule with the results of its tests."""
    if not rules:
        return
    with RuleProcess([rule.when for rule in rules]) as process:
        for number, rule in enumerate(rules):
            if number in process.problems:
                yield CheckedRule(rule, _report_problem(rule, *process.problems[number]))
            else:
                yield CheckedRule(rule, results=tuple(_run_tests(process, number, rule)))


def _run_tests(process: RuleProcess, number: int, rule: Rule) -> Iterable[RuleTestResult]:
    for test in rule.tests:
        row = documents.build_test_row(test.change)
        if rule.select and not _is_selected(test, rule.select):
            yield RuleTestResult(test, PASS)
            continue
        context = {
            "plan": documents.build_test_plan(test),
            "author": [email.lower() for email in test.author],
            "now": documents.read_test_time(test),
        }
        process.set_context(context)
        (result,) = process.evaluate(row, [number])
        if isinstance(result, str):
            yield RuleTestResult(test, "error", result)
        else:
            yield RuleTestResult(test, str(rule.effect) if result else PASS)


def _is_selected(test: RuleTest, patterns: Sequence[str]) -> bool:
    """Return whether patterns select the change of a test; without an address they do."""
    address = test.change.get("address")
    if not isinstance(address, str):
        return True
    try:
        return matches_any(Address.parse(address), patterns)
    except ValueError:  # no change has such an address
        return False


def _report_problem(rule: Rule, message: str, line: int, column: int) -> Finding:
    place = rule.locate(line, column)
    what = f"the rule {rule.id} does not compile: {message}"
    why = "a rule that cannot be judged denies every change"
    finding = make_error(INVALID, what, place, why=why, fix="correct the expression")
    return excerpts.attach_excerpt(finding)


def _report_failure(rule: Rule, row: RuleTestResult) -> Finding:
    test = row.test
    what = f'"{test.name}" expects {test.expect}, and the rule {rule.id} says {row.result}'
    if row.error:
        what = f'"{test.name}": the rule {rule.id} has no result: {row.error}'
    fix = "correct the rule, or the test"
    return excerpts.attach_excerpt(make_error(TEST_FAILED, what, test.source, fix=fix))
