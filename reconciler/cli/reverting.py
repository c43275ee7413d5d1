"""`drift --revert`: apply, limited to what has drifted; its gates, guardrails and exit codes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.cli import terminal
from reconciler.cli.session import Session
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from reconciler.config.settings import Target
    from reconciler.plan.guardrails import Limits
    from reconciler.posthog.client import Reader
    from reconciler.walk.watch import Drift


@dataclass(frozen=True, slots=True)
class How:
    """What the person at the terminal asked for."""

    yes: bool
    go_on: bool
    concurrency: int
    format: str


def revert(
    session: Session,
    target: "Target",
    look: "Callable[[Reader], Drift]",
    limits: "Limits",
    how: How,
) -> int:
    """Write the files' values back over what has drifted; what is held stays as it is."""
    from reconciler import render, walk
    from reconciler.cli import carrying, rails
    from reconciler.plan import apply_refusals, drifting, guardrails

    if not how.yes and not terminal.can_ask():
        raise UsageError(
            "drift --revert asks before it writes, and there is no terminal to ask on",
            fix="add --yes, or run it on a terminal",
        )
    with session.writer(target) as writer:
        found = look(writer)
        if waiting := found.report.not_applied:
            session.note(
                f"{len(waiting)} not applied yet: only git has changed them; `apply` does it"
            )
        made = drifting.revert(found.plan, found.report, found.world.live, limits)
        spent = walk.cost(found.world, made.requests.expected_writes)
        made = replace(made, requests=replace(spent, reads=writer.reads))
        made = apply_refusals.judged(made, go_on=how.go_on)
        session.report.plan(made)
        for change in found.report.writes:
            if change.hold is not None:
                session.note(f"held until {change.hold.written}, left alone: {change.address}")
        if how.format == "text":
            session.show(render.plan, made)
        rails.guard(session, made, form=how.format)
        if made.writes and not how.yes:
            terminal.confirm("Revert these changes?", "not reverted")
        carry = carrying.How(workers=how.concurrency, guarded=guardrails.CODES)
        ended, interrupted = carrying.carry_out(session, writer, made, found.world, carry)
    return carrying.account(session, ended, made, interrupted=interrupted, form=how.format)
