"""The schemas themselves: complete, described, and in both drafts the same."""

import json
from pathlib import Path

import jsonschema
import jsonschema_rs
import pytest

from reconciler.config import targets
from reconciler.config.schema import validator as schema_validator
from reconciler.kinds import KINDS

ROOT = Path(__file__).parents[4]
DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema"
NAMES = [*KINDS, "reconciler"]


def fields(node, path=()):
    """Every described field of a schema with its path."""
    for name, child in node.get("properties", {}).items():
        yield (*path, name), child
        yield from fields(child, (*path, name))
    for word in ("items", "additionalProperties"):
        if isinstance(node.get(word), dict):
            yield from fields(node[word], path)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_in_draft_7_and_in_2020_12(name):
    """Editors know the first; both mean the same."""
    loaded = schema_validator.load_schema(name)

    assert loaded["$schema"] == "http://json-schema.org/draft-07/schema#"
    jsonschema.Draft7Validator.check_schema(loaded)
    jsonschema.Draft202012Validator.check_schema(
        {**loaded, "$schema": ""} | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    )
    if name != "reconciler":  # `defaults` are a target; the schema of everything has no settings
        assert "definitions" not in loaded
        assert '"$ref"' not in schema_validator.read_text(name)
    for word in ("dependencies", "unevaluatedProperties", "additionalItems"):
        assert f'"{word}"' not in schema_validator.read_text(name)


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_accepted_by_every_validator(name):
    """Quick and slow, old and new draft."""
    loaded = schema_validator.load_schema(name)

    assert loaded["examples"]
    for example in loaded["examples"]:
        assert schema_validator.accepts(name, example)
        assert jsonschema.Draft7Validator(loaded).is_valid(example)
        assert jsonschema.Draft202012Validator(loaded).is_valid(example)
        assert jsonschema_rs.Draft202012Validator(loaded).is_valid(example)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_described(name):
    """`explain` has something to say, in a sentence."""
    for path, about in fields(schema_validator.load_schema(name)):
        assert about["description"].endswith("."), path
        assert about.keys() & {"type", "const", "not", "examples"}, path


@pytest.mark.parametrize("name", KINDS)
def test_every_spec_field_has_an_example_that_its_schema_accepts(name):
    """And its default, where it has one."""
    for path, about in fields(schema_validator.load_schema(name)):
        if path[0] != "spec" or path == ("spec",) or "not" in about:
            continue
        validator = jsonschema.Draft7Validator(about)

        assert about["examples"], path
        assert all(validator.is_valid(example) for example in about["examples"]), path
        assert validator.is_valid(about.get("default", about["examples"][0])), path


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_defaults_are_those_of_the_kind(kind):
    """Said once in the schema for people, once in the kind for the planner: the same."""
    spec = schema_validator.find_schema(kind.name, "spec")["properties"]
    described = {name: about["default"] for name, about in spec.items() if "default" in about}

    assert kind.defaults.items() <= described.items()
    assert (
        kind.protected
        is schema_validator.find_schema(kind.name, "metadata", "lifecycle", "prevent_destroy")[
            "default"
        ]
    )


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_spec_fields_name_the_field_of_the_api(kind):
    """Top-level ones, so that a mistaken API name gets its suggestion."""
    for name, about in schema_validator.find_schema(kind.name, "spec")["properties"].items():
        assert about["x-api"], name
        assert "(API: " in about["description"], name


def test_every_kind_has_a_schema_and_the_key_field_in_its_metadata():
    """By its name in snake case."""
    for kind in KINDS.values():
        assert (ROOT / "schemas" / schema_validator.build_file_name(kind.name)).is_file()
        assert schema_validator.find_schema(kind.name, "metadata", kind.key)["type"] == "string"


def test_a_part_of_a_schema_is_found_by_its_path():
    """Through lists as well; None where there is nothing."""
    assert schema_validator.find_schema("FeatureFlag", "spec", "filters", "groups", "variant")[
        "type"
    ] == [
        "string",
        "null",
    ]
    assert schema_validator.find_schema("FeatureFlag", "spec", "nope") is None
    assert schema_validator.find_schema("FeatureFlag", "spec", "name", "deeper") is None
    assert {
        ("spec", "filters", "multivariate", "variants"): "key",
        ("metadata", "silence"): "check",
    } == schema_validator.find_natural_keys("FeatureFlag")


def test_defaults_of_the_settings_are_those_of_the_code():
    """The schema describes what targets.Target does."""
    target = schema_validator.load_schema("reconciler")["definitions"]["target"]["properties"]
    limits, rate = targets.Guardrails(), targets.RequestLimits()
    described = target["guardrails"]["properties"].items()
    defaults = {name: about["default"] for name, about in described}

    assert {
        "max_deletes": limits.max_deletes,
        "max_delete_percent": limits.max_delete_percent,
        "allow_weakening": limits.allow_weakening,
    } == defaults
    assert rate.per_minute == target["rate_limit"]["properties"]["per_minute"]["default"]
    assert rate.per_hour == target["rate_limit"]["properties"]["per_hour"]["default"]
    assert targets.Target("x").unmanaged == target["unmanaged"]["default"]


def test_schemas_are_written_in_one_form():
    """Two spaces, one line end: diffs stay small."""
    for name in NAMES:
        text = schema_validator.read_text(name)
        assert json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n" == text
