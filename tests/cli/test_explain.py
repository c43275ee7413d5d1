"""`explain` and `schema`: the same text for people and for editors."""

# ruff: noqa: E501  tables read better in one line each

import contextlib
import io
import json

import jsonschema
import pytest

from reconciler import kinds
from reconciler.cli.main import run
from reconciler.config.schema import validator as schema_validator
from reconciler.kinds import KINDS

DRAFTS = (jsonschema.Draft7Validator, jsonschema.Draft202012Validator)


def said(*arguments, command="explain"):
    """Return what `explain` or `schema` prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert run([command, *arguments]) == 0
    return out.getvalue()


def test_without_an_argument_the_kinds_are_listed():
    """With a sentence about each."""
    lines = [line for line in said().splitlines() if not line.startswith(" ")]

    assert [line.split()[0] for line in lines] == list(KINDS)


def test_a_field_is_told_in_full():
    """Type, default, API field, who may write it, example."""
    text = said("ApprovalPolicy.expires_after")

    for part in (
        "text",
        "default:    14d",
        "API field:  expires_after",
        "admins and owners",
        "36h",
    ):
        assert part in text
    assert "ApprovalPolicy.spec.expires_after" in text


@pytest.mark.parametrize(
    ("what", "path", "api"),
    [
        ("FeatureFlag.filters.groups.rollout_percentage", "spec.filters.groups[].rollout_percentage", "filters.groups.rollout_percentage"),
        ("featureflag.spec.filters.groups[].variant", "spec.filters.groups[].variant", "filters.groups.variant"),
        ("FeatureFlag.filters.groups[0].variant", "spec.filters.groups[].variant", "filters.groups.variant"),
        ("ApprovalPolicy.approvers.quorum", "spec.approvers.quorum", "approver_config.quorum"),
        ("ApprovalPolicy.action", "metadata.action", "action_key"),
        ("Role.metadata.silence.reason", "metadata.silence[].reason", None),
        ("Organization.default_role", "spec.default_role", "default_role_id"),
        ("Organization.name", "spec.name", "name"),
    ],
)  # fmt: skip
def test_a_path_leads_into_lists_and_finds_its_part(what, path, api):
    """`spec` may be left out."""
    told = json.loads(said(what, "--format", "json"))

    assert (told["path"], told["api"]) == (path, api)


def paths(kind):
    """Every field of a kind as one would type it."""
    todo = [kind]
    while todo:
        path = todo.pop()
        yield path
        todo += [f"{kind}.{one}" for one in json.loads(said(path, "--format", "json"))["fields"]]


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_every_kind_can_be_explained(kind):
    """As text and as JSON, and says what it means."""
    found = list(paths(kind))

    assert len(found) > 8
    for path in found:
        assert json.loads(said(path, "--format", "json"))["description"]
        text = said(path)
        if path != kind:
            for part in ("  type: ", "  default: ", "  API field: ", "  written by: "):
                assert part in text, path


@pytest.mark.parametrize(
    ("what", "fix"),
    [
        ("Rolle", 'did you mean "Role"?'),
        ("Flag", 'did you mean "FeatureFlag"?'),
        ("FeatureFlag.actve", 'did you mean "active"?'),
        ("ApprovalPolicy.approver_config", 'did you mean "approvers"?'),
        ("FeatureFlag.filters.groups.rollout", 'did you mean "rollout_percentage"?'),
        ("FeatureFlag.rollout_percentage", "it is FeatureFlag.filters.groups.rollout_percentage"),
        ("FeatureFlag.active.x", "see: reconciler explain FeatureFlag.spec.active"),
        ("Member.zzz", "one of level"),
        ("FeatureFlag..", "one of"),
        ("", "one of Organization"),
    ],
)
def test_an_unknown_field_is_an_error_that_names_the_nearest_one(capsys, what, fix):
    """Exit 1."""
    assert run(["explain", what]) == 1
    assert fix in capsys.readouterr().err


def test_the_example_of_a_kind_is_yaml_that_validates(capsys, tmp_path, monkeypatch):
    """One can copy it."""
    monkeypatch.chdir(tmp_path)
    for kind in KINDS:
        text = said(kind).split("  example:\n")[1]
        lines = [line.removeprefix("    ") for line in text.splitlines()]
        (tmp_path / f"{kind}.yaml").write_text("\n".join(lines))

    assert run(["validate"]) == 0, capsys.readouterr().err


def test_the_schema_of_everything_is_complete_in_itself():
    """Every `$ref` leads to a definition inside; both drafts agree that it is a schema."""
    whole = json.loads(said(command="schema"))
    text = json.dumps(whole)

    assert whole == schema_validator.build_union_schema()
    assert set(whole["definitions"]) == set(kinds.KINDS) == set(KINDS)
    assert text.count('"$ref"') == len(whole["oneOf"]) == len(KINDS)
    assert text.count('"$schema"') == 1
    for draft in DRAFTS:
        draft.check_schema({key: value for key, value in whole.items() if key != "$schema"})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("draft", DRAFTS, ids=lambda draft: draft.__name__)
def test_the_schema_of_everything_accepts_what_that_of_the_kind_accepts(kind, draft):
    """And refuses the same."""
    validator = draft(schema_validator.build_union_schema())
    for example in schema_validator.load_schema(kind)["examples"]:
        assert validator.is_valid(example)
        assert not validator.is_valid({**example, "kind": "Other"})
        assert not validator.is_valid({**example, "nothing": 1})
        assert not validator.is_valid({**example, "metadata": {"nothing": 1}})


def test_the_schema_of_one_kind_is_printed_as_before():
    """For a folder that holds nothing else."""
    printed = json.loads(said("Role", command="schema"))

    assert printed == schema_validator.load_schema("Role")


def test_the_schema_of_the_settings_is_there_for_editors_too():
    """And a kind may be typed in any case."""
    printed = {}
    for name in ("reconciler.yaml", "featureflag"):
        printed[name] = json.loads(said(name, command="schema"))["title"]

    assert printed == {"reconciler.yaml": "reconciler.yaml", "featureflag": "Feature flag"}
