"""The sandbox says what the contract says: every statement, in every profile."""

import functools

import pytest

from reconciler.conformance.judgement import CheckResult
from reconciler.conformance.statement import ApiGeneration
from reconciler.conformance.statements import STATEMENTS
from reconciler.sandbox.server.server import background
from reconciler.sandbox.store.generation import PROFILES
from tests.scratch_world import SEED, run_probes


@functools.cache
def report_of(profile):
    """One run of all probes against a sandbox of the profile."""
    with background(seed=SEED, profile=profile) as sandbox:
        return run_probes(sandbox.url)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_sandbox_does_what_the_contract_says(profile):
    """Each statement about a generation holds in its profile."""
    judged = {row.statement.id: row for row in report_of(profile).judged}
    wanted = [
        judged[statement.id]
        for statement in STATEMENTS
        if ApiGeneration(profile) in statement.expected
    ]

    assert len(wanted) > 200
    assert [
        (row.statement.id, row.reason, row.expected, row.seen)
        for row in wanted
        if row.result is not CheckResult.HOLDS
    ] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_the_generation_of_a_profile_is_recognized(profile):
    """And nothing of ours is left."""
    report = report_of(profile)

    assert (report.generation, report.left_behind) == (ApiGeneration(profile), ())
