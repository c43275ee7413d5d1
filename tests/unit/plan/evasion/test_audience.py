"""Whom filters reach: properties that imply each other, against people counted one by one."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.plan.evasion.audience import (
    Audience,
    compute_reach,
    find_newly_reached,
    implies_property,
    reaches_nobody,
)

WORDS = ("pro", "free", "professional", "")
NUMBERS = (0, 1, 5, 10, 30)
PEOPLE = [{}, *({"plan": word} for word in WORDS), *({"age": number} for number in NUMBERS)]
PEOPLE += [{"plan": word, "age": number} for word in WORDS for number in NUMBERS]


def prop(key, operator, value):
    found = {"key": key, "type": "person", "operator": operator}
    return found if value is None else {**found, "value": value}


LISTS = st.lists(st.sampled_from(WORDS), min_size=1, unique=True)
PROPERTIES = st.one_of(
    st.builds(prop, st.just("plan"), st.sampled_from(["exact", "is_not"]), LISTS),
    st.builds(
        prop,
        st.just("plan"),
        st.sampled_from(["icontains", "not_icontains"]),
        st.sampled_from(WORDS),
    ),
    st.builds(
        prop,
        st.just("age"),
        st.sampled_from(["gt", "gte", "lt", "lte"]),
        st.sampled_from([*NUMBERS, "5", "10"]),
    ),
    st.builds(prop, st.sampled_from(["plan", "age"]), st.sampled_from(["is_set"]), st.none()),
)


def has(person, one):
    """Whether a person has a property, as PostHog evaluates it."""
    value, wanted = person.get(one["key"]), one.get("value")
    there = value is not None
    text = str(value)
    tests = {
        "is_set": lambda: there,
        "exact": lambda: there and text in wanted,
        "is_not": lambda: not there or text not in wanted,
        "icontains": lambda: there and wanted in text,
        "not_icontains": lambda: not there or wanted not in text,
        "gt": lambda: there and value > float(wanted),
        "gte": lambda: there and value >= float(wanted),
        "lt": lambda: there and value < float(wanted),
        "lte": lambda: there and value <= float(wanted),
    }
    return tests[one["operator"]]()


@given(narrow=PROPERTIES, wide=PROPERTIES)
def test_what_implies_another_property_holds_for_nobody_without_it(narrow, wide):
    """Only what is certain is said, and of everything certain among equal operators some is."""
    if implies_property(narrow, wide):
        assert all(has(person, wide) for person in PEOPLE if has(person, narrow))


GROUPS = st.lists(
    st.builds(
        lambda properties, part: {"properties": properties, "rollout_percentage": part},
        st.lists(PROPERTIES, max_size=2),
        st.sampled_from([0, 10, 100, None]),
    ),
    max_size=3,
)


def share(filters, person):
    """The percentage at which a flag reaches one person."""
    parts = [
        100 if group["rollout_percentage"] is None else group["rollout_percentage"]
        for group in filters["groups"]
        if all(has(person, one) for one in group["properties"])
    ]
    return max(parts, default=0)


@given(before=GROUPS, after=GROUPS)
def test_who_is_reached_anew_is_said_or_belongs_to_an_audience_that_grew(before, after):
    """Nobody gets more without an audience that is new, or one whose percentage rose."""
    old, new = {"groups": before}, {"groups": after}
    grown = [*find_newly_reached(compute_reach(old), compute_reach(new))]
    rose = [
        who for who, part in compute_reach(new).items() if part > compute_reach(old).get(who, part)
    ]
    if not grown and not rose:
        assert all(share(new, person) <= share(old, person) for person in PEOPLE)
    assert reaches_nobody(new) is (not any(compute_reach(new).values()))


def test_what_was_narrower_is_named():
    """Out of which audience a wider one grew."""
    pro, everybody = prop("plan", "exact", ["pro"]), {"groups": [{"rollout_percentage": 50}]}
    narrow = {"groups": [{"properties": [pro], "rollout_percentage": 50}]}

    ((wide, narrower),) = find_newly_reached(compute_reach(narrow), compute_reach(everybody))

    assert ("everybody", "plan exact pro") == (str(wide), str(narrower))


def test_what_counts_by_groups_is_another_audience():
    """An aggregation is whom the percentage is of."""
    people, companies = Audience(()), Audience((), 0)

    assert people.includes(people)
    assert not people.includes(companies)
