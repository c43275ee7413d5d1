"""The list of statements: complete in itself, and each statement can fail."""

import re
from pathlib import Path

import pytest

from reconciler.conformance.judgement import CheckResult
from reconciler.conformance.run import PROBES
from reconciler.conformance.statement import ApiGeneration
from reconciler.conformance.statements import STATEMENTS
from reconciler.sandbox.server.server import background
from tests.effort import effort
from tests.scratch_world import SEED, altering

PAGE = Path(__file__).parents[3] / "docs" / "posthog-api.md"


def test_each_statement_has_an_id_of_its_own():
    """Reports of different days can be compared."""
    ids = [statement.id for statement in STATEMENTS]

    assert len(ids) == len(set(ids)) > 200
    assert {statement.probe for statement in STATEMENTS} <= PROBES.keys()


def test_each_statement_names_a_section_of_the_contract():
    """Where the sentence can be read in its context."""
    page = PAGE.read_text(encoding="utf-8")
    sections = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)", page, re.MULTILINE))
    sections |= {f"0.{number}" for number in re.findall(r"^(\d+)\. ", page, re.MULTILINE)}

    assert {statement.section for statement in STATEMENTS} - sections == set()


def differences(report):
    return [row.statement.id for row in report.judged if row.result is CheckResult.DIFFERS]


@pytest.fixture(scope="module", params=["g3", "g2", "g1", "docs"])
def generation(request):
    """A sandbox of a profile behind a server that can alter one answer."""
    with (
        background(seed=SEED, profile=request.param) as sandbox,
        altering(sandbox.url) as run_altered,
    ):
        yield ApiGeneration(request.param), run_altered


def test_one_altered_answer_is_exactly_one_difference(generation):
    """The answers to all other calls are judged as before, and everything is removed."""
    profile, run_altered = generation
    checked = [statement for statement in STATEMENTS if profile in statement.expected]
    every = effort(200, 1, hunt=10)
    first = list(ApiGeneration).index(profile) * every // len(ApiGeneration)
    chosen = checked[first::every]
    found = {}
    for statement in chosen:
        report = run_altered(statement)
        found[statement.id] = (differences(report), report.generation, report.left_behind)

    assert found == {statement.id: ([statement.id], profile, ()) for statement in chosen}
