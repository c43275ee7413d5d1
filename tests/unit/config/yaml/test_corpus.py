"""Texts that once went wrong, or could, go through the whole loader; a few mutants of each, too."""

import pytest

from tests.unit.config import fuzzing


@pytest.mark.parametrize("path", sorted(fuzzing.CORPUS.iterdir()), ids=lambda path: path.stem)
def test_every_finding_of_the_fuzzer_stays_mended(path):
    """In whatever it was found: the answer is a list of findings."""
    fuzzing.check(path.read_bytes())


@pytest.mark.parametrize("seed", range(4))
def test_mutants_of_the_corpus_are_findings_and_nothing_worse(seed):
    """A thousand in all here; `make soak` runs two hundred times as many."""
    for data in fuzzing.mutants(seed, 250):
        fuzzing.check(data)


def test_mutants_over_mutants_and_as_settings_are_findings_too():
    """An overlay meets documents of every shape; `reconciler.yaml` may be anything."""
    below = list(fuzzing.mutants(90, 150))
    for data, other in zip(below, [*below[1:], below[0]], strict=True):
        fuzzing.check_layers(data, data)
        fuzzing.check_layers(data, other)


def test_the_same_seed_gives_the_same_mutants():
    """So that what is found can be found again."""
    assert list(fuzzing.mutants(7, 50)) == list(fuzzing.mutants(7, 50))
