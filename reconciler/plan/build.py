"""The planner, to be read from top to bottom."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from difflib import get_close_matches

from reconciler.errors import ReconcilerError
from reconciler.model import Action, Address, Change, Declared, Finding, Live, Plan, Requests
from reconciler.plan import (
    findings,
    gate_findings,
    gates,
    guardrails,
    order,
    pages,
    references,
    secret,
    selection,
    three_way,
    weakening_guard,
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the person at the terminal asked for."""

    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()  # address patterns of the target that are left alone
    limits: guardrails.Limits = guardrails.DEFAULT_LIMITS
    prefer: str | None = None  # "git" or "live", where both moved
    only: Collection[Address] | None = None  # exactly these: what a saved plan speaks of


@dataclass(frozen=True, slots=True)
class Comparison:
    """What this run is about, held against the live side; before gates, order and guardrails."""

    picked: Declared
    base: Declared | None
    live: Live
    options: Options
    changes: tuple[Change, ...]
    problems: tuple[Finding, ...]


def build(
    *,
    desired: Declared,
    base: Declared | None,
    live: Live,
    options: Options,
    compared: Comparison | None = None,
) -> Plan:
    """What apply would do to make `live` what `desired` says, and why.

    `compared` is what `compare` made of the same, if that was done before.
    """
    if compared is None or compared.live is not live or compared.options != options:
        compared = compare(desired=desired, base=base, live=live, options=options)
    picked, base, problems = compared.picked, compared.base, compared.problems
    edges, unresolved = references.resolve(picked, desired, live)
    changes, held = guardrails.hold_back(compared.changes, (*unresolved, *problems))
    changes = gates.forecast(changes, live, live.rejections)
    changes, cycles = order.linked(changes, edges)
    said = (
        *picked.findings,
        *unresolved,
        *problems,
        *held,
        *cycles,
        *guardrails.find(changes, live, options.limits),
        *gate_findings.find(changes, live),
        *findings.unreadable(picked, base, live),
        *findings.unmanaged_fields(changes),
    )
    return Plan(
        changes=tuple(map(secret.veiled, changes)),
        unmanaged=tuple(a for a in three_way.unmanaged(desired, base, live) if covers(options, a)),
        released=tuple(three_way.released(changes, desired, base)),
        findings=tuple(sorted(said, key=lambda finding: finding.sort_key)),
        requests=Requests(expected_writes=sum(1 for c in changes if c.action is not Action.NONE)),
        change_requests=pages.asked(changes, live),
    )


def compare(
    *, desired: Declared, base: Declared | None, live: Live, options: Options
) -> Comparison:
    """The change of each declared resource, and the deletes of what left the files."""
    picked = references.spelled(pick(desired, options), live)
    base = references.spelled(base, live) if base is not None else None
    changes, problems = three_way.changes(picked, base, live)
    gone, unclear = three_way.removals(
        desired, base, live, lambda address: covers(options, address), changes
    )
    changes = three_way.settled((*changes, *gone), options.prefer)
    return Comparison(picked, base, live, options, changes, (*problems, *unclear))


def pick(desired: Declared, options: Options) -> Declared:
    """What this run is about."""
    if not (options.select or options.exclude or options.ignore) and options.only is None:
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
    if options.only is not None and address not in options.only:
        return False
    left_out = (*options.exclude, *options.ignore)
    chosen = not options.select or selection.matches(address, options.select)
    return chosen and not selection.matches(address, left_out)


def gated_projects(compared: Comparison, desired: Declared) -> Collection[Address]:
    """Projects whose gates matter to this run: only there are policies and requests read."""
    changes = compared.changes
    return {*gates.projects(changes), *weakening_guard.projects(changes, desired)}
