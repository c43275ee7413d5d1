"""Carry a plan out."""

from collections.abc import Callable, Iterator

from reconciler.apply import executor
from reconciler.apply.ids import IdTable
from reconciler.apply.journal import Journal
from reconciler.apply.progress import WorkerContext
from reconciler.model import Address, Outcome, Plan
from reconciler.operations import replan
from reconciler.operations.plan import World, check_self_approval
from reconciler.operations.rules.judge import RuleJudge
from reconciler.posthog.client import Writer


def apply(
    plan: Plan,
    world: World,
    writer: Writer,
    journal: Journal,
    *,
    options: executor.ExecutorOptions,
) -> Iterator[Outcome]:
    """Carry the plan out. `world` is what it was made from."""
    names = IdTable(world.live)
    for change in plan.changes:
        if change.live_id is not None:  # also of what is renamed, and of one among namesakes
            names.learn(change.address, change.live_id)
    remark = check_self_approval(world, plan.created_at).describe_approval
    judge = _measure_time(world.judge, writer.clock) if world.judge is not None else None
    advisor = replan.LiveReplanner(
        plan, base=world.base, live=world.live, remark=remark, judge=judge
    )
    tools = WorkerContext(writer, journal, names, advisor, make_request_url(plan.host, names))
    for outcome in executor.execute_plan(plan, tools, options):
        if outcome.id is not None:
            advisor.learn(outcome.address, outcome.id)
        yield outcome


def _measure_time(judge: RuleJudge, clock: Callable[[], float]) -> replan.Judge:
    """Return a function that judges a change by the time that has passed since now."""
    started = clock()
    return lambda change: judge.find_denial(change, clock() - started)


def make_request_url(host: str, names: IdTable) -> Callable[[Address, str], str]:
    """Return a function for the page of a change request in PostHog."""

    def url(address: Address, request: str) -> str:
        return f"{host}/project/{names.scope_ids(address)['project']}/approvals/{request}"

    return url
