"""The document of a fleet: as the interface says, as its schema says, and back without a loss."""

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ConfigError
from reconciler.model import worst_exit_code
from reconciler.planfile import fleet, outcomes, results
from tests.unit.planfile.test_codec import closed
from tests.unit.render import fleet_samples, samples

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "fleet.schema.json").read_text())
KEY = "phx_" + "aB3" * 12


@pytest.mark.parametrize("mode", fleet_samples.ALL)
def test_the_document_matches_its_schema_and_is_read_back(mode):
    """Every key is described, and nothing is lost."""
    report = fleet_samples.ALL[mode].report
    document = json.loads(fleet.dump_fleet(report))
    described = closed(SCHEMA)
    described["$defs"]["target"]["properties"]["summary"].pop("additionalProperties", None)

    for validator in (jsonschema.Draft7Validator, jsonschema.Draft202012Validator):
        assert list(validator(described).iter_errors(document)) == []
    assert fleet.encode_fleet(fleet.decode_fleet(document)) == document
    assert fleet.decode_fleet(document).targets == report.targets


def test_the_keys_of_the_interface():
    """Section 9, key by key; `waiting` and `shard` are more."""
    document = fleet.encode_fleet(fleet_samples.PLANS.report)

    assert list(document) == [
        "format_version",
        "mode",
        "commit",
        "targets",
        "causes",
        "waiting",
        "exit_code",
        "shard",
    ]
    assert set(document["targets"][0]["requests"]) == {"reads", "writes"}
    assert "shard" not in fleet.encode_fleet(fleet_samples.DRIFTS.report)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format_version",), 2),
        (("mode",), "pull"),
        (("targets",), None),
        (("targets", 0, "target"), "a/b"),
        (("targets", 0, "target"), ".."),
        (("targets", 0, "exit_code"), "0"),
        (("targets", 0, "seconds"), -1),
        (("targets", 0, "requests"), None),
        (("waiting", 0, "address"), "nothing"),
        (("shard", "index"), "1"),
        (("shard", "fleet"), ["a b"]),
    ],
)
def test_a_document_with_another_value_is_refused(path, value):
    """At the place where it is wrong."""
    document = fleet.encode_fleet(fleet_samples.PLANS.report)
    place = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value

    with pytest.raises(ConfigError):
        fleet.decode_fleet(document)


def test_what_looks_like_a_key_is_masked():
    """Wherever it stands."""
    assert KEY not in fleet.dump_fleet(fleet_samples.saying(KEY).report)


def test_outcomes_are_read_back():
    """As far as renderers show them; the ID of the object is not part of the document."""
    document = json.loads(results.dump_outcomes(samples.OUTCOMES, samples.EVERYTHING))
    again = results.encode_outcomes(outcomes.read_outcomes(document), samples.EVERYTHING)

    assert again == document


@pytest.mark.parametrize(
    ("codes", "worst"),
    [
        ((), 0),
        ((None, None), 0),
        ((0, 2), 2),
        ((2, 3), 3),
        ((3, 4), 4),
        ((4, 1), 1),
        ((None, 3, 0), 3),
        ((1, 130), 130),
        ((0, 137), 1),
        ((4, 64), 1),
    ],
)
def test_the_worst_exit_code(codes, worst):
    """1, then 4, 3, 2, 0; 130 for an interruption; a code that nobody promises is an error."""
    assert worst_exit_code(codes) == worst


@given(st.lists(st.sampled_from([None, 0, 1, 2, 3, 4, 130, 137]), max_size=6), st.data())
def test_the_worst_exit_code_of_parts_is_that_of_the_whole(codes, data):
    """Shards can be merged in any grouping."""
    cut = data.draw(st.integers(0, len(codes)))
    parts = [worst_exit_code(codes[:cut]), worst_exit_code(codes[cut:])]

    assert worst_exit_code(parts) == worst_exit_code(codes)
