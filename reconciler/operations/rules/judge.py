"""Judge the changes of a plan by rules, and those that apply plans again while it runs."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from reconciler.config.settings import RunFacts, Settings
from reconciler.config.targets import Target
from reconciler.files import excerpts
from reconciler.git.repository import RepositoryState
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Change, Finding, Plan, format_timestamp
from reconciler.operations import inputs
from reconciler.operations.rules import sources as rule_sources
from reconciler.operations.rules.process import RuleProcess
from reconciler.operations.rules.sources import RuleSources
from reconciler.plan.rules import documents, findings


@dataclass(frozen=True, slots=True)
class RuleJudge:
    """Hold the rules that judge a plan. Safe for several threads: one evaluates at a time."""

    sources: RuleSources
    plan: dict[str, Any]  # as expressions see it
    now: datetime  # when the plan was judged
    lock: Lock

    def find_denial(self, change: Change, elapsed_s: float) -> Finding | None:
        """Return why the rules deny a change that was planned again after this time, if they do."""
        if not self.sources.rules:
            return None
        now = self.now + timedelta(seconds=elapsed_s)
        with self.lock:
            reported = list(_judge_changes(self.sources, [change], self.plan, now))
        return next((item for item in reported if item.code in findings.REFUSALS), None)


def judge_plan(plan: Plan, sources: RuleSources, now: datetime) -> tuple[Plan, RuleJudge]:
    """Return the plan with what the rules say about its changes, and the judge of later changes.

    What rules said about an earlier plan, which was saved, is left out.
    """
    document = documents.build_plan_document(plan)
    reported = list(sources.findings)
    if sources.rules:
        reported += _judge_changes(sources, plan.writes, document, now)
    kept = [item for item in plan.findings if item.code not in findings.CODES]
    judge = RuleJudge(sources, document, now, Lock())
    if len(kept) == len(plan.findings) and not reported:
        return plan, judge
    every = sorted((*kept, *reported), key=lambda item: item.sort_key)
    return replace(plan, findings=tuple(every)), judge


def judge_reverting_plan(
    plan: Plan,
    settings: Settings,
    target: Target,
    facts: RunFacts,
    state: RepositoryState | None,
    *,
    commit: str | None = None,
) -> tuple[Plan, RuleJudge]:
    """Judge a plan that reverts changes, by the rules of the files and of the bases.

    `commit` is what it is compared with, if that is a commit; see `judge_plan` for the result.
    """
    sources = rule_sources.read_sources(
        settings,
        target,
        facts,
        state,
        own=inputs.load_rules(settings, target, facts.cwd),
        commit=commit,
        is_named=True,
    )
    return judge_plan(plan, sources, facts.now)


def _judge_changes(
    sources: RuleSources, changes: Iterable[Change], plan: dict[str, Any], now: datetime
) -> Iterator[Finding]:
    """Yield what the rules say about some changes."""
    rules = sources.rules
    with RuleProcess([judged.rule.when for judged in rules]) as process:
        for number, (message, line, column) in sorted(process.problems.items()):
            invalid = findings.report_invalid(rules[number], message, line, column)
            yield _attach_excerpt(invalid, rules[number])
        usable = [number for number in range(len(rules)) if number not in process.problems]
        process.set_context(
            {"plan": plan, "author": list(sources.author), "now": format_timestamp(now)}
        )
        for change in changes:
            selected = [number for number in usable if rules[number].applies_to(change)]
            if not selected:
                continue
            results = process.evaluate(documents.build_row(change), selected)
            yield from _report_results(
                change, [(rules[n], result) for n, result in zip(selected, results, strict=True)]
            )


def _report_results(
    change: Change, results: Iterable[tuple[findings.JudgedRule, bool | str]]
) -> Iterator[Finding]:
    """Yield the findings about one change; a rule of the base only if that of the files differs."""
    seen = set[tuple[str, str]]()
    for judged, result in results:
        finding = findings.report_result(judged, change, result)
        if finding is None or (finding.code, judged.rule.id) in seen:
            continue
        seen.add((finding.code, judged.rule.id))
        yield _attach_excerpt(finding, judged)


def _attach_excerpt(finding: Finding, judged: findings.JudgedRule) -> Finding:
    """Return a finding with the line of the rule, if the working tree has it."""
    return excerpts.attach_excerpt(finding) if judged.commit is None else finding
