"""The question before a run writes: target, host, changes, approvals, time. Plain text."""

from urllib.parse import urlsplit

from reconciler.model import Plan
from reconciler.planfile import results
from reconciler.render.shared import summary
from reconciler.render.shared.phrases import count


def describe_question(verb: str, plan: Plan) -> str:
    """Return what is to be confirmed.

    `Apply 2 changes to production (eu.posthog.com)? 1 will wait for approval. Takes at least 4m.`
    """
    stopped = results.find_stopped(plan)
    writes = [change for change in plan.writes if change.address not in stopped]
    waiting = sum(summary.will_wait(change.gate) for change in writes)
    host = urlsplit(plan.host).netloc or plan.host
    facts = [f"{verb} {count(len(writes), 'change')} to {plan.target} ({host})?"]
    if waiting:
        facts.append(f"{waiting:,} will wait for approval.")
    return " ".join((*facts, *summary.describe_pace(plan)))
