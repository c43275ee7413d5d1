"""Select which resources a plan is about: `--select`, `--exclude`, and the options of a plan."""

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Final

from reconciler.errors import ReconcilerError
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Address, Declared, matches_any
from reconciler.plan.diff import dropped_fields
from reconciler.plan.guardrails import checks
from reconciler.plan.reversal.objects import Reversal
from reconciler.suggest import closest_matches

_NAMED: Final = 5  # candidates in a message
_SUGGESTED: Final = 3


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
    reversal: Reversal | None = None  # the run that the plan reverts


def select_declared(desired: Declared, options: PlanOptions) -> Declared:
    """Return what the options select of the declared resources."""
    if _selects_all(options):
        return desired
    kept = {a: r for a, r in desired.resources.items() if is_selected(options, a)}
    return replace(desired, resources=kept)


def resolve_names(
    patterns: Iterable[str], *known: Collection[Address], state: str = "declared"
) -> tuple[str, ...]:
    """Return the patterns with addresses in place of bare keys and names.

    What contains neither `/` nor `*` is a bare name. It is searched in each of the collections
    until one has it. Raises ReconcilerError if that has several, or if none has it; `state` is
    what the resources are: declared, live or unmanaged.
    """
    return tuple(
        pattern if "/" in pattern or "*" in pattern else _resolve_name(pattern, known, state)
        for pattern in patterns
    )


def check_matches(
    patterns: Iterable[str], known: Collection[Address], *, state: str = "declared"
) -> None:
    """Raise ReconcilerError for a pattern that matches none of the addresses."""
    for pattern in patterns:
        if not any(matches_any(address, (pattern,)) for address in known):
            raise _make_unmatched_error(pattern, known, state)


def _resolve_name(name: str, known: Sequence[Collection[Address]], state: str) -> str:
    matches = (
        sorted(str(address) for address in addresses if name in _spell_name(address))
        for addresses in known
    )
    candidates = next(filter(None, matches), [])
    if not candidates:
        raise _make_unmatched_error(name, {address for every in known for address in every}, state)
    if len(candidates) > 1:
        hidden = len(candidates) - _NAMED
        more = f" and {hidden:,} more" if hidden > 0 else ""
        raise ReconcilerError(
            f"{name!r} matches {len(candidates):,} {state} resources",
            why=f"candidates: {', '.join(candidates[:_NAMED])}{more}",
            fix="write the address of one of them, or a pattern with `*` for several",
        )
    return candidates[0]


def _spell_name(address: Address) -> tuple[str, str]:
    """Return the name of a resource as it is, and as its address has it."""
    return address.name, str(address).rpartition("/")[2]


def _make_unmatched_error(pattern: str, known: Collection[Address], state: str) -> ReconcilerError:
    """Return the error that names the nearest addresses."""
    nearest = _find_nearest(pattern, known)
    return ReconcilerError(
        f"no {state} resource matches {pattern!r}",
        why=f"it is neither an address nor a name of a {state} resource",
        fix=f"did you mean {' or '.join(nearest)}?"
        if nearest
        else f"`reconciler list{'' if state == 'declared' else f' --{state}'}` shows the addresses",
    )


def _find_nearest(pattern: str, known: Collection[Address]) -> list[str]:
    """Return the addresses that a person who wrote the pattern probably meant."""
    if "/" in pattern:
        return closest_matches(pattern, sorted(map(str, known)), limit=_SUGGESTED)
    by_name: dict[str, list[str]] = defaultdict(list)
    for address in sorted(known):
        by_name[address.name].append(str(address))
    names = closest_matches(pattern.strip("*"), by_name, limit=_SUGGESTED)
    return [address for name in names for address in by_name[name]][:_SUGGESTED]


def list_concerned(
    desired: Declared, base: Declared | None, options: PlanOptions
) -> Collection[Address]:
    """List the addresses whose collections have to be read, now and at the base.

    With --prune, a collection may hold selected resources although none of its documents is
    selected. Otherwise a `--select` that matches nothing is a mistake and an error: a silent one
    would never be noticed.
    """
    known: Collection[Address] = desired.resources.keys()
    if base is not None and not base.resources.keys() <= desired.resources.keys():
        known = desired.resources.keys() | base.resources.keys()
    if options.prune or _selects_all(options):
        return known
    check_matches(options.select, known)
    return {address for address in known if is_selected(options, address)}


def _selects_all(options: PlanOptions) -> bool:
    """Return whether the options leave nothing out."""
    return not (options.select or options.exclude or options.ignore) and options.only is None


def is_selected(options: PlanOptions, address: Address) -> bool:
    """Return whether the options select an address."""
    if options.only is not None and address not in options.only:
        return False
    left_out = (*options.exclude, *options.ignore)
    chosen = not options.select or matches_any(address, options.select)
    return chosen and not matches_any(address, left_out)
