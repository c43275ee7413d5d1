"""Fleets for the goldens and the browser: one for each command, with everything that can happen."""

from dataclasses import replace

from reconciler.fleet.causes import CauseGroups
from reconciler.fleet.waiting import WaitingRequests
from reconciler.model import (
    FleetMode,
    FleetReport,
    Outcome,
    Problem,
    RequestCounts,
    Shard,
    TargetDetails,
    TargetResult,
    worst_exit_code,
)
from reconciler.planfile import codec, results
from tests.unit.render import samples

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NO_KEY = Problem(
    "no API key",
    "POSTHOG_KEY_US is not set",
    "nothing was contacted, nothing was written",
    "create a personal API key (it begins with phx_) and set POSTHOG_KEY_US to it",
)
SKIPPED = "it needs us-prod, which ended with 1"
STATUS = {
    "target": "eu-prod",
    "host": "http://127.0.0.1:8000",
    "base": {"ref": "refs/reconciler/applied/eu-prod", "commit": COMMIT, "at": None},
    "commits_since": 2,
    "dirty": 1,
    "requests": [
        {
            "id": samples.REQUEST,
            "address": "FeatureFlag/acme/Web/new-checkout",
            "action_key": "feature_flag.update",
            "waiting_for": ["alice@acme.test", "bob@acme.test"],
            "expires_at": "2026-01-19T09:00:00Z",
        },
    ],
}


class Sample:
    """A report, and what `load` returns for each of its targets."""

    def __init__(self, mode, targets, **more):
        self.details = {result.target: details for result, details in targets}
        rows = tuple(result for result, _ in targets)
        groups, requests = CauseGroups(), WaitingRequests()
        for name, details in self.details.items():
            requests.add(name, details)
            if mode is FleetMode.DRIFT and details.plan is not None:
                groups.add(name, details.plan)
        self.report = FleetReport(
            mode,
            COMMIT,
            tuple(sorted(rows, key=lambda row: row.target)),
            groups.list_causes(),
            requests.list_by_expiry(),
            worst_exit_code(row.exit_code for row in rows),
            **more,
        )

    def load(self, target):
        return self.details[target]


def planned(target, plan, code=0, **more):
    """A target with a plan."""
    counts = RequestCounts(plan.requests.reads or 7, 0)
    result = TargetResult(target, code, 1.25, counts, codec.summarize(plan), **more)
    return result, TargetDetails(plan=replace(plan, target=target))


def applied(target, plan, outcomes, code, **more):
    """A target whose plan was carried out."""
    totals = results.count_results(outcomes, plan)
    result = TargetResult(target, code, 3.5, RequestCounts(12, 4), totals, **more)
    return result, TargetDetails(plan=replace(plan, target=target), outcomes=tuple(outcomes))


FAILED = (TargetResult("us-prod", 1, 0.01, error=NO_KEY), TargetDetails())
SKIPPED_ROW = (TargetResult("us-shop", None, skipped_because=SKIPPED), TargetDetails())
QUIET = tuple(planned(f"quiet-{number:02}", samples.NOTHING) for number in range(1, 15))

PLANS = Sample(
    FleetMode.PLAN,
    (
        planned("eu-prod", samples.EVERYTHING, 4),
        planned("eu-staging", samples.SMALL),
        FAILED,
        SKIPPED_ROW,
        *QUIET,
    ),
    shard=Shard(1, 3, ("eu-prod", "eu-staging", "us-prod", "us-shop")),
)
DRIFTS = Sample(
    FleetMode.DRIFT,
    (
        planned("eu-prod", samples.TOLD, 2),
        planned("eu-staging", samples.TOLD, 2),
        planned("us-prod", samples.NOTHING),
    ),
)
APPLIES = Sample(
    FleetMode.APPLY,
    (
        applied("eu-prod", samples.EVERYTHING, samples.OUTCOMES, 1),
        applied("eu-staging", samples.SMALL, samples.OUTCOMES[1:2], 3),
        applied("us-prod", samples.NOTHING, (), 0),
        (TargetResult("us-shop", 130, 2.0, RequestCounts(3, 1), {"done": 1}), TargetDetails()),
    ),
)
STATUSES = Sample(
    FleetMode.STATUS,
    (
        (
            TargetResult(
                "eu-prod",
                0,
                0.5,
                RequestCounts(4, 0),
                {"commits_since": 2, "dirty": 1, "requests": 1},
            ),
            TargetDetails(status=STATUS),
        ),
        (
            TargetResult("us-prod", 0, 0.5, RequestCounts(4, 0), {"commits_since": 0}),
            TargetDetails(status={**STATUS, "base": None, "requests": [], "commits_since": 0}),
        ),
    ),
)
CHECKS = Sample(
    FleetMode.VALIDATE,
    (
        (
            TargetResult("eu-prod", 1, 0.1, summary={"resources": 12, "errors": 1, "warnings": 1}),
            TargetDetails(findings=(samples.MISSING, samples.WARNED)),
        ),
        (TargetResult("us-prod", 0, 0.1, summary={"resources": 12}), TargetDetails()),
    ),
)
ALL = {
    "plan": PLANS,
    "drift": DRIFTS,
    "apply": APPLIES,
    "status": STATUSES,
    "validate": CHECKS,
}


def large(number, changes=5):
    """A fleet of so many targets, each with a few changes."""
    plan = replace(
        samples.SMALL, changes=tuple(samples.update(f"flag-{n}") for n in range(changes))
    )
    every = (planned(f"target-{n:03}", plan) for n in range(number))
    return Sample(FleetMode.PLAN, tuple(every))


def saying(word):
    """A report that says `word` wherever a file or a server could have put it."""
    plan = samples.saying(word)
    problem = Problem(word, word, word, word)
    waits = Outcome(
        plan.changes[0].address,
        plan.changes[0].action,
        results.Result.FAILED,
        word,
        word,
        word,
        problem=problem,
        note=word,
    )
    status = {**STATUS, "host": word, "base": {"ref": word, "commit": word, "at": word}}
    return Sample(
        FleetMode.DRIFT,
        (
            (
                TargetResult(word, 1, 1.0, summary={"update": 1}, error=problem),
                TargetDetails(plan=plan, outcomes=(waits,), findings=plan.findings),
            ),
            (TargetResult("b", None, skipped_because=word), TargetDetails(status=status)),
        ),
    )
