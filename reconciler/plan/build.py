"""The planner, to be read from top to bottom."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from difflib import get_close_matches

from reconciler.errors import ReconcilerError
from reconciler.model import Action, Address, Declared, Live, Plan, Requests
from reconciler.plan import findings, gates, guardrails, order, references, selection, three_way


@dataclass(frozen=True, slots=True)
class Options:
    """What the person at the terminal asked for."""

    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()  # address patterns of the target that are left alone
    allow_destroy: tuple[str, ...] = ()  # addresses of protected resources that may be deleted


def build(*, desired: Declared, base: Declared | None, live: Live, options: Options) -> Plan:
    """What apply would do to make `live` what `desired` says, and why."""
    picked = references.spelled(pick(desired, options), live)
    edges, unresolved = references.resolve(picked, desired, live)
    changes, problems = three_way.changes(picked, base, live)
    changes = gates.forecast(changes, live, live.rejections)
    changes, cycles = order.linked(changes, edges)
    said = (
        *picked.findings,
        *unresolved,
        *problems,
        *cycles,
        *guardrails.find(changes, options.allow_destroy),
        *findings.unreadable(picked, live),
        *findings.unmanaged_fields(changes),
    )
    return Plan(
        changes=changes,
        unmanaged=tuple(a for a in three_way.unmanaged(desired, base, live) if covers(options, a)),
        findings=tuple(sorted(said, key=lambda finding: finding.sort_key)),
        requests=Requests(expected_writes=sum(1 for c in changes if c.action is not Action.NONE)),
    )


def pick(desired: Declared, options: Options) -> Declared:
    """What this run is about."""
    if not (options.select or options.exclude or options.ignore):
        return desired
    kept = {a: r for a, r in desired.resources.items() if covers(options, a)}
    return replace(desired, resources=kept)


def check(desired: Declared, options: Options) -> None:
    """A `--select` that covers nothing is a slip, and a silent one would stay green for ever."""
    for pattern in options.select:
        if any(selection.matches(address, (pattern,)) for address in desired.resources):
            continue
        close = get_close_matches(pattern, map(str, desired.resources), n=1)
        raise ReconcilerError(
            f"--select {pattern!r} covers nothing that is declared",
            why="no address of the files matches it",
            fix=f"did you mean {close[0]!r}?" if close else "reconciler plan shows the addresses",
        )


def covers(options: Options, address: Address) -> bool:
    """Whether this run is about an address."""
    left_out = (*options.exclude, *options.ignore)
    chosen = not options.select or selection.matches(address, options.select)
    return chosen and not selection.matches(address, left_out)


def gated_projects(
    *, desired: Declared, base: Declared | None, live: Live, options: Options
) -> Collection[Address]:
    """Projects in which a gated kind changes: only there must policies and requests be read."""
    picked = references.spelled(pick(desired, options), live)
    changes, _ = three_way.changes(picked, base, live)
    return gates.projects(changes)
