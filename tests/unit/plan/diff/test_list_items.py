"""Items of lists are matched by content: what became of each, whatever its position."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import ABSENT, FieldChange, format_path
from reconciler.plan.diff import list_items, values

PATH = ("filters", "groups")


def group(name, rollout=10, **more):
    about = {"key": "email", "type": "person", "operator": "icontains", "value": f"@{name}.test"}
    return {"properties": [about], "rollout_percentage": rollout, **more}


A, B, C, D, NEW = map(group, ("a", "b", "c", "d", "new"))
B50 = group("b", 50)


def told(live, desired):
    """Rows as `+ [0] note`; nothing where positions say it all."""
    sides = ({"filters": {"groups": side}} for side in (live, desired))
    found = values.find_differences(live, desired, PATH)
    fields = [FieldChange(format_path(path), old, new) for path, old, new in found]
    rows = []
    for one in list_items.find_list_changes(*sides, fields, ()):
        assert len(fields) == one.fields
        for item in one.items:
            sign = "+" if item.live is ABSENT else "-" if item.desired is ABSENT else ""
            sign = sign or ("~" if item.live == item.desired else " ")
            place = item.path.removeprefix("filters.groups")
            moved = "" if item.moved_from is None else f"from [{item.moved_from}]"
            others = "".join(f" {n} {way}" for way in ("down", "up") if (n := getattr(item, way)))
            rows.append(f"{sign} {place} {moved}{others}".replace("  ", " ").rstrip())
    return rows


CASES = {
    "inserted at the head": ([A, B, C, D], [NEW, A, B, C, D], ["+ [0] 4 down"]),
    "inserted in the middle": ([A, B, C], [A, NEW, B, C], ["+ [1] 2 down"]),
    "appended": ([A], [A, NEW], ["+ [1]"]),
    "removed at the head": ([A, B, C], [B, C], ["- [0] 2 up"]),
    "the last one removed": ([A, B], [A], ["- [1]"]),
    "one of several equal ones removed": ([A, A, A], [A, A], ["- [2]"]),
    "moved to the head": ([A, B, C], [C, A, B], ["~ [0] from [2] 2 down"]),
    "moved to the end": ([A, B, C], [B, C, A], ["~ [2] from [0] 2 up"]),
    "edited in place": ([A, B, C], [A, B50, C], []),
    "edited below an inserted one": (
        [A, B, C],
        [NEW, A, B50, C],
        ["+ [0] 3 down", " [2].rollout_percentage"],
    ),
    "edited and moved": (
        [A, B, C, D],
        [D, A, B50, C],
        ["~ [0] from [3] 3 down", " [2].rollout_percentage"],
    ),
    "inserted and another removed": (
        [A, B, C],
        [NEW, A, B],
        ["+ [0] 2 down", "- [2]"],
    ),
    "inserted beside an edited one": (
        [A, B],
        [A, NEW, B50],
        ["+ [1] 1 down", " [2].rollout_percentage"],
    ),
    "a condition inserted into an edited one": (
        [A, B],
        [NEW, {**A, "properties": [*D["properties"], *A["properties"]]}, B],
        ["+ [0] 2 down", "+ [1].properties[0] 1 down"],
    ),
    "all of them changed": ([A, B], [group("x"), group("y")], []),
}


@pytest.mark.parametrize("name", CASES)
def test_what_became_of_each_item_is_said_once(name):
    """Only what was added, removed, moved or edited is listed."""
    live, desired, expected = CASES[name]

    assert expected == told(live, desired)


def test_a_list_of_which_a_part_is_ignored_is_described_by_position():
    """What is left alone must not be shown as a change."""
    live, desired = ({"filters": {"groups": side}} for side in ([A, B], [NEW, A, B]))
    fields = [FieldChange("filters.groups[0].rollout_percentage", 1, 2)]

    for path in ("filters.groups[1]", "filters.groups", "filters"):
        assert () == list_items.find_list_changes(live, desired, fields, [path])


ITEMS = st.lists(st.sampled_from([A, B, C, D, NEW, B50, group("d", 7)]), max_size=7)


@given(live=ITEMS, desired=ITEMS)
def test_the_live_list_and_its_matches_make_the_desired_one(live, desired):
    """Each item is matched once at most, and equal items are matched as often as they can be."""
    pairs = list_items.match_items(live, desired)

    assert len(pairs) == len({i for i, _ in pairs}) == len({j for _, j in pairs})
    assert sorted(pairs, key=lambda pair: pair[1]) == pairs
    left, rest = list(live), 0
    for item in desired:
        if item in left:
            left.remove(item)
            rest += 1
    assert rest == sum(live[i] == desired[j] for i, j in pairs)


def test_a_long_list_is_matched_at_once():
    """Nothing is quadratic in what stayed as it was."""
    dice = random.Random(1)  # noqa: S311  a die, not a secret
    live = [group(str(number)) for number in range(5_000)]
    desired = [NEW, *live]
    del desired[dice.randrange(1, 5_000)]

    assert 2 == len(told(live, desired))
