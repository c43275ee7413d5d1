"""Select which resources a plan is about: `--select`, `--exclude`, and the options of a plan."""

import re
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from reconciler.errors import ReconcilerError
from reconciler.model import Address, Declared
from reconciler.plan.diff import dropped_fields
from reconciler.plan.guardrails import checks
from reconciler.suggest import closest_match


@dataclass(frozen=True, slots=True)
class Options:
    """What the person at the terminal asked for."""

    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()  # address patterns of the target that are left alone
    limits: checks.Limits = checks.DEFAULT_LIMITS
    prefer: str | None = None  # "git" or "live", where both moved
    only: Collection[Address] | None = None  # exactly these: what a saved plan speaks of
    unmanaged: str = "report"  # of the target: report, ignore, or delete together with `prune`
    prune: bool = False  # what is live and in no file is deleted
    sent_in_vain: dropped_fields.Unkept = field(default_factory=dict)  # what PostHog did not keep
    elsewhere: Container[Address] = ()  # declared in files that this run does not read
    misnamed: Mapping[Address, Collection[str]] = field(default_factory=dict)
    """Names that PostHog gave to what earlier runs created for an address."""


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
        if any(matches(address, (pattern,)) for address in known):
            continue
        similar = closest_match(pattern, map(str, desired.resources))
        raise ReconcilerError(
            f"--select {pattern!r} covers nothing that is declared",
            why="no address of the files matches it",
            fix=f"did you mean {similar!r}?" if similar else "reconciler plan shows the addresses",
        )
    return {address for address in known if covers(options, address)}


def covers(options: Options, address: Address) -> bool:
    """Whether this run is about an address."""
    if options.only is not None and address not in options.only:
        return False
    left_out = (*options.exclude, *options.ignore)
    chosen = not options.select or matches(address, options.select)
    return chosen and not matches(address, left_out)


_JOINER: Final = "\u200d"  # invisible; a Markdown report writes it so that nobody is mentioned


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """`*` stands for anything, also for `/`; all else is literal."""
    return re.compile(".*".join(re.escape(piece) for piece in text.split("*")), re.DOTALL)


def matches(address: Address, patterns: Collection[str]) -> bool:
    """Whether one of the patterns covers the whole address."""
    if not patterns:
        return False
    text = str(address)
    return any(_pattern(pattern).fullmatch(text) for pattern in patterns) or any(
        _pattern(pattern.replace(_JOINER, "")).fullmatch(text.replace(_JOINER, ""))
        for pattern in patterns
        if _JOINER in pattern
    )
