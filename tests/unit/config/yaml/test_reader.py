"""Events become values with places; limits hold before anything is built."""

# ruff: noqa: E501  tables of texts read better in one line each

import pytest

from reconciler.config.yaml import reader
from reconciler.files import text
from reconciler.model import MappingNode, SequenceNode, Source
from tests.effort import effort
from tests.unit.config import hostile


def read(content):
    """Values and findings of a text."""
    findings = []
    data = content if isinstance(content, bytes) else content.encode()
    return [document.value for document in reader.read_documents(data, "x", findings)], findings


def only(content):
    """The one finding of a text, as code, place, message."""
    _, (finding,) = read(content)
    return finding.code, finding.source.line, finding.source.column, finding.message


def test_every_key_and_every_value_knows_its_place():
    """Counted from 1, in block and in flow style."""
    (root,), findings = read('a: 1\nb:\n  - x\n  - {c: "d", e: [f]}\n')

    assert root == {"a": 1, "b": ["x", {"c": "d", "e": ["f"]}]}
    assert findings == []
    assert isinstance(root, MappingNode)
    assert isinstance(root["b"], SequenceNode)
    assert root.key_source("b") == Source("x", 2, 1)
    assert root.value_source("b") == Source("x", 3, 3)
    assert root["b"].value_source(1) == Source("x", 4, 5)
    assert root["b"][1].key_source("e") == Source("x", 4, 14)
    assert root["b"][1].value_source("c") == Source("x", 4, 9)


def test_several_documents_are_several_values_and_empty_ones_are_none():
    """A trailing `---` is no document."""
    values, findings = read("---\na: 1\n---\n---\n# only this\n---\nb: 2\n---\n")

    assert values == [{"a": 1}, {"b": 2}]
    assert findings == []


MARK = "\ufeff"


