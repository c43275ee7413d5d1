"""Values as compact YAML, and how two of them differ."""

import json
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model import ABSENT
from reconciler.render.shared import text_diff, values
from reconciler.render.shared.sanitize import clip, count_columns, make_visible, mask_keys


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (50, "50"),
        (0.5, "0.5"),
        ("New checkout flow", "New checkout flow"),
        ("alice@acme.test", "alice@acme.test"),
        ("14d", "14d"),
        ("50", '"50"'),
        ("010", '"010"'),
        ("12:30", '"12:30"'),
        ("no", '"no"'),
        ("null", '"null"'),
        ("", '""'),
        (" x", '" x"'),
        ("x ", '"x "'),
        ("a: b", '"a: b"'),
        ("a # b", '"a # b"'),
        ("two\nlines", r'"two\nlines"'),
        (ABSENT, "(not set)"),
        ([], "[]"),
        ({}, "{}"),
        ([1, "a"], "[1, a]"),
        ({"a": {"b": [1, {"c": None}]}}, "{a: {b: [1, {c: null}]}}"),
    ],
)
def test_a_value_on_one_line(value, shown):
    assert shown == values.format_flow(value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(codec="ascii", exclude_categories=["Cc"]) | st.just("\n"), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcxyz-_: 0", max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON)
def test_what_is_shown_is_yaml(value):
    """On one line or on many, it reads back as it was: no text is taken for a number."""
    assert value == yaml.safe_load(values.format_flow(value))
    assert value == yaml.safe_load("\n".join(values.format_block(value, 30)))


@pytest.mark.parametrize(
    ("old", "new", "pieces"),
    [
        (10, 50, (("", "10 → 50"),)),
        (ABSENT, 50, (("", "(not set) → 50"),)),
        (10, ABSENT, (("", "10 → (removed)"),)),
        (["a", "b"], ["b", "c"], (("+", "c"), ("-", "a"))),
        (["a"], [], (("-", "a"),)),
        (["a", "b"], ["b", "a"], (("", "[a, b] → [b, a]"),)),
        (["a", "a"], ["a"], (("", "[a, a] → [a]"),)),
        ([1, "1"], ["1"], (("-", "1"),)),
        ([{"a": 1}], [{"a": 2}], (("", "[{a: 1}] → [{a: 2}]"),)),
    ],
)
def test_a_difference_on_one_line(old, new, pieces):
    """Lists of words are compared as sets, unless that would hide what changed."""
    found = values.compare_values(old, new, 60)

    assert found.inline
    assert pieces == found.pieces


def test_long_lists_of_words_stand_one_below_the_other():
    found = values.compare_values([f"person-{n}@acme.test" for n in range(9)], ["x"], 60)

    assert not found.inline
    assert found.pieces[0] == ("+", "x")
    assert len(found.pieces) == 10


def test_long_values_are_a_diff_of_their_lines():
    old = {"groups": [{"rollout_percentage": n, "variant": "control" * 3} for n in range(9)]}
    new = {"groups": [{**group, "rollout_percentage": n} for n, group in enumerate(old["groups"])]}
    new["groups"][4]["rollout_percentage"] = 99

    found = values.compare_values(old, new, 40)

    assert [piece for piece in found.pieces if piece[0]] == [
        ("-", "  - rollout_percentage: 4"),
        ("+", "  - rollout_percentage: 99"),
    ]
    assert len(found.pieces) == 7
    assert found.pieces[0] == ("", "…")


def test_two_long_texts_are_shown_from_where_they_part():
    found = values.compare_values("same " * 40 + "old", "same " * 40 + "new", 60)

    assert [(sign, text[0]) for sign, text in found.pieces] == [("-", "…"), ("+", "…")]
    assert found.pieces[0][1].endswith("old")
    assert found.pieces[1][1].endswith("new")


def test_of_a_huge_value_the_beginning_is_compared():
    found = values.compare_values(list(range(5000)), {"a": list(range(100))}, 40)

    assert found.pieces[text_diff.MANY] == ("-", f"… {5000 - text_diff.MANY:,} more lines")


def test_a_difference_is_found_however_far_down_it_is():
    """What both begin and end with is not what is limited."""
    lines = [f"line {number}" for number in range(5000)]
    other = [*lines[:4000], "another", *lines[4001:]]

    found = values.compare_values("\n".join(lines), "\n".join(other), 40)

    assert [piece for piece in found.pieces if piece[0]] == [("-", "line 4000"), ("+", "another")]
    assert len(found.pieces) == 7


def test_a_text_of_several_lines_is_a_literal_block():
    assert ["a: |-", "  one", "", "  two", "b: 1"] == list(
        values.format_block({"a": "one\n\ntwo", "b": 1}, 60)
    )


def test_texts_of_several_lines_are_a_diff_of_their_lines():
    old = "Who may see it:\n\nstaff\npartners\nnobody else\nthe end"
    new = old.replace("partners", "friends\nfamily")

    found = values.compare_values(old, new, 30)

    assert [piece for piece in found.pieces if piece[0]] == [
        ("-", "partners"),
        ("+", "friends"),
        ("+", "family"),
    ]


def test_json_in_a_text_is_unfolded():
    """As in the payload of a flag: one long line on both sides would show nothing."""
    old = json.dumps({"color": "blue", "sizes": [1, 2], "text": "as it was " * 9})
    new = json.dumps({"color": "red", "sizes": [1, 2], "text": "as it was " * 9})

    found = values.compare_values(old, new, 60)

    assert found.note == text_diff.PAYLOAD
    assert [piece for piece in found.pieces if piece[0]] == [
        ("-", '  "color": "blue",'),
        ("+", '  "color": "red",'),
    ]


def test_json_that_is_only_spelled_differently_says_so():
    value = {"color": "blue " * 20}

    found = values.compare_values(json.dumps(value), json.dumps(value, indent=1), 60)

    assert found.note == text_diff.RESPELLED
    assert {sign for sign, _ in found.pieces} == {"-", "+"}


def test_two_keys_that_differ_are_not_shown_and_do_not_vanish():
    old, new = ("line\n" * 30 + "phx_" + letter * 30 for letter in "ab")

    found = values.compare_values(old, new, 60)

    assert found.pieces
    assert not re.search("phx_[ab]", str(found))


@settings(deadline=None)
@given(JSON, JSON, st.integers(10, 200))
def test_values_that_differ_show_something(old, new, room):
    found = values.compare_values(old, new, room)

    assert old == new or any(text for _, text in found.pieces)


def test_columns_of_wide_and_combining_characters():
    assert count_columns("abc") == 3
    assert count_columns("日本") == 4
    assert count_columns("e\u0301") == 1


@settings(deadline=None)
@given(st.text(), st.integers(1, 40))
def test_what_is_clipped_fits(text, room):
    shown = clip(make_visible(text), room)

    assert count_columns(shown) <= room or count_columns(make_visible(text)[0]) > 1


def test_a_masked_key_keeps_its_place():
    key = "phx_" + "a" * 30

    assert mask_keys(f"  key: {key} # x") == f"  key: {'*' * len(key)} # x"
