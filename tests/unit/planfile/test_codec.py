"""The plan as a document: as the interface says, as its schema says, and back without a loss."""

import copy
import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import render
from reconciler.errors import ConfigError
from reconciler.model import (
    ABSENT,
    Action,
    Cause,
    Change,
    FieldChange,
    Outcome,
    Plan,
    Result,
    Verdict,
)
from reconciler.planfile import codec
from reconciler.planfile import results as planfile_results
from tests.unit.render import samples
from tests.unit.render.strategies import NASTY, plans

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "plan.schema.json").read_text())
KEY = "phx_" + "aB3" * 12
SAMPLES = [samples.EVERYTHING, samples.SMALL, samples.NOTHING, samples.DRIFTED, samples.TOLD]


def closed(node):
    """The schema as a list of every key there is: what it does not describe is an error."""
    if isinstance(node, dict):
        found = {name: closed(value) for name, value in node.items()}
        if "properties" in node:
            found.setdefault("additionalProperties", False)
        return found
    return [closed(value) for value in node] if isinstance(node, list) else node


VALIDATORS = [jsonschema.Draft7Validator, jsonschema.Draft202012Validator]


def errors(document):
    for validator in VALIDATORS:
        yield from validator(closed(SCHEMA)).iter_errors(document)


def test_the_document_of_the_interface():
    """Section 6, key by key."""
    document = codec.encode_plan(samples.SMALL, tool_version="0.1.0")

    assert list(document) == [
        "format_version",
        "tool_version",
        "created_at",
        "target",
        "base",
        "desired_digest",
        "summary",
        "changes",
        "unmanaged",
        "released",
        "findings",
        "requests",
        "change_requests",
        "basis",
        "digest",
    ]
    assert document["format_version"] == 2
    assert document["tool_version"] == "0.1.0"
    assert document["target"] == {"name": "default", "host": "http://127.0.0.1:8000"}
    assert document["base"] is None
    assert document["summary"] == {
        "create": 0,
        "update": 1,
        "delete": 0,
        "none": 2,
        "gated": 1,
        "drift": 1,
        "conflict": 1,
        "unmanaged": 0,
    }
    (row,) = document["changes"]
    assert row["address"] == "FeatureFlag/acme/Web/new-checkout"
    assert row["kind"] == "FeatureFlag"
    assert row["source"] == {"file": "config/flags.yaml", "line": 31}
    assert row["fields"][0] == {
        "path": "filters.groups[0].rollout_percentage",
        "base": 10,
        "live": 10,
        "desired": 50,
        "cause": "intent",
    }
    assert row["gate"] == {
        "verdict": "approval",
        "confidence": "certain",
        "policy": "ApprovalPolicy/acme/Web/feature_flag.update",
        "condition": "rollout_percentage changes by more than 20 (10 -> 50)",
        "quorum": 2,
        "approvers": {
            "users": ["alice@acme.test"],
            "roles": {"Release managers": ["alice@acme.test", "bob@acme.test"]},
        },
        "expires_after": "14d",
        "change_request": None,
        "note": "",
        "cannot_approve": {},
        "request_plan": None,
        "bypassed_policies": [],
        "steps": [],
    }


def test_what_is_absent_is_null_in_the_document_and_absent_again_after_it():
    """And a null that is written stays one, although both are null in JSON."""
    fields = (
        FieldChange("a", ABSENT, None),
        FieldChange("b", None, ABSENT, None, Cause.DRIFT),
    )
    plan = Plan((Change(samples.flag("x"), Action.UPDATE, fields),))

    document = codec.encode_plan(plan)
    back = codec.decode_plan(json.loads(json.dumps(document)))

    assert [(row["live"], row["desired"]) for row in document["changes"][0]["fields"]] == [
        (None, None),
        (None, None),
    ]
    assert back.changes[0].fields == fields


def test_the_base_is_told_where_there_is_one():
    document = codec.encode_plan(samples.DRIFTED)

    assert document["base"] == {"ref": "HEAD", "commit": samples.DRIFTED.base_commit}


@pytest.mark.parametrize("plan", SAMPLES)
def test_every_sample_is_as_its_schema_says(plan):
    assert list(errors(codec.encode_plan(plan))) == []


def test_the_schema_reads_the_same_to_old_and_new_tools():
    """The intersection of draft-07 and 2020-12: nothing stands beside a $ref."""

    def lonely(node):
        if isinstance(node, dict):
            assert "$ref" not in node or len(node) == 1, node
            list(map(lonely, node.values()))
        elif isinstance(node, list):
            list(map(lonely, node))

    for validator in VALIDATORS:
        validator.check_schema(SCHEMA)
    lonely(SCHEMA)


