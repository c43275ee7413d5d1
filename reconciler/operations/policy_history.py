"""What the files declared since the base: read from git only if a plan would weaken a gate."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reconciler.config import loaded
from reconciler.model import Declared, Live
from reconciler.plan.diff import references
from reconciler.plan.planner import Comparison
from reconciler.plan.weakening import detect
from reconciler.plan.weakening.partial_apply import Begun
from reconciler.posthog.client import Reader


@dataclass(frozen=True, slots=True)
class Since:
    """How to look up what the files said since the base.

    Attributes:
        committed: when the base was committed, by the clock of this machine.
        states: what documents with one of these words said after each commit; None if unknown.

    """

    committed: Callable[[], datetime | None]
    states: Callable[[Collection[str]], Sequence[loaded.Loaded] | None]


def look(
    reader: Reader,
    compared: Comparison,
    desired: Declared,
    live: Live,
    *,
    since: Since | None,
    names: Mapping[str, Sequence[str]],
) -> Begun | None:
    """Look up what may have been begun since the base; None if nothing weakens or is known.

    `names` are the projects of each organization.
    """
    if since is None or compared.base is None:
        return None
    words = detect.words(compared.changes, live)
    states = since.states(words) if words else None
    if states is None:
        return None
    base = compared.base.resources
    still = {
        address: resource
        for address, resource in base.items()
        if resource == compared.picked.resources.get(address)
    }
    found = []
    for state in states:
        then = references.respell_references(loaded.expand(state, names), live, desired)
        found.append(replace(then, resources={**still, **then.resources}))
    skew = timedelta(seconds=reader.clock_skew_s or 0.0)
    committed = since.committed()
    return Begun(
        compared.base, tuple(found), desired, committed + skew if committed is not None else None
    )
