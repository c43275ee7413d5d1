"""A case is a row of data; the test is one function."""

from pathlib import Path

import pytest
import yaml

from reconciler.config.yaml import reader
from reconciler.kinds import KINDS
from reconciler.model import Address, Lifecycle, LiveResource, Resource
from reconciler.plan.diff import three_way, values

CASES = [
    case
    for file in sorted((Path(__file__).parent / "cases").glob("*.yaml"))
    for case in yaml.safe_load(file.read_text())
]


def _address(kind):
    return Address(kind, ("acme", "x") if kind == "Role" else ("acme", "Web", "x"))


def _resource(case, side):
    kind = KINDS[case["kind"]]
    if side not in case:
        return None
    life = {**case.get("lifecycle", {})}
    life["ignore"] = tuple(life.get("ignore", ()))
    return Resource(_address(kind.name), kind.canonical(case[side]), lifecycle=Lifecycle(**life))


def _live(case):
    kind = KINDS[case["kind"]]
    if "live" not in case:
        return None
    return LiveResource(_address(kind.name), "1", kind.canonical(case["live"]), case["live"])


@pytest.mark.parametrize("case", CASES, ids=[case["about"] for case in CASES])
def test_the_change_is_as_the_case_says(case):
    """desired, base, live -> action, fields and causes."""
    change = three_way.compare_resource(
        _resource(case, "desired"), _resource(case, "base"), _live(case)
    )

    expect = case["expect"]
    assert expect["action"] == change.action
    if "paths" in expect:
        assert expect["paths"] == sorted(field.path for field in change.fields)
    if "causes" in expect:
        fields = sorted(change.fields, key=lambda field: field.path)
        assert expect["causes"] == [str(field.cause) for field in fields]
    if "fields" in expect or change.action == "none":
        got = [
            {"path": f.path, "live": f.live, "desired": f.desired, "cause": str(f.cause)}
            for f in change.fields
        ]
        assert expect.get("fields", []) == got


@pytest.mark.parametrize("case", CASES, ids=[case["about"] for case in CASES])
def test_what_was_reached_plans_as_nothing(case):
    """Plan, then let the live side be what was wanted: nothing is left to do."""
    desired = _resource(case, "desired")
    if desired.lifecycle.absent:
        assert three_way.compare_resource(desired, None, None).action == "none"
        return
    live = LiveResource(desired.address, "1", {**(_live(case).spec if _live(case) else {})}, {})
    reached = {**live.spec, **desired.spec}

    again = three_way.compare_resource(desired, None, LiveResource(live.address, "1", reached, {}))

    assert again.action == "none"


@pytest.mark.parametrize(("prefer", "action"), [("git", "create"), ("live", "none")])
def test_what_somebody_deleted_is_created_anew_or_stays_gone(prefer, action):
    """The files moved as well, so a person decides: what is live is that it is not there."""
    now, then = ({"name": name, "active": True} for name in ("New", "Old"))
    address = _address("FeatureFlag")
    change = three_way.compare_resource(Resource(address, now), Resource(address, then), None)

    (decided,) = three_way.resolve_conflicts((change,), prefer)

    assert "conflict" in {field.cause for field in change.fields}
    assert action == decided.action
    assert "conflict" not in {field.cause for field in decided.fields}


def test_an_update_names_at_least_one_field():
    """An update that cannot say what changes is a defect of every peer; not here."""
    for case in CASES:
        change = three_way.compare_resource(_resource(case, "desired"), None, _live(case))

        assert change.action != "update" or change.fields


def test_empty_and_absent_are_the_same_but_false_and_zero_are_values():
    """`[]`, `{}` and null say nothing; false and 0 do."""
    for empty in (None, [], {}, ""):
        assert values.is_same(values.select_managed({}, {"a": empty})["a"], empty)
    for value in (False, 0):
        assert not values.is_same(values.select_managed({}, {"a": value})["a"], value)


def test_positions_in_files_are_no_difference():
    """What carries file positions equals what does not, at any depth."""
    (document,) = reader.read_documents(b"{key: plan, type: person, value: [pro]}", "a.yaml", [])
    item = document.value
    there = {"groups": [{"properties": [{**item, "value": ["pro"]}], "rollout_percentage": 1}]}
    mine = {"groups": [{"properties": [item], "rollout_percentage": 2}]}

    found = list(values.find_differences(there, mine, ("filters",)))

    assert [(("filters", "groups", 0, "rollout_percentage"), 1, 2)] == found
