"""The planner, to be read from top to bottom."""

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from reconciler.errors import ReconcilerError
from reconciler.kinds import KINDS
from reconciler.model import Action, Address, Change, Declared, Finding, Live, Plan, Requests
from reconciler.plan import (
    dependencies,
    dropped_fields,
    evasion,
    evasion_history,
    findings,
    gate_findings,
    gates,
    guardrails,
    leaning,
    new_names,
    order,
    pages,
    references,
    rejected_changes,
    secret,
    selection,
    three_way,
    unmanaged,
    weakening_guard,
)
from reconciler.plan.gate_steps import Steps
from reconciler.plan.partial_apply import Begun


@dataclass(frozen=True, slots=True)
class Options:
    """What the person at the terminal asked for."""

    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()  # address patterns of the target that are left alone
    limits: guardrails.Limits = guardrails.DEFAULT_LIMITS
    prefer: str | None = None  # "git" or "live", where both moved
    only: Collection[Address] | None = None  # exactly these: what a saved plan speaks of
    unmanaged: str = "report"  # of the target: report, ignore, or delete together with `prune`
    prune: bool = False  # what is live and in no file is deleted
    sent_in_vain: dropped_fields.Unkept = field(default_factory=dict)  # what PostHog did not keep
    elsewhere: Container[Address] = ()  # declared in files that this run does not read
    misnamed: Mapping[Address, Collection[str]] = field(default_factory=dict)
    """Names that PostHog gave to what earlier runs created for an address."""


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
    past: Sequence[Declared] = (),
    begun: Begun | None = None,
) -> Plan:
    """What apply would do to make `live` what `desired` says, and why.

    `compared` is what `compare` made of the same, if that was done before; `past` what the files
    said at the last commits, of what `evasion_history.wanted` asks for; `begun` what they said
    since the base, of what `weakening.words` asks for.
    """
    if compared is None or compared.live is not live or compared.options != options:
        compared = compare(desired=desired, base=base, live=live, options=options)
    picked, base, problems = compared.picked, compared.base, compared.problems
    edges, unresolved = references.resolve(picked, desired, live)
    extra = _unmanaged(desired, base, live, options)
    changes, held = guardrails.hold_back(compared.changes, (*unresolved, *problems))
    leans = leaning.find(changes, live)
    changes = gates.forecast(changes, live, live.rejections, leans.last())
    changes, cycles = order.linked(changes, edges, leans)
    said = (
        *picked.findings,
        *unresolved,
        *problems,
        *held,
        *cycles,
        *dependencies.find(changes, live),
        *rejected_changes.find(changes, live),
        *guardrails.find(changes, live, options.limits, desired=desired, base=base, begun=begun),
        *gate_findings.find(changes, live),
        *_evasions(changes, live, leans, past),
        *unmanaged.notice(options.unmanaged, len(extra), asked=options.prune),
        *findings.unreadable(picked, base, live),
        *findings.unmanaged_fields(changes),
        *findings.dropped_keys(changes),
    )
    return Plan(
        changes=tuple(map(secret.veiled, changes)),
        unmanaged=_left(extra, changes, options),
        released=tuple(three_way.released(changes, desired, base)),
        findings=tuple(sorted(said, key=lambda finding: finding.sort_key)),
        requests=Requests(expected_writes=sum(1 for c in changes if c.action is not Action.NONE)),
        change_requests=pages.asked(changes, live),
    )


def _evasions(
    changes: tuple[Change, ...], live: Live, leans: leaning.Leans, past: Sequence[Declared]
) -> Iterator[Finding]:
    """What passes a gate that would hold the same thing back in another form."""
    moving = (change for change in changes if change.action is not Action.NONE)
    if past or any(KINDS[change.address.kind].gated for change in moving):
        met = Steps(changes, live, leans.last())
        yield from evasion.find(changes, live, met)
        yield from evasion_history.find(changes, live, met, past)


