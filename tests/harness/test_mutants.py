"""The planted bugs fit the code that there is; `make mutants` plants and hunts them all."""

import pytest

from tests.effort import effort
from tests.harness import mutants
from tests.harness.mutants import MUTANTS, ROOT


@pytest.mark.parametrize("one", MUTANTS, ids=lambda one: one.name)
def test_each_spoils_exactly_one_place(one):
    """A line that has changed makes its bug useless: it has to be planted anew."""
    text = (ROOT / "reconciler" / one.file).read_text(encoding="utf-8")

    assert 1 == text.count(one.old)
    compile(text.replace(one.old, one.new), one.file, "exec")


def test_there_are_forty_of_them():
    """Each with a name of its own."""
    assert len({one.name for one in MUTANTS}) == len(MUTANTS) >= 40


def test_all_are_found():
    """In the soak all of them; here two that are found quickest."""
    few = ["a list that two sides moved is a conflict", "a lost answer counts as done"]

    assert 0 == mutants.main(effort(few, []))
