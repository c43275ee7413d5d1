"""Select which resources a plan is about: `--select`, `--exclude`, and the options of a plan."""

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field, replace

from reconciler.errors import ReconcilerError
from reconciler.model import Address, Declared, matches_any
from reconciler.plan.diff import dropped_fields
from reconciler.plan.guardrails import checks
from reconciler.suggest import closest_match


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the user asked for."""

    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()  # address patterns of the target that this run ignores
    limits: checks.GuardrailLimits = checks.DEFAULT_GUARDRAIL_LIMITS
    prefer: str | None = None  # "git" or "live", where both moved
    only: Collection[Address] | None = None  # exactly these: what a saved plan speaks of
    unmanaged: str = "report"  # of the target: report, ignore, or delete together with `prune`
    prune: bool = False  # what is live and in no file is deleted
    sent_in_vain: dropped_fields.Unkept = field(default_factory=dict)  # what PostHog did not keep
    declared_elsewhere: Container[Address] = ()  # declared in files that this run does not read
    misnamed: Mapping[Address, Collection[str]] = field(default_factory=dict)  # names that PostHog
    # gave to what earlier runs created for an address


def select_declared(desired: Declared, options: PlanOptions) -> Declared:
    """Return what the options select of the declared resources."""
    if not (options.select or options.exclude or options.ignore) and options.only is None:
        return desired
    kept = {a: r for a, r in desired.resources.items() if is_selected(options, a)}
    return replace(desired, resources=kept)


def list_concerned(
    desired: Declared, base: Declared | None, options: PlanOptions
) -> Collection[Address]:
    """List the addresses whose collections have to be read, now and at the base.

    With --prune, a collection may hold selected resources although none of its documents is
    selected. Otherwise a `--select` that matches nothing is a mistake and an error: a silent one
    would never be noticed.
    """
    known = {*desired.resources, *(base.resources if base is not None else ())}
    if options.prune:
        return known
    for pattern in options.select:
        if any(matches_any(address, (pattern,)) for address in known):
            continue
        similar = closest_match(pattern, map(str, desired.resources))
        raise ReconcilerError(
            f"--select {pattern!r} matches no declared resource",
            why="no address of the files matches it",
            fix=f"did you mean {similar!r}?" if similar else "reconciler plan shows the addresses",
        )
    return {address for address in known if is_selected(options, address)}


def is_selected(options: PlanOptions, address: Address) -> bool:
    """Return whether the options select an address."""
    if options.only is not None and address not in options.only:
        return False
    left_out = (*options.exclude, *options.ignore)
    chosen = not options.select or matches_any(address, options.select)
    return chosen and not matches_any(address, left_out)
