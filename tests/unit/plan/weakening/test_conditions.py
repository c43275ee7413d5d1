"""Sets of gated (before, after) pairs, against counting all changes of two positions."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import ABSENT
from reconciler.plan.approvals.conditions import OPERATORS, ROLLOUT, evaluate_conditions
from reconciler.plan.approvals.server_generation import Generation
from reconciler.plan.weakening.conditions import find_ungated_change

UPDATE, ENABLE = "feature_flag.update", "feature_flag.enable"
G1, G2, G3 = Generation.G1, Generation.G2, Generation.G3


def becomes(symbol, value, **more):
    return {"type": "before_after", "field": ROLLOUT, "operator": symbol, "value": value, **more}


def moves(symbol, value, **more):
    return {"type": "change_amount", "field": ROLLOUT, "operator": symbol, "value": value, **more}


CHANGED = {"type": "any_change", "field": ROLLOUT}
RELEASE = {"type": "any_change", "field": "release_conditions"}

ROWS = [
    ("a higher limit gates less", becomes(">", 50), becomes(">", 60), "0 → 60", None),
    ("over 50 and at least 50", becomes(">=", 50), becomes(">", 50), "→ 50", None),
    ("a larger step gates less", moves(">", 20), moves(">", 30), "changes such as", None),
    ("everything against a step", {}, moves(">", 20), "changes such as 100 → 0", None),
    ("every change is everything", {}, CHANGED, None, None),
    ("an unknown type is everything", {"type": "odd"}, CHANGED, None, None),
    ("a missing value is everything", becomes(">", None), {}, None, None),
    ("who rises by 20 ends over 20", moves(">", 20), becomes(">", 20), None, "such as 100 →"),
    ("a step against a target", moves(">", 20), becomes(">", 60), "0 → 60", "such as 60 → 80"),
    ("over 100 gates nothing", becomes(">", 100), moves(">", 100), None, None),
    ("over 100 and text gate nothing", becomes(">", 100), becomes(">", "1"), None, None),
    ("at least 0 misses positions that vanish", CHANGED, becomes(">=", 0), "0 → nothing", None),
    ("unequal to 0 against over 0", becomes("!=", 0), becomes(">", 0), None, None),
    ("at most -1 against under 0, in fractions", moves("<=", -1), moves("<", 0), None, "0.5"),
    ("another field gates nothing", CHANGED, {**CHANGED, "field": "name"}, "changes", None),
    ("release conditions are another matter", {}, RELEASE, "changes such as", "changes of the"),
    ("a target of release conditions is none", RELEASE, becomes(">", 1, field="x"), "of the", None),
    ("what stays counts only beside what moves", CHANGED, becomes("==", 5), "such as", None),
]


@pytest.mark.parametrize(
    ("old", "new", "missed", "gained"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_row(old, new, missed, gained):
    """What is no longer gated, and what is gated as well, each with an example."""
    for before, after, expected in ((old, new, missed), (new, old, gained)):
        found = find_ungated_change(UPDATE, before, after, (G2,))

        assert (found is None) is (expected is None), found
        assert expected is None or expected in found


@pytest.mark.parametrize("action", [ENABLE, "feature_flag.disable"])
def test_enabling_is_gated_as_a_whole_or_not_at_all(action):
    """A condition on the rollout evaluates over nothing; one on active lets nothing through."""
    assert find_ungated_change(action, {}, CHANGED, (G2,)) == "every change"
    assert find_ungated_change(action, CHANGED, {}, (G2,)) is None
    assert find_ungated_change(action, CHANGED, becomes(">", 3), (G2,)) is None
    assert find_ungated_change(action, {}, {"type": "any_change", "field": "active"}, (G2,)) is None
    assert find_ungated_change(action, {"type": "any_change"}, {"type": "odd"}, (G2,)) is None


def test_of_an_action_without_known_rules_only_everything_is_comparable():
    """Another text may mean anything."""
    assert find_ungated_change("survey.launch", {}, CHANGED, (G3, G2)) == "every change"
    assert find_ungated_change("survey.launch", CHANGED, {}, (G3, G2)) is None
    assert find_ungated_change("survey.launch", {"type": "odd"}, {}, (G3, G2)) is None
    assert find_ungated_change("survey.launch", CHANGED, CHANGED, (G3, G2)) is None
    assert "former" in find_ungated_change("survey.launch", CHANGED, becomes(">", 3), (G3, G2))


def test_a_position_that_stays_can_make_the_difference():
    """`becomes 5` also gates moves of other groups while one stands at 5."""
    found = find_ungated_change(
        UPDATE, becomes("==", 5), {"type": "change_amount", **moves("!=", 0)}, (G2,)
    )

    assert found == "changes such as nothing → 5"
    only = find_ungated_change(UPDATE, moves("==", 0), moves(">", 200), (G2,))
    assert only == "changes beside a position that stays at 0"


SINCE = " (on PostHog since autumn 2026; nothing shows the version)"
BEFORE = " (on PostHog before autumn 2026; nothing shows the version)"
TARGETING = "changes of the release conditions"
BETWEEN = [  # old, new: what generation 3 no longer gates, and what generation 2 no longer gates
    ("only rollouts of all changes", {}, CHANGED, TARGETING, None),
    ("all changes of only rollouts", CHANGED, {}, None, None),
    ("all changes of only targeting", RELEASE, {}, None, TARGETING),
    (
        "a target gates targeting beside it",
        becomes(">", 50),
        CHANGED,
        f"{TARGETING} beside a position that stays at 75",
        None,
    ),
    ("every change for a step", {}, moves(">", 20), "such as 100 → 0", "such as 100 → 0"),
]


@pytest.mark.parametrize(
    ("old", "new", "newest", "older"), [r[1:] for r in BETWEEN], ids=[r[0] for r in BETWEEN]
)
def test_what_any_possible_generation_no_longer_gates_counts(old, new, newest, older):
    """A server that may be of either generation counts as both, and the text says which."""
    for generations, expected in (((G3,), newest), ((G2,), older), ((G2, G1), older)):
        found = find_ungated_change(UPDATE, old, new, generations)
        assert (found is None) is (expected is None), found
        assert expected is None or found.endswith(expected)

    unproven = find_ungated_change(UPDATE, old, new, (G3, G2, G1))
    if newest == older:
        assert unproven is None or unproven.endswith(newest)
    else:
        assert unproven == (newest + SINCE if newest else older + BEFORE)


def test_an_action_of_experiments_is_compared_like_that_of_flags_without_targeting():
    """Release conditions of a flag that an experiment owns are free."""
    assert find_ungated_change("experiment.update", {}, CHANGED, (G3,)) is None
    found = find_ungated_change("experiment.update", {}, moves(">", 20), (G3,))
    assert found == "changes such as 100 → 0"
    assert find_ungated_change("experiment.launch", {}, CHANGED, (G3,)) == "every change"


VALUES = [ABSENT, None, *(value / 8 * 100 for value in range(9))]  # finer than the limits
PAIRS = [pair for pair in product(VALUES, VALUES) if pair != (ABSENT, ABSENT)]
LIMITS = st.sampled_from([-125, -100, -75, -50, -25, 0, 25, 50, 75, 100, 125])
SYMBOLS = st.sampled_from(sorted(OPERATORS))
CONDITIONS = st.one_of(
    st.just({}),
    st.just(CHANGED),
    st.builds(becomes, SYMBOLS, LIMITS),
    st.builds(moves, SYMBOLS, LIMITS),
)


def gated(conditions):
    """The pairs that a condition gates where nothing else is looked at."""

    def positions(value):
        return {} if value is ABSENT else {"p": value}

    return {
        pair
        for pair in PAIRS
        if evaluate_conditions(
            conditions, {ROLLOUT: (positions(pair[0]), positions(pair[1]))}
        ).gates
    }


@given(old=CONDITIONS, new=CONDITIONS)
def test_inclusion_is_that_of_all_changes_of_two_positions(old, new):
    """A change is two pairs of which one moves; it is gated if one of them is."""
    by_old, by_new = gated(old), gated(new)
    slips = any(
        (one in by_old or other in by_old) and one not in by_new and other not in by_new
        for one in PAIRS
        if one[0] != one[1]
        for other in PAIRS
    )

    assert (find_ungated_change(UPDATE, old, new, (G2,)) is not None) is slips


@given(old=CONDITIONS | st.just(RELEASE), new=CONDITIONS | st.just(RELEASE))
def test_targeting_is_one_more_position_in_generation_3(old, new):
    """A change is of targeting, of a position, or of both, beside any position."""
    by_old, by_new = gated(old), gated(new)
    free = [None, *(pair for pair in PAIRS if pair not in by_new)]
    targeting_old, targeting_new = (one in [{}, RELEASE] for one in (old, new))
    slips = any(
        (targets and targeting_old) or one in by_old or other in by_old
        for targets in (False, True)
        if not (targets and targeting_new)
        for one in free
        if targets or (one is not None and one[0] != one[1])
        for other in free
    )

    assert (find_ungated_change(UPDATE, old, new, (G3,)) is not None) is slips


@given(one=CONDITIONS, two=CONDITIONS, three=CONDITIONS)
def test_inclusion_is_an_order(one, two, three):
    """Reflexive, and transitive."""
    assert find_ungated_change(UPDATE, one, one, (G2,)) is None
    if (
        find_ungated_change(UPDATE, one, two, (G2,)) is None
        and find_ungated_change(UPDATE, two, three, (G2,)) is None
    ):
        assert find_ungated_change(UPDATE, one, three, (G2,)) is None


HALVES = [ABSENT, None, *(step / 2 for step in range(201))]  # 0, 0.5, 1 … 100: 41,208 pairs
WHOLE = st.integers(-101, 101)
EXACT = st.one_of(
    st.just({}),
    st.just(CHANGED),
    st.builds(becomes, SYMBOLS, WHOLE),
    st.builds(moves, SYMBOLS, WHOLE),
)


def counted(conditions):
    """The pairs that conditions gate, by counting all of them; from the contract's words alone."""
    test = OPERATORS.get(conditions.get("operator"))
    limit = conditions.get("value")
    for before, after in product(HALVES, HALVES):
        if before is ABSENT and after is ABSENT:
            continue
        match conditions.get("type"):
            case None:
                gates = True
            case "any_change":
                gates = before != after
            case "before_after":
                gates = isinstance(after, float) and test(after, limit)
            case _:
                both = isinstance(before, float) and isinstance(after, float)
                gates = both and test(after - before, limit)
        if gates:
            yield before, after


@given(old=EXACT, new=EXACT)
def test_inclusion_is_that_of_all_pairs_counted_in_half_steps(old, new):
    """With whole limits half steps reach every cell: what is not found by counting is not there."""
    pairs = set(product(HALVES, HALVES)) - {(ABSENT, ABSENT)}
    moves_ = {pair for pair in pairs if pair[0] != pair[1]}
    by_new = set(counted(new))
    missed = set(counted(old)) - by_new
    beside = bool(missed - moves_) and bool(moves_ - by_new)  # what stays, beside a free move

    assert (find_ungated_change(UPDATE, old, new, (G2,)) is not None) is (
        bool(missed & moves_) or beside
    )
