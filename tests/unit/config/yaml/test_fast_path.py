"""The quick reader and the careful one never disagree; what is ordinary is read quickly."""

# ruff: noqa: E501  a table of texts

import random
import time
from pathlib import Path

import pytest
import yaml

from reconciler.config.yaml import fast_path, reader
from reconciler.files import text as files_text
from reconciler.model import Places
from tests.effort import effort
from tests.unit.config import fuzzing, twice

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("seed", range(4))
def test_both_readers_agree_on_what_is_nearly_ordinary(seed):
    """Every scalar form, bracket, indentation and slip: values, types and places."""
    count = effort(300, 1_000)
    read = sum(twice.agree(one.encode()) for one in twice.generated(seed, count))

    assert read > 0.4 * count


@pytest.mark.parametrize("seed", range(2))
def test_both_readers_agree_on_mutants_of_the_corpus(seed):
    """`make soak` runs hundreds of times as many."""
    count = effort(200, 500)
    read = sum(map(twice.agree, fuzzing.mutants(100 + seed, count)))

    assert read > 0.04 * count


@pytest.mark.parametrize(
    "around", ["a: {}\n", "a:\n  - {}\n", "a: [{}]\n", "a: {{b: {}}}\n", "- {}\n", "a: x\n  {}\n"]
)
def test_both_readers_agree_on_every_form_of_scalar(around):
    """As a value, an item, in brackets, as a document's own, and as text that goes on."""
    for one in (*twice.SCALARS, *twice.FLOWS):
        twice.agree(around.format(one).encode())


EXAMPLES = sorted(p for p in (ROOT / "examples").rglob("*.yaml") if p.parent.name != "rules")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_the_examples_are_ordinary(path):
    """Comments, several documents, brackets in brackets; rules are few, and may be denser."""
    assert twice.agree(path.read_bytes())


def test_what_programs_write_is_ordinary():
    """PyYAML breaks long text into lines, sorts keys and does not indent lists."""
    rng = random.Random(1)  # noqa: S311  the same text every time
    words = ["the checkout", "of people", "who pay", "by card"]
    documents = [
        {
            "kind": "FeatureFlag",
            "spec": {
                "name": " ".join(rng.choice(words) for _ in range(40)),
                "tags": ["a", "b"],
                "filters": {"groups": [{"properties": [], "rollout_percentage": n}, {"x": None}]},
            },
        }
        for n in range(20)
    ]

    text = yaml.safe_dump_all(documents)

    assert documents == [one.value for one in fast_path.read_documents(text, Places("x", list))]
    assert twice.agree(text.encode())


def test_a_shape_is_learnt_and_what_does_not_fit_it_is_read_all_the_same():
    """Values that are more than text, keys after a dash, comments, another line."""
    flag = "kind: {}\nspec:\n  tags:\n  - {}\n  - b\n  filters:\n    groups: {}\n"
    odd = [
        flag.format("A", one, "[]") for one in ("a: b", "a:", "x # c", '"q": r', "- a", "{a: b}")
    ]
    odd += ["kind: A\n", flag.format("A", "a", "[]") + "more: 1\n", "# c\n" + flag.format(1, 2, 3)]
    ordinary = [flag.format(f"F{n}", f"t{n}", f"[{{a: {n}}}]") for n in range(60)]

    for number, one in enumerate(odd):
        documents = [*ordinary[:30], one, *ordinary[30:]]
        twice.agree("---\n".join(documents).encode())
        assert fast_path._shapes.known, number


def test_what_is_not_ordinary_is_left_to_the_careful_reader():
    """Anything with a meaning of its own, and everything that is wrong."""
    for odd in ("a: &x 1\n", "a: *x\n", "a: !!str 1\n", "a: |\n  b\n", "%YAML 1.2\n---\na: 1\n"):
        assert fast_path.read_documents(odd, Places("x", list)) is None
    for wrong in ("a: 1\na: 2\n", "a: .inf\n", "a:\n\tb: 1\n", "a: b: c\n", "a: [1\n"):
        assert fast_path.read_documents(wrong, Places("x", list)) is None


def test_the_limits_of_both_readers_are_the_same():
    """So that what is too large is refused by the careful one, with its place."""
    assert fast_path.MAX_OPEN + fast_path.MAX_BRACKETS < files_text.MAX_DEPTH
    for many in ("- a\n" * 500_001, "a: [" + "1," * 500_001 + "1]\n", "---\na: 1\n" * 100_001):
        findings = []
        reader.read_documents(many.encode(), "x", findings)
        assert [one.code for one in findings] == ["R009"]


HOSTILE = ("a: " + "[" * 200_000, "a: {" + "b: c," * 40_000, "a: [" + "x ," * 60_000, "'" * 200_000, "a: " + "'" * 199_999,
    "a" * 200_000, "a: x" + " #" * 99_000, "a: " + "x:" * 99_000, "- " * 99_000, "a: [" + "x " * 99_000, "a: {" + "a " * 99_000)  # fmt: skip


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_lines_do_not_make_the_quick_reader_slow(number):
    """Patterns do not go back: no line of 200,000 characters takes a second."""
    started = time.process_time()
    fast_path.read_documents(HOSTILE[number], Places("x", list))

    assert time.process_time() - started < 1