def compare(
    *, desired: Declared, base: Declared | None, live: Live, options: Options
) -> Comparison:
    """The change of each declared resource, and the deletes of what left the files."""
    picked = references.spelled(pick(desired, options), live)
    base = references.spelled(base, live, desired) if base is not None else None
    changes, problems = three_way.changes(picked, base, live)
    gone, unclear = three_way.removals(
        desired,
        base,
        live,
        lambda address: covers(options, address),
        changes,
        elsewhere=options.elsewhere,
    )
    changes = three_way.settled((*changes, *gone), options.prefer)
    found = (*problems, *unclear)
    if options.prefer != "git":
        changes, dropped = dropped_fields.settle(changes, live, options.sent_in_vain)
        found = (*found, *dropped)
    if options.prune and options.unmanaged != "ignore":
        extra = _unmanaged(desired, base, live, options)
        pruned, spared = unmanaged.prune(extra, changes, live)
        changes, found = (*changes, *pruned), (*found, *spared)
    found = (*found, *new_names.find(changes, desired, live, options.misnamed))
    return Comparison(picked, base, live, options, changes, found)


def _unmanaged(
    desired: Declared, base: Declared | None, live: Live, options: Options
) -> tuple[Address, ...]:
    """What is live, in no file, and not left out of this run."""
    every = unmanaged.found(desired, base, live)
    return tuple(a for a in every if covers(options, a) and a not in options.elsewhere)


def _left(
    extra: tuple[Address, ...], changes: tuple[Change, ...], options: Options
) -> tuple[Address, ...]:
    """What is listed as left alone."""
    if options.unmanaged == "ignore":
        return ()
    pruned = {change.address for change in changes if change.pruned}
    return tuple(address for address in extra if address not in pruned)


def pick(desired: Declared, options: Options) -> Declared:
    """What this run is about."""
    if not (options.select or options.exclude or options.ignore) and options.only is None:
        return desired
    kept = {a: r for a, r in desired.resources.items() if covers(options, a)}
    return replace(desired, resources=kept)


def concerned(desired: Declared, base: Declared | None, options: Options) -> Collection[Address]:
    """What has to be listed: what this run is about, now and at the base.

    With --prune, collections whose documents `--select` leaves out may hold what it is about. Else
    a `--select` that covers nothing is a slip, and a silent one would stay green for ever.
    """
    known = {*desired.resources, *(base.resources if base is not None else ())}
    if options.prune:
        return known
    for pattern in options.select:
        if any(selection.matches(address, (pattern,)) for address in known):
            continue
        close = get_close_matches(pattern, map(str, desired.resources), n=1)
        raise ReconcilerError(
            f"--select {pattern!r} covers nothing that is declared",
            why="no address of the files matches it",
            fix=f"did you mean {close[0]!r}?" if close else "reconciler plan shows the addresses",
        )
    return {address for address in known if covers(options, address)}


def covers(options: Options, address: Address) -> bool:
    """Whether this run is about an address."""
    if options.only is not None and address not in options.only:
        return False
    left_out = (*options.exclude, *options.ignore)
    chosen = not options.select or selection.matches(address, options.select)
    return chosen and not selection.matches(address, left_out)


@dataclass(frozen=True, slots=True)
class Gated:
    """Projects whose gates matter to a run, and how much of them has to be read."""

    written: Collection[Address]  # flags change: policies and change requests
    watched: Collection[Address]  # people change who may approve or bypass: policies

    def __bool__(self) -> bool:
        """Whether anything has to be read at all."""
        return bool(self.written or self.watched)


def needs_me(compared: Comparison) -> bool:
    """Return whether the plan depends on who the key acts as: nobody changes their own level."""
    moving = (change for change in compared.changes if change.action is not Action.NONE)
    return any(change.address.kind == "Member" for change in moving)


def gated_projects(compared: Comparison) -> Gated:
    """Where policies, and change requests, have to be read for this run; nowhere else."""
    changes = compared.changes
    return Gated(gates.projects(changes), weakening_guard.projects(changes, compared.live))