@pytest.mark.parametrize("plan", SAMPLES)
@pytest.mark.parametrize("format_", render.FORMATS)
def test_show_draws_what_plan_drew(plan, format_):
    """A saved plan rendered again, in every format, is the same to the letter."""
    back = codec.load_plan(codec.dump_plan(plan))

    for draw in (render.plan, render.drift):
        assert draw(plan, format=format_, verbose=1) == draw(back, format=format_, verbose=1)


@given(plans)
def test_encode_and_decode_are_inverse(plan):
    """For plans of any shape; every document as its schema says, in ASCII, of one line a value."""
    text = codec.dump_plan(plan)
    document = json.loads(text)
    back = codec.load_plan(text)

    assert text.isascii()
    assert list(errors(document)) == []
    assert document == codec.encode_plan(back)
    assert text == codec.dump_plan(back)
    assert render.plan(plan, format="text") == render.plan(back, format="text")


def test_a_plan_keeps_the_version_of_the_program_that_made_it():
    back = codec.load_plan(codec.dump_plan(samples.SMALL, tool_version="0.0.9"))

    assert codec.encode_plan(back)["tool_version"] == "0.0.9"


@pytest.mark.parametrize("format_", render.FORMATS)
def test_nothing_that_looks_like_a_key_comes_out(format_):
    """Wherever a file or a server put it, and however the text around it is cut."""
    for around in ("{}", "a{}b", "x" * 70 + "{}", "x" * 490 + "{}", "\n{}\x1b", "{}" + "y" * 200):
        word = around.format(KEY)
        for draw in (render.plan, render.drift):
            shown = draw(samples.saying(word), format=format_)

            assert re.search(r"ph[csx]_\w{5}", shown) is None
            assert "aB3aB3" not in shown


def test_nothing_that_looks_like_a_key_comes_out_of_an_apply():
    text = planfile_results.dump_outcomes(samples.outcomes_saying(KEY), samples.saying(KEY))

    assert "aB3aB3" not in text


def wrong(document):
    with pytest.raises(ConfigError) as caught:
        codec.decode_plan(document)
    assert caught.value.what
    assert caught.value.fix
    return caught.value.why


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("changes", 0, "action"), "destroy", "changes[0].action should be one of create, update"),
        (("changes", 0, "address"), "Role", "changes[0].address should be an address"),
        (("changes", 0, "fields", 1, "cause"), None, "changes[0].fields[1].cause should be text"),
        (("changes", 0, "gate", "quorum"), True, "changes[0].gate.quorum should be a whole number"),
        (("changes", 0, "gate"), [], "changes[0].gate should be an object, not []"),
        (("changes",), {}, "changes should be a list"),
        (("summary", "none"), -1, "summary.none should be a whole number"),
        (("summary", "none"), 10**30, "summary.none should be a whole number"),
        (("unmanaged",), ["x"], "unmanaged[0] should be an address"),
        (("target",), "here", "target should be an object"),
        (("format_version",), "1", "format_version should be a whole number"),
    ],
)
def test_a_tampered_document_is_refused_by_place(path, value, why):
    document = codec.encode_plan(samples.SMALL)
    node = document
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value

    assert why in wrong(document)


def test_a_resource_that_stands_in_it_twice_is_refused():
    document = codec.encode_plan(samples.SMALL)
    document["changes"] *= 2

    assert "occurs twice" in wrong(document)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nonsense",
        "[]",
        "null",
        "1",
        '"x"',
        "{}",
        "[" * 100_000,
        "NaN",
        "1" * 5000,
        "\ufeff{}",
    ],
)
def test_garbage_is_refused(text):
    with pytest.raises(ConfigError):
        codec.load_plan(text)


