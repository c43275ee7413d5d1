"""For any input: values are those of JSON, and only ConfigError gets out."""

# ruff: noqa: E501  tables read better in one line each

import json
import random
from contextlib import suppress
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.config.documents import build
from reconciler.config.schema import validator
from reconciler.config.yaml import reader
from reconciler.errors import ConfigError
from reconciler.files import excerpts
from reconciler.files.text import split_lines
from reconciler.kinds import KINDS
from reconciler.model import MappingNode, SequenceNode
from reconciler.suggest import count_edits

patient = settings(deadline=timedelta(seconds=2))

printable = st.characters(
    exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\ufffe\uffff"
)
words = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(printable | st.sampled_from("\n\t"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


def read(content):
    """Documents and findings."""
    findings = []
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    return reader.read_documents(data, "x", findings), findings


def plain(value):
    """The same in built-in types, to the exact type."""
    if isinstance(value, dict):
        return {"mapping": [(key, plain(item)) for key, item in value.items()]}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return (type(value).__name__, value)


@patient
@given(values, st.sampled_from([None, 2]))
def test_what_json_says_yaml_reads(value, indent):
    """JSON is YAML: every value comes back, each of its type."""
    (document,), findings = read(json.dumps(value, ensure_ascii=False, indent=indent) + "\n")

    assert plain(value) == plain(document.value)
    assert [finding for finding in findings if finding.severity.value == "error"] == []


@patient
@given(values)
def test_every_place_points_at_what_stands_there(value):
    """Marks of keys and values, checked against the text."""
    text = json.dumps({"root": value}, ensure_ascii=False, indent=1) + "\n"
    (document,), _ = read(text)
    split = split_lines(text)
    todo = [document.value]
    while todo:
        node = todo.pop()
        if isinstance(node, MappingNode):
            for key, item in node.items():
                line, column, value_line, value_column = node.marks[key]
                assert split[line - 1][column - 1 :].startswith(json.dumps(key, ensure_ascii=False))
                assert split[value_line - 1][value_column - 1 :][:1] == _first(item)
                todo.append(item)
        elif isinstance(node, SequenceNode):
            for index, item in enumerate(node):
                place = node.value_source(index)
                assert split[place.line - 1][place.column - 1 :][:1] == _first(item)
                todo.append(item)


def _first(item):
    return json.dumps(item, ensure_ascii=False)[0]


PIECES = [
    "kind", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ",", "'", '"', "|", ">", "&a", "*a", "<<", "!!str",
    "!x", "#", "---", "...", "%YAML 1.2", "%TAG ! x", "?", "\t", "\r", "\0", "\ufeff", "\u2028", "\x85",
    "metadata", "spec", "FeatureFlag", "0", "no", ".nan", "~", "@", "`", "\\u", "\ud800", "é", "\u202e", "a: b\n",
]  # fmt: skip


@settings(patient, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40).map("".join))
def test_any_text_ends_in_documents_or_findings(content):
    """Nothing is raised; a place is inside the file; what fails says so."""
    found, findings = read(content)
    split = split_lines(content.encode("utf-8", "surrogatepass").decode("utf-8-sig", "replace"))

    for finding in findings:
        assert finding.message
        assert 1 <= finding.source.line <= len(split) + 1
        assert excerpts.attach_excerpt(finding, lambda _: split).width >= 1
    for document in found:
        written = build.classify(document, findings)
        if written is not None and build.is_well_formed(written):
            build.build_resource(written, findings)


@patient
@given(st.binary(max_size=200))
def test_any_bytes_end_in_documents_or_findings(content):
    """Encodings included."""
    read(content)


WHOLE = "---\n".join(
    json.dumps(example, indent=1) + "\n"
    for kind in KINDS
    for example in validator.load_schema(kind)["examples"]
)


def test_any_damage_to_a_good_file_ends_in_documents_or_findings(folder):
    """Four hundred damaged copies of one with all kinds."""
    chance = random.Random(7)  # noqa: S311  the same copies every time
    for _ in range(400):
        text = list(WHOLE)
        for _ in range(chance.randint(1, 5)):
            at = chance.randrange(len(text))
            piece = chance.choice(PIECES).encode("utf-8", "ignore").decode()
            text[at : at + chance.choice((0, 1, 5))] = piece
        folder.write({"a.yaml": "".join(text).encode()})
        with suppress(ConfigError):
            folder.load()


@patient
@given(st.text("abc_", max_size=6), st.text("abc_", max_size=6))
def test_distances_are_symmetric_and_zero_for_the_same(one, other):
    """As distances are."""
    assert count_edits(one, other, 9) == count_edits(other, one, 9)
    assert (count_edits(one, other, 9) == 0) is (one == other)