@pytest.mark.parametrize(
    "joined",
    [
        f"{MARK}a: 1\n---\n{MARK}b: 2\n",
        f"a: 1\n{MARK}---\nb: 2\n",
        f"a: 1\r\n---\r\n# the second file\r\n\r\n{MARK}b: 2\r\n",
        f"a: 1\n...\n{MARK}---\nb: 2\n",
        f"a: 1\n--- # second\n{MARK}# comment\nb: 2\n",
    ],
)
def test_a_byte_order_mark_is_skipped_at_the_start_of_every_document(joined):
    """YAML 1.2 allows it there; files joined with `cat` contain it."""
    values, findings = read(joined)

    assert [{"a": 1}, {"b": 2}] == values
    assert findings == []
    assert ["U+FEFF" in finding.message for finding in read(f"a: 1\n{MARK}b: 2\n")[1]] == [True]
    assert only(f"a: 1\n{MARK}b: 2\n")[:3] == ("R012", 2, 1)
    assert read(f'a: "{MARK}x"\n')[0] == [{"a": f"{MARK}x"}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_byte_order_marks_and_line_ends_of_any_system_are_accepted(mark, end):
    """And do not move places."""
    (root,), findings = read(mark + f"a: 1{end}b: 2{end}".encode())

    assert root == {"a": 1, "b": 2}
    assert root.key_source("b") == Source("x", 2, 1)
    assert findings == []


def test_text_keeps_what_yaml_keeps():
    """Block scalars, escapes, characters beyond the first plane."""
    (root,), _ = read('a: |\n  x\n   y\nb: >-\n  one\n  two\nc: "\\u00e9\\U0001F600"\nd: 😀\n')

    assert root == {"a": "x\n y\n", "b": "one two", "c": "é😀", "d": "😀"}


def test_keys_are_text_however_they_look():
    """JSON has no other keys: `true:` of a payload is "true"."""
    (root,), _ = read("true: 1\n1: 2\n010: 3\nno: 4\n~: 5\n1.50: 6\n")

    assert list(root) == ["true", "1", "010", "no", "~", "1.50"]


WRONG = {
    "duplicate key": ("a: 1\nb: 2\na: 3\n", "R002", 3, 1, 'the key "a" is written twice'),
    "duplicate of another spelling": ('1: a\n"1": b\n', "R002", 2, 1, 'the key "1" is written twice'),
    "tab": ("a:\n\tb: 1\n", "R001", 2, 1, "a tab indents this line"),
    "tab between brackets": ("a: {b: 1,\n \tc: 2}\n", "R001", 2, 3, "a tab indents this line"),
    "tab after carriage return": ("a: [1,\r\t2]\r", "R001", 2, 2, "a tab indents this line"),
    "open quote": ('a: "b\nc: d\n', "R001", 1, 4, "not YAML: found unexpected end of stream"),
    "colon in text": ("a: b: c\n", "R001", 1, 5, "not YAML: mapping values are not allowed in this context"),
    "unclosed bracket": ("a: [1, 2\nb: 3\n", "R001", 2, 2, "not YAML: did not find expected ',' or ']'"),
    "bracket in a comment": ('a: {b: "x # y", c: Tell #z}\nd: 1\n', "R001", 1, 25, "the comment that begins here hides a `}`"),
    "quoted bracket": ('a: ["x #]"\nb: 3\n', "R001", 2, 1, "not YAML: did not find expected ',' or ']'"),
    "bracket in a comment at the end": ("a: [b #c]\n", "R001", 1, 7, "the comment that begins here hides a `]`"),
    "no key": ("a: 1\n?\n: b\n", "R001", 2, 2, "a key is missing before `:`"),
    "unknown anchor": ("a: *b\n", "R001", 1, 4, "no anchor `&b` above"),
    "NUL": ("a: b\0c\n", "R012", 1, 5, "control character U+0000 in the text"),
    "control character": ("a: 1\nb: \x1b[0m\n", "R012", 2, 4, "control character U+001B in the text"),
    "line separator": ("a: b\u2028c\n", "R012", 1, 5, "control character U+2028 in the text"),
    "zero-width key": ("a\u200bb: 1\n", "R012", 1, 1, "the key 'a\\u200bb' has the character U+200B, which cannot be seen"),
    "bidi key": ('"a\\u202eb": 1\n', "R012", 1, 1, "the key 'a\\u202eb' has the character U+202E, which cannot be seen"),
    "escaped control in key": ('"a\\u0007": 1\n', "R012", 1, 1, "the key 'a\\x07' has the character U+0007, which cannot be seen"),
    "tag": ("a: !!binary eA==\n", "R011", 1, 4, "the tag !!binary is not allowed"),
    "python tag": ("a: !!python/object/apply:os.system [id]\n", "R011", 1, 4, "the tag !!python/object/apply:os.system is not allowed"),
    "unknown tag": ("!x {a: 1}\n", "R011", 1, 1, "the tag !x is not allowed"),
    "bare tag": ("a: ! 1\n", "R011", 1, 4, "the tag ! is not allowed"),
    "tag on a key": ("!!str a: 1\n", "R011", 1, 1, "the tag !!str is not allowed"),
    "tag directive": ("%TAG !a! b\n---\na: 1\n", "R011", 1, 1, "%TAG directives are not allowed"),
    "merge key": ("a: &a {b: 1}\nc:\n  <<: *a\n", "R011", 3, 3, "merge keys (`<<`) are not allowed"),
    "key that is a list": ("[a]: 1\n", "R011", 1, 1, "a key has to be text"),
    "key that is a mapping": ("? {a: b}\n: 1\n", "R011", 1, 3, "a key has to be text"),
    "key that is an alias": ("a: &x b\n*x : 1\n", "R011", 2, 1, "a key has to be text"),
    "cycle": ("a: &x [*x]\n", "R009", 1, 8, "`*x` contains itself"),
    "infinity": ("a: .inf\n", "R005", 1, 4, ".inf is not a number that can be sent"),
    "surrogate escape": ('a: "\\ud800"\n', "R001", 1, 7, "not YAML: found invalid Unicode character escape code"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "code", "line", "column", "message"), WRONG.values(), ids=WRONG
)
def test_what_is_wrong_is_said_at_its_place(content, code, line, column, message):
    """One finding, its code, its line and column."""
    assert only(content) == (code, line, column, message)


BYTES = {
    "latin-1": (b"a: caf\xe9\n", "R001", 1, 7, "byte 0xe9 is not UTF-8"),
    "lone surrogate": (b"a: \xed\xa0\x80\n", "R001", 1, 4, "byte 0xed is not UTF-8"),
    "utf-16": ("a: 1\n".encode("utf-16"), "R001", 1, 1, "the file is UTF-16 or UTF-32"),
    "utf-32": ("a: 1\n".encode("utf-32"), "R001", 1, 1, "the file is UTF-16 or UTF-32"),
}


@pytest.mark.parametrize(
    ("content", "code", "line", "column", "message"), BYTES.values(), ids=BYTES
)
def test_only_utf_8_is_read(content, code, line, column, message):
    """And the byte that is not is named."""
    assert only(content) == (code, line, column, message)


def test_both_lines_of_a_duplicate_are_named():
    """The first one wins while looking for more errors."""
    (root,), (finding,) = read("a: 1\n\n'a': 2\n")

    assert root == {"a": 1}
    assert finding.why == "it is on line 1 (column 1) already"


def test_a_tab_inside_text_is_text():
    """In a block scalar, in quotes, and between a key and its value."""
    (root,), findings = read('a: |\n  x\n  \ty\nb: "q\n\tr"\nc:\td\n')

    assert root == {"a": "x\n\ty\n", "b": "q r", "c": "d"}
    assert findings == []


def test_text_that_turns_the_direction_of_writing_is_a_warning():
    """In a value it may be meant; it never passes unseen."""
    (root,), (finding,) = read("a: x\u202ey\n")

    assert root == {"a": "x\u202ey"}
    assert (finding.code, finding.severity.value) == ("R012", "warning")


def test_anchors_and_aliases_repeat_a_value():
    """Within one document."""
    (root, other), findings = read("a: &x [1, {b: 2}]\nc: *x\n---\nd: &x 1\ne: *x\n")

    assert root == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}
    assert other == {"d": 1, "e": 1}
    assert findings == []