def test_a_value_nested_too_deeply_is_refused():
    """Deeper than any file may be: the renderers call themselves."""
    document = codec.encode_plan(samples.SMALL)
    value = 1
    for _ in range(200):
        value = [value]
    document["changes"][0]["fields"][0]["desired"] = value

    assert "too deeply" in wrong(document)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(NASTY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
DOCUMENT = codec.encode_plan(samples.EVERYTHING)


def places(node, path=()):
    yield path
    items = enumerate(node) if isinstance(node, list) else ()
    for step, value in node.items() if isinstance(node, dict) else items:
        yield from places(value, (*path, step))


PLACES = [path for path in places(DOCUMENT) if path]


@given(st.sampled_from(PLACES), JSON)
def test_a_document_with_anything_in_it_is_refused_or_shown(path, value):
    """Never a traceback, whatever stands where."""
    document = copy.deepcopy(DOCUMENT)
    node = document
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value

    try:
        plan = codec.decode_plan(document)
    except ConfigError:
        return
    for format_ in render.FORMATS:
        assert render.plan(plan, format=format_)


@settings(deadline=None)
@given(JSON)
def test_anything_else_is_refused(value):
    assert wrong(value)


# --- what became of it ---


def test_the_document_of_an_apply():
    """Section 7; what needed no change is unchanged, what never began is skipped."""
    document = planfile_results.encode_outcomes(samples.OUTCOMES, samples.EVERYTHING)
    rows = {row["address"].split("/")[-1]: row for row in document["results"]}

    assert document["summary"] == {
        "done": 2,
        "failed": 1,
        "skipped": 4,
        "waiting": 2,
        "unchanged": 40,
        "refused": 1,
        "partly_written": 0,
    }
    assert rows["new-checkout"] == {
        "address": "FeatureFlag/acme/Web/new-checkout",
        "action": "update",
        "outcome": "waiting",
        "change_request": samples.REQUEST,
        "url": f"http://127.0.0.1:8000/project/1/approvals/{samples.REQUEST}",
        "attempts": 1,
        "error": None,
    }
    assert rows["two-gates"]["error"] == {
        "what": "PATCH /api/projects/1/feature_flags/42/: PostHog failed",
        "why": "HTTP 500",
        "state": "unknown: it may or may not have been carried out",
        "fix": "run apply again; it re-reads the live state and continues",
    }
    assert rows["old"]["outcome"] == "skipped"
    assert rows["old"]["error"]["what"] == "not started"
    assert list(rows) == [change.address.name for change in samples.EVERYTHING.writes]


def test_an_error_of_the_plan_is_told_beside_the_results():
    """Else nothing in the document would say why the exit code is 1."""
    document = planfile_results.encode_outcomes(samples.OUTCOMES, samples.EVERYTHING)

    assert [row["code"] for row in document["findings"]] == ["unknown-role"]
    assert "findings" not in planfile_results.encode_outcomes((), samples.SMALL)


@settings(deadline=None)
@given(st.lists(st.sampled_from(Result), max_size=len(samples.EVERYTHING.changes)))
def test_totals_always_add_up(results):
    """However many outcomes came before the run ended, and in whatever order."""
    changes = samples.EVERYTHING.changes[::-1]
    pairs = zip(changes, results, strict=False)
    ended = [
        Outcome(one.address, one.action, Result.UNCHANGED if one.action is Action.NONE else result)
        for one, result in pairs
    ]

    document = planfile_results.encode_outcomes(ended, samples.EVERYTHING)

    assert len(changes) == sum(document["summary"].values())


def test_a_plan_that_came_from_a_file_adds_up_too():
    """Its rows without a change are only counted."""
    back = codec.load_plan(codec.dump_plan(samples.EVERYTHING))

    document = planfile_results.encode_outcomes(samples.OUTCOMES, back)

    assert len(samples.EVERYTHING.changes) == sum(document["summary"].values())


@pytest.mark.parametrize("name", ["plan", "drift"])
def test_a_document_of_version_1_is_read_as_if_it_were_made_today(name):
    """`elsewhere`, `evidence.deed` and `evidence.moved` had other names; gates had fewer fields."""
    old = Path(__file__).parents[2] / "version_1" / f"{name}.json"
    golden = {"plan": "everything.json", "drift": "told.json"}[name]
    new = Path(__file__).parents[1] / "render" / "golden" / golden

    found, expected = (codec.decode_plan(json.loads(path.read_text())) for path in (old, new))
    split = next((each.gate for each in found.changes if each.gate.verdict is Verdict.SPLIT), None)
    changes = [  # version 1 has the steps of a split write in its note
        replace(each, gate=split) if each.gate.steps else each for each in expected.changes
    ]

    assert replace(expected, digest=found.digest, changes=tuple(changes)) == found


@pytest.mark.parametrize("version", [0, 3])
def test_a_document_of_another_version_is_refused_with_the_versions_that_are_read(version):
    document = codec.encode_plan(samples.SMALL) | {"format_version": version}

    assert f"its format_version is {version}, and this program reads 1 to 2" == wrong(document)
