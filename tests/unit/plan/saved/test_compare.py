"""Saved plans against what is live, as data: what holds, is done, has moved, is another plan."""

from dataclasses import replace

import pytest

from reconciler.errors import GuardrailError
from reconciler.kinds import KINDS
from reconciler.model import (
    Action,
    Address,
    Finding,
    Live,
    LiveResource,
    Plan,
    PlanSnapshot,
    Resource,
    Severity,
    Unreadable,
)
from reconciler.plan.diff import three_way
from reconciler.plan.saved import compare, findings, snapshot
from reconciler.planfile import codec

ROLLOUT = {"groups": [{"properties": [], "rollout_percentage": 10}]}
WIDER = {"groups": [{"properties": [], "rollout_percentage": 50}]}
ELSEWHERE = {"groups": [{"properties": [], "rollout_percentage": 33}]}


def address(kind, name="x"):
    parts = {"Role": ("acme", name), "Member": ("acme", name)}
    return Address(kind, parts.get(kind, ("acme", "Web", name)))


def there(kind, spec, id_="1", name="x", **payload):
    spec = KINDS[kind].canonical(spec)
    return LiveResource(address(kind, name), id_, spec, {**spec, **payload})


def live(*objects, **changes):
    resources = {one.address: one for one in objects}
    return Live(resources, {a: (one.id,) for a, one in resources.items()}, {}, {}, **changes)


def wanted(kind, spec):
    return Resource(address(kind), KINDS[kind].canonical(spec))


def saved(resource, before):
    """A plan of one change, as it comes back from a file."""
    change = three_way.compare_resource(resource, None, before)
    basis = replace(
        PlanSnapshot(), before=(snapshot.observe_object(before),) if before is not None else ()
    )
    made = Plan((change,), created_at="2026-01-05T09:00:00Z", basis=basis)
    return codec.load_plan(codec.dump_plan(made))


def held(resource, before, now, **more):
    """What becomes of the plan when its object is `now`."""
    plan = saved(resource, before)
    fresh = three_way.compare_resource(resource, None, now)
    return compare.compare_plan(
        plan, compare.PresentState([fresh], live(*([now] if now else []), **more))
    )


def test_what_has_not_moved_is_still_to_be_done():
    before = there("FeatureFlag", {"filters": ROLLOUT})

    parts = held(wanted("FeatureFlag", {"filters": WIDER}), before, before)

    assert [Action.UPDATE] == [one.action for one in parts.todo]
    assert parts.todo[0].desired is not None


CASES = [
    ("as it was", {}, {}, "todo"),
    ("as wanted", {"filters": WIDER, "name": "n"}, {}, "done"),
    ("half as wanted", {"filters": WIDER}, {}, "todo"),
    ("elsewhere", {"filters": ELSEWHERE}, {}, "changed"),
    ("half as wanted, half elsewhere", {"filters": WIDER, "name": "z"}, {}, "changed"),
    ("moved where no file looks", {"tags": ["a"]}, {}, "changed"),
    ("as wanted, and moved beside", {"filters": WIDER, "name": "n", "tags": ["a"]}, {}, "done"),
    ("another name", {}, {"name": "y"}, "changed"),
    ("another id", {}, {"id_": "2"}, "changed"),
    ("what the server adds", {"filters": {**ROLLOUT, "holdout": None}}, {}, "changed"),
]  # fmt: skip


@pytest.mark.parametrize(("about", "spec", "more", "what"), CASES, ids=[c[0] for c in CASES])
def test_an_update_and_what_its_object_is_by_now(about, spec, more, what):
    """Each field is as it was, or as wanted, or the object has moved."""
    before = {"filters": ROLLOUT, "name": "m", "tags": []}
    now = there("FeatureFlag", {**before, **spec}, **more)
    resource = wanted("FeatureFlag", {"filters": WIDER, "name": "n"})

    parts = held(resource, there("FeatureFlag", before), now)

    counted = {"todo": len(parts.todo), "done": len(parts.done), "changed": len(parts.changed)}
    assert {"todo": 0, "done": 0, "changed": 0, what: 1} == counted, about


@pytest.mark.parametrize(
    ("now", "what"),
    [
        (["a"], "todo"),  # as it was
        (["a", "c"], "todo"),  # c came, a has not gone yet
        ([], "todo"),  # a has gone, the others have not come yet
        (["b", "c"], "done"),
        (["a", "z"], "changed"),  # somebody else came
    ],
)
def test_members_come_and_go_one_by_one(now, what):
    """An apply that was cut off in between is gone on with."""
    resource = wanted("Role", {"members": ["b", "c"]})

    parts = held(resource, there("Role", {"members": ["a"]}), there("Role", {"members": now}))

    assert getattr(parts, what)


