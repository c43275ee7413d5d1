"""The planner, to be read from top to bottom."""

from collections.abc import Collection
from dataclasses import dataclass

from reconciler.model import Action, Address, Declared, Live, Plan, Requests
from reconciler.plan import findings, gates, order, references, selection, three_way


@dataclass(frozen=True, slots=True)
class Options:
    """What the person at the terminal asked for."""

    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()  # address patterns of the target that are left alone


def build(*, desired: Declared, base: Declared | None, live: Live, options: Options) -> Plan:
    """What apply would do to make `live` what `desired` says, and why."""
    desired = selection.chosen(desired, options.select, (*options.exclude, *options.ignore))
    edges, unresolved = references.resolve(desired, live)
    changes, problems = three_way.changes(desired, base, live)
    changes = gates.forecast(changes, live)
    changes, cycles = order.linked(changes, edges, live)
    return Plan(
        changes=changes,
        unmanaged=three_way.unmanaged(desired, base, live, options.ignore),
        findings=tuple(
            sorted(
                (
                    *desired.findings,
                    *unresolved,
                    *problems,
                    *cycles,
                    *findings.unreadable(desired, live),
                    *findings.unmanaged_fields(changes, live),
                ),
                key=lambda finding: finding.sort_key,
            )
        ),
        requests=Requests(expected_writes=sum(1 for c in changes if c.action is not Action.NONE)),
    )


def gated_projects(
    *, desired: Declared, base: Declared | None, live: Live, options: Options
) -> Collection[Address]:
    """Projects in which a gated kind changes: only there must policies and requests be read."""
    desired = selection.chosen(desired, options.select, (*options.exclude, *options.ignore))
    changes, _ = three_way.changes(desired, base, live)
    return gates.projects(changes)