def test_a_merge_key_is_refused_also_where_the_same_text_was_a_key_before():
    """Quoted it is text like any other."""
    values, findings = read("'<<': 1\n---\na: &a {b: 1}\nc: {<<: *a}\n")

    assert values[0] == {"<<": 1}
    assert [(finding.code, finding.source.line) for finding in findings] == [("R011", 4)]


def test_an_anchor_ends_with_its_document():
    """As YAML has it."""
    assert only("a: &x 1\n---\nb: *x\n")[:2] == ("R001", 3)


def test_all_errors_of_a_file_are_found_in_one_reading():
    """As long as it can be followed."""
    _, findings = read("a: 1\na: 2\nb: !x 3\nc: .nan\nd: {e: 1, e: 2}\n")

    assert [finding.code for finding in findings] == ["R002", "R011", "R005", "R002"]


def test_a_flood_of_errors_ends():
    """A hundred of one file are enough."""
    _, findings = read("a: 1\n" * 1000)

    assert len(findings) == text.MAX_FINDINGS + 2
    assert findings[-1].code == "R009"


def test_limits_are_as_large_as_said():
    """64 levels, 100 aliases: no more, no less."""
    assert read("[" * 64 + "]" * 64)[1] == []
    assert only("[" * 65 + "]" * 65)[3] == "nested deeper than 64 levels"
    assert read("- &a 1\n" + "- *a\n" * 100)[1] == []
    assert only("- &a 1\n" + "- *a\n" * 101)[3] == "more than 100 aliases"


def test_aliases_cannot_go_round_the_limit_of_depth():
    """Forty levels inside forty are eighty."""
    deep = "- &a " + "[" * 40 + "]" * 40 + "\n- " + "[" * 40 + "*a" + "]" * 40 + "\n"

    assert only(deep)[3] == "aliases make it nested deeper than 64 levels"


def test_a_file_over_8_mib_is_refused_unread():
    """To the byte."""
    assert (
        only(b"#" * (text.MAX_BYTES + 1))[3] == "the file has 8,388,609 bytes, more than 8,388,608"
    )
    assert read(b"#" * text.MAX_BYTES) == ([], [])


def test_hostile_text_ends_soon_and_small_and_never_by_a_signal():
    """Under 2 s of CPU and 256 MiB: the machine may be busy; in the gate a quarter of each text."""
    costs = hostile.measure("texts", share=effort(4, 1))

    assert len(costs) == len(hostile.TEXTS)
    for name, (status, mebibytes, seconds) in costs.items():
        assert status == 0, name
        assert mebibytes < effort(64, 256), name
        assert seconds < 2, name
