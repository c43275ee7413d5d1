"""What is written reads back as it was, by our loader and by readers of YAML 1.1."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.config.edit import emitter, filenames, merge
from reconciler.config.edit.splice import CannotEditError
from reconciler.config.yaml import reader
from reconciler.files.text import find_hidden_character

ODD = ["no", "on", "y", "1_000", "12:30", "010", "1e3", "~", "", " a", "a ", "a: b", "a #b", "---"]
ODD += ["- a", "a?", "a,b", "x\ny", "x\n\n y\n", "\n", "a\n\n", "\ta\nb", "a\u2028\x85b", "\ufeff"]
TEXT = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(ODD)
KEY = TEXT.filter(lambda key: key and not find_hidden_character(key))
SCALAR = TEXT | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, width=32)
VALUE = st.recursive(
    SCALAR.filter(lambda one: one not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3),
    max_leaves=10,
)


@given(VALUE)
def test_what_is_written_reads_back_the_same_by_every_reader(value):
    """As a block, between brackets, in a list: for YAML 1.1 as for ours."""
    document = {"kind": value, "metadata": value, "spec": {"a": [value], "b": {"c": value}}}
    text = emitter.format_document(document)
    findings = []

    found = reader.read_documents(text.encode(), "file.yaml", findings)

    assert [] == findings
    assert document == found[0].value == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("no", '"no"'),
        ("14d", "14d"),
        ("12:30", '"12:30"'),
        ('{"a": 1}', "'{\"a\": 1}'"),
        ("a\u2028b", '"a\\u2028b"'),
        ("Köln 😀", "Köln 😀"),
        ("🛡️ Admins", '"🛡️ Admins"'),
        ("👩\u200d💻", '"👩\u200d💻"'),
        ("a\u200db", '"a\\u200db"'),
        (1e20, "1.0e+20"),
    ],
)
def test_quotes_are_there_where_a_reader_needs_them(value, text):
    """And nowhere else."""
    assert text == emitter.format_scalar(value)


@given(st.text(min_size=1, max_size=300))
def test_a_name_stays_one_plain_part_of_a_path(name):
    """It does not hide, leave its folder, or grow too long; two names never share one."""
    part = filenames.encode_name(name.encode("utf-8", "replace").decode())

    assert part.isascii()
    assert part == part.strip(" .")
    assert not set(part) & set('/\\:*?"<>|\0')
    assert len(part) < 200


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Back office", "Back office"),
        (" a b ", "%20a b%20"),
        ("  ", "%20%20"),
        ("con .x", "%63on .x"),
        (f"{'a' * 149} b", f"{'a' * 149}~"),
    ],
)
def test_spaces_stay_within_a_name_and_are_encoded_at_its_ends(name, part):
    """As people write folders; no system drops or trims the name."""
    assert filenames.encode_name(name).startswith(part)


@given(st.dictionaries(KEY, VALUE, max_size=3), st.dictionaries(KEY, VALUE, max_size=3))
def test_a_rewritten_document_says_what_was_meant_or_is_not_written(was, now):
    """Whatever changes into whatever: the comment stays, and the text reads as it should."""
    before, after = {"spec": {"filters": was}}, {"spec": {"filters": now}}
    text = "# kept\n" + emitter.format_document({"kind": "x", **before})

    try:
        made = merge.rewrite_document(text, before, after)
    except CannotEditError:
        return

    assert made.startswith("# kept\n")
    findings = []
    reader.read_documents(made.encode(), "file.yaml", findings)
    assert [] == findings
