"""Reading a seed from text, and refusals with line and column."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sandbox.protocol.errors import SeedError
from reconciler.sandbox.seed import document
from reconciler.sandbox.seed.document import parse_seed

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
def test_what_yaml_writes_is_read_back(value):
    text = yaml.safe_dump(value)

    assert document._read_text(text) == yaml.safe_load(text) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("# nothing", None),
        ("a: 2026-01-05T09:00:00Z", {"a": "2026-01-05T09:00:00Z"}),
        ("a: 2026-01-05", {"a": "2026-01-05"}),
        ("a: [1, 1.5, yes, ~, '1', 0x10]", {"a": [1, 1.5, True, None, "1", 16]}),
        ("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}", {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}}),
        ("x: &x {a: 1}\ny: {<<: [*x, {b: 2}]}", {"x": {"a": 1}, "y": {"a": 1, "b": 2}}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("? a\n: b", {"a": "b"}),
        ("z: {q: &x {<<: &w {b: 1}, b: 2}}\ny: {<<: *x}", {"z": {"q": {"b": 2}}, "y": {"b": 2}}),
    ],
)
def test_yaml_is_read_as_usual_but_times_are_text(text, expected):
    assert document._read_text(text) == expected


REFUSED = [
    ("users: [[", "line 2, column 1"),
    ("a: 1\n\t- b", "line 2, column 1"),
    ("cloud: true\ncloud: false", "line 2, column 1: duplicate key 'cloud'"),
    ("users:\n  - {email: a, email: b}", "line 2, column 16: duplicate key 'email'"),
    ('{"cloud": true, "cloud": false}', "duplicate key 'cloud'"),
    ("a: *nobody", "line 1, column 4: found undefined alias"),
    ("a: &a {b: *a}", "line 1, column 4: found unconstructable recursive node"),
    ("a: !!bool moon", "moon"),
    ("a: !!python/object:os.system x", "python/object"),
    ("!!python/object:x {}", "line 1, column 1: could not determine a constructor"),
    ("--- {}\n--- {}", "line 2, column 1: expected a single document"),
    ("? [1]\n: 2", "line 1, column 3: a key must be a text"),
    ("{<<: 1}", "expected a mapping"),
    ("[" * 5000, "seed"),
    ("a: !!int moon", "moon"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=lambda one: str(one)[:30])
def test_an_invalid_text_is_refused_in_one_line(text, message):
    with pytest.raises(SeedError) as caught:
        parse_seed(text)

    assert message in caught.value.message
    assert "\n" not in caught.value.message


@given(st.text() | st.text("{}[]:,-&*!|>'\"% \n\tab<"))
def test_any_text_is_loaded_or_refused(text):
    try:
        parse_seed(text)
    except SeedError as error:
        message = error.message
    else:
        message = "fine"
    assert message.count("\n") == 0