@pytest.mark.parametrize(
    ("kind", "spec", "now", "what"),
    [
        ("FeatureFlag", {"filters": ROLLOUT, "active": True}, None, "todo"),
        ("FeatureFlag", {"filters": ROLLOUT, "active": True}, {}, "done"),
        ("FeatureFlag", {"filters": ROLLOUT, "active": True}, {"active": False}, "todo"),
        ("FeatureFlag", {"filters": ROLLOUT, "active": False}, {"active": True}, "changed"),
        ("FeatureFlag", {"filters": ROLLOUT, "active": True}, {"filters": WIDER}, "changed"),
        ("Role", {"members": ["a", "b"]}, {"members": []}, "todo"),
        ("Role", {"members": ["a", "b"]}, {"members": ["a"]}, "todo"),
        ("Role", {"members": ["a", "b"]}, {"members": ["a", "z"]}, "changed"),
        ("ApprovalPolicy", {"approvers": {"quorum": 1}}, {"approvers": {"quorum": 2}}, "changed"),
    ],
)
def test_a_create_and_what_is_there_by_now(kind, spec, now, what):
    """What the first calls of the create leave behind is gone on with; all else is another's."""
    found = None if now is None else there(kind, {**spec, **now})

    parts = held(wanted(kind, spec), None, found)

    assert getattr(parts, what)


def test_a_delete_of_what_is_gone_is_done_and_of_what_moved_is_refused():
    resource = wanted("FeatureFlag", {})
    doomed = replace(resource, lifecycle=replace(resource.lifecycle, absent=True))
    before = there("FeatureFlag", {"filters": ROLLOUT})

    assert held(doomed, before, None).done
    assert held(doomed, before, before).todo
    (moved,) = held(doomed, before, there("FeatureFlag", {"filters": WIDER})).changed
    assert ["filters.groups[0].rollout_percentage"] == [one.path for one in moved.fields]
    assert (50, 10) == (moved.fields[0].live, moved.fields[0].desired)


def test_what_cannot_be_read_any_more_is_refused():
    before = there("FeatureFlag", {"filters": ROLLOUT})
    gap = Unreadable("FeatureFlag", ("acme", "Web"), "no scope")

    parts = held(wanted("FeatureFlag", {"filters": WIDER}), before, before, unreadable=(gap,))

    assert "no scope" in parts.changed[0].why


def test_what_stands_in_the_way_now_is_said():
    before = there("FeatureFlag", {"filters": ROLLOUT})
    resource = wanted("FeatureFlag", {"filters": WIDER})
    problem = Finding("x", Severity.ERROR, "it is there twice", address=resource.address)
    warning = replace(problem, severity=Severity.WARNING, address=address("FeatureFlag", "y"))
    fresh = three_way.compare_resource(resource, None, before)

    now = compare.PresentState([fresh], live(before), [problem, warning])
    (moved,) = compare.compare_plan(saved(resource, before), now).changed

    assert "it is there twice" == moved.why


def test_a_plan_that_wants_something_else_than_the_files_is_refused_whole():
    """The object has not moved, so the plan must say what is compared now."""
    before = there("FeatureFlag", {"filters": ROLLOUT})
    plan = saved(wanted("FeatureFlag", {"filters": WIDER}), before)
    other = three_way.compare_resource(wanted("FeatureFlag", {"filters": ELSEWHERE}), None, before)

    for fresh in ([other], []):
        with pytest.raises(GuardrailError):
            compare.compare_plan(plan, compare.PresentState(fresh, live(before)))


def test_a_message_names_five_fields_and_cuts_long_values():
    before = there("FeatureFlag", {"filters": ROLLOUT, "name": "x" * 500})
    spec = {"name": "y", "tags": ["t"], "archived": True, "active": False}
    now = there("FeatureFlag", {"filters": ELSEWHERE, "evaluation_runtime": "server", **spec})
    moved = held(wanted("FeatureFlag", {"filters": WIDER}), before, now).changed
    where = moved[0].fields[0]

    (said,) = findings.report_changed_objects(
        moved, {(moved[0].change.address, where.path): "dana at noon"}
    )

    assert "and 1 more" in said.message
    assert "by dana at noon" in said.message
    assert len(said.message) < 600
