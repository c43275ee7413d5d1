"""The order of apply as waves: what is written first, what after it, and what last."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from reconciler.kinds import KINDS
from reconciler.lazy_dataclass import dataclass
from reconciler.model import Action, Address, Change, Verdict
from reconciler.render.html.facets import GATES, make_query
from reconciler.render.shared import approvals

BASE, POLICIES, FLAGS, STEPS, WEAKER, DELETES = (
    "base",
    "policies",
    "flags",
    "steps",
    "weaker",
    "deletes",
)
_WAVES: Final = {
    BASE: ("Organizations, projects, people", "Everything else refers to them."),
    POLICIES: ("Approval policies", "New and stricter policies come before the flags they cover."),
    FLAGS: ("Flags", "Each is written in one step."),
    STEPS: ("Flags in several steps", "Fields under different policies are written separately."),
    WEAKER: ("Weaker policies", "What makes approval easier comes after the flags it covers."),
    DELETES: ("Deletes", "They come last."),
}
TITLES: Final = {key: title for key, (title, _) in _WAVES.items()}
_FLAG: Final = "FeatureFlag"
_PATTERNS: Final = 4  # ways to divide a change into steps that are drawn


@dataclass(frozen=True, slots=True)
class Lane:
    """Changes of one wave with the same verdict."""

    verdict: str
    words: str
    number: int
    query: str


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a change that is sent in several."""

    fields: str
    policy: str  # empty: no approval is needed
    waits: bool


@dataclass(frozen=True, slots=True)
class StepPattern:
    """Changes that are divided into the same steps."""

    steps: tuple[Step, ...]
    number: int


@dataclass(frozen=True, slots=True)
class Wave:
    """One stage of apply."""

    key: str
    title: str
    note: str
    number: int
    query: str
    lanes: tuple[Lane, ...]
    patterns: tuple[StepPattern, ...]
    more_patterns: int


def sort_changes(changes: Iterable[Change]) -> Mapping[Address, str]:
    """Return the wave of each change; the changes are in the order of apply."""
    policies = {name for kind in KINDS.values() for name in kind.after}
    waves: dict[Address, str] = {}
    for change in changes:
        waves[change.address] = _find_wave(change, policies, waves)
    return waves


def draw_waves(changes: Sequence[Change], waves: Mapping[Address, str]) -> tuple[Wave, ...]:
    """Return the waves that have changes, in the order of apply."""
    by_wave: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        by_wave[waves[change.address]].append(change)
    return tuple(_draw_wave(key, by_wave[key]) for key in _WAVES if by_wave[key])


def _find_wave(change: Change, policies: set[str], waves: Mapping[Address, str]) -> str:
    if change.action is Action.DELETE:
        return DELETES
    kind = KINDS.get(change.address.kind)
    if kind is not None and kind.after:
        return STEPS if change.gate.steps else FLAGS
    if any(waves.get(needed) in {FLAGS, STEPS, WEAKER} for needed in change.depends_on):
        return WEAKER
    return POLICIES if change.address.kind in policies else BASE


def _draw_wave(key: str, changes: list[Change]) -> Wave:
    title, note = _WAVES[key]
    if key == FLAGS and any(change.address.kind != _FLAG for change in changes):
        title = "Flags and holdouts"
    patterns = Counter(
        tuple(_list_steps(change)) for change in changes if key == STEPS and change.gate.steps
    ).most_common()
    return Wave(
        key=key,
        title=title,
        note=note,
        number=len(changes),
        query=make_query(wave=key),
        lanes=tuple(_list_lanes(key, changes)),
        patterns=tuple(StepPattern(steps, number) for steps, number in patterns[:_PATTERNS]),
        more_patterns=sum(number for _, number in patterns[_PATTERNS:]),
    )


def _list_lanes(key: str, changes: list[Change]) -> Iterator[Lane]:
    """Yield how many changes are written, and how many need approval or wait."""
    counted = Counter(approvals.classify(change.gate) for change in changes)
    for verdict, words in GATES.items():
        if counted[verdict]:
            query = make_query(wave=key, gate=verdict.value)
            yield Lane(verdict.value, words, counted[verdict], query)


def _list_steps(change: Change) -> Iterator[Step]:
    """Yield the steps of a change, in their order."""
    for number, step in enumerate(change.gate.steps):
        policy = approvals.split_policy(step.policy, change.address)[0] if step.policy else ""
        fields = ", ".join(step.fields)
        if change.action is Action.CREATE and number == 0:
            fields = "create (inactive)"
        yield Step(fields, policy, step.verdict is Verdict.APPROVAL)
